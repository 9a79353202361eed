"""The embedded registry's throttling: its buckets, what counts as what, and settings that cannot be."""

import pytest

from transfer.cli.commands.serve import parse_throttle
from transfer.errors import InvalidConfig
from transfer.server import Server
from transfer.server.distribution.oci import OCI
from transfer.server.ecr.operations import OPERATIONS
from transfer.server.throttle import ECR_QUOTAS, Bucket, Throttle


class Clock:
    """Stands where it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("rate", "times", "served"),
    [
        (3, [0, 0, 0, 0], [True, True, True, False]),
        (2, [0, 0, 0.4, 0.5, 0.6, 1.0], [True, True, False, True, False, True]),
        (2, [0, 0, 100, 100, 100], [True, True, True, True, False]),
        (0.5, [0, 1, 2, 3, 4], [True, False, True, False, True]),
        (2, [10, 10, 9, 10, 10.5], [True, True, False, False, True]),
    ],
    ids=["a second's worth at once", "refills", "saves no more", "less than one a second", "a clock that steps back"],
)
def test_a_bucket_serves_its_rate_and_one_seconds_worth(rate: float, times: list[float], served: list[bool]) -> None:
    bucket = Bucket(rate, times[0])
    assert [bucket.take(now) for now in times] == served


@pytest.mark.parametrize(
    ("request_name", "operation"),
    [
        ("PutImage", "PutImage"),
        ("PutManifest", "PutImage"),
        ("PostUpload", "InitiateLayerUpload"),
        ("MountBlob", "InitiateLayerUpload"),
        ("PatchUpload", "UploadLayerPart"),
        ("PutUpload", "CompleteLayerUpload"),
        ("HeadBlob", "BatchCheckLayerAvailability"),
        ("GetBlob", "GetDownloadUrlForLayer"),
        ("GetManifest", "BatchGetImage"),
        ("HeadManifest", "BatchGetImage"),
        ("ListTags", "ListImages"),
    ],
)
def test_a_request_to_v2_counts_as_what_the_api_calls_it(request_name: str, operation: str) -> None:
    throttle = Throttle({operation: 1}, OPERATIONS, clock=Clock())
    assert [throttle.admits(request_name), throttle.admits(operation), throttle.admits("GetBase")] == [
        True,
        False,
        True,
    ]


def test_each_operation_has_a_bucket_of_its_own_that_fills_with_time() -> None:
    clock = Clock()
    throttle = Throttle({"PutImage": 1, "ListImages": 1}, OPERATIONS, clock=clock)
    assert [throttle.admits(name) for name in ("PutImage", "PutImage", "ListImages")] == [True, False, True]
    clock.now = 1.0
    assert throttle.admits("PutImage")


def test_every_request_to_v2_but_those_of_no_operation_counts_as_one() -> None:
    free = {name for name in OCI.handlers if not any(not _admitted_twice(operation, name) for operation in OPERATIONS)}
    assert free == {"DeleteBlob", "DeleteUpload", "GetBase", "GetUpload"}


def _admitted_twice(operation: str, name: str) -> bool:
    throttle = Throttle({operation: 1}, OPERATIONS, clock=Clock())
    return throttle.admits(name) and throttle.admits(name)


def test_the_published_quotas_are_of_operations_that_there_are() -> None:
    assert set(ECR_QUOTAS) < set(OPERATIONS)
    assert (ECR_QUOTAS["PutImage"], ECR_QUOTAS["InitiateLayerUpload"]) == (10, 100)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"PutImages": 10}, "throttle PutImages: not an operation"),
        ({"PutImage": 0}, "throttle PutImage: 0 a second"),
        ({"PutImage": float("nan")}, "throttle PutImage: nan a second"),
        ({"PutImage": float("inf")}, "throttle PutImage: inf a second"),
    ],
)
def test_a_throttle_that_cannot_be_is_refused_at_once(rates: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{message}"):
        Server(throttle=rates)


@pytest.mark.parametrize("text", ["PutImage", "PutImage=fast", "", "ECR"])
def test_what_is_no_throttle_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="neither OPERATION=RATE, as in PutImage=10, nor ecr"):
        parse_throttle(text)


def test_a_throttle_is_read_as_it_is_written() -> None:
    assert parse_throttle("PutImage=2.5") == {"PutImage": 2.5}
    assert parse_throttle("ecr") == ECR_QUOTAS
