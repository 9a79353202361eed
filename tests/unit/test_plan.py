"""The order in which workers take blobs."""

import pytest

from transfer.engine.plan import SMALL_BLOB_BYTES, Queue
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

LARGE = SMALL_BLOB_BYTES + 1


def blobs(*sizes: int) -> list[Descriptor]:
    return [
        Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(f"{number}".encode()), size=size)
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "large_in_work", "workers", "expected"),
    [
        pytest.param([], 0, 4, None, id="nothing left"),
        pytest.param([LARGE, LARGE * 2, 10], 0, 4, LARGE * 2, id="the largest first"),
        pytest.param([LARGE, 10, 20], 3, 4, 20, id="the last worker is kept for small ones"),
        pytest.param([LARGE, LARGE * 2], 3, 4, LARGE * 2, id="unless there are none"),
        pytest.param([10, 20], 0, 4, 20, id="small ones use every worker"),
        pytest.param([LARGE, 10], 0, 1, LARGE, id="one worker takes all in order"),
    ],
)
def test_which_blob_the_next_worker_takes(
    sizes: list[int], large_in_work: int, workers: int, expected: int | None
) -> None:
    taken = Queue(blobs(*sizes)).take(large_in_work=large_in_work, workers=workers)
    assert (taken.size if taken else None) == expected
