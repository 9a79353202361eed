"""Settings outside their range are refused by name."""

from collections.abc import Callable

import pytest

from transfer.config import Pace, TransferConfig
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TransferConfig(max_concurrent_blobs=0), "max_concurrent_blobs is 0"),
        (lambda: TransferConfig(max_bytes_in_flight=0), "max_bytes_in_flight is 0"),
        (lambda: TransferConfig(max_read_ahead_bytes=-1), "max_read_ahead_bytes is -1"),
        (lambda: TransferConfig(max_attempts=0), "max_attempts is 0"),
        (lambda: TransferConfig(upload_chunk_bytes=0), "upload_chunk_bytes is 0"),
        (lambda: TransferConfig(upload_chunk_threshold=-1), "upload_chunk_threshold is -1"),
        (lambda: TransferConfig(backoff_base=-1), "backoff_base is -1"),
        (lambda: TransferConfig(connect_timeout=0), "connect_timeout is 0"),
        (lambda: TransferConfig(hub_reserve=-1), "hub_reserve is -1"),
        (lambda: TransferConfig(max_bandwidth=0), "max_bandwidth is 0"),
        (lambda: Pace(max_concurrent=0), "max_concurrent is 0"),
        (lambda: Pace(max_per_second=-1), "max_per_second is -1"),
        (lambda: Pace(max_per_second=float("nan")), "max_per_second is nan"),
        (lambda: RegistryAccess(max_bandwidth=0), "max_bandwidth is 0"),
    ],
)
def test_a_setting_outside_its_range_is_named(make: Callable[[], object], name: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{name}: must"):
        make()


def test_every_blob_may_go_in_chunks() -> None:
    assert TransferConfig(upload_chunk_threshold=0).upload_chunk_threshold == 0
