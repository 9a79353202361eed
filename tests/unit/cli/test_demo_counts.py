"""What the demo makes of the server's log."""

import pytest

from transfer.cli.commands.demo.counts import Resumption, arrived, compare, inside, part_size
from transfer.server import RequestRecord

MIB = 1024 * 1024
A, B = "sha256:" + 64 * "a", "sha256:" + 64 * "b"
SIZES = {A: 100, B: 40}


def part(upload: str, size: int, status: int = 200) -> RequestRecord:
    return RequestRecord(operation="UploadLayerPart", status=status, upload_id=upload, blob_bytes=size)


def complete(upload: str, digest: str, status: int = 200) -> RequestRecord:
    return RequestRecord(operation="CompleteLayerUpload", status=status, upload_id=upload, digest=digest)


def test_what_arrives_counts_whether_it_was_accepted_or_not() -> None:
    download = RequestRecord(operation="DownloadLayer", status=200, blob_bytes=1000)
    assert arrived([part("1", 30), part("1", 7, 499), part("2", 5, 400), download]) == 42


def test_a_kill_is_inside_a_layer_that_has_a_part_and_is_not_complete() -> None:
    records = [part("1", 30), part("2", 40), complete("2", B), part("3", 9, 499), complete("1", A, 400)]
    assert inside(records) == {"1"}


@pytest.mark.parametrize(
    ("killed", "resumed", "found"),
    [
        pytest.param(
            [part("1", 30), part("2", 40), complete("2", B)],
            [part("1", 70), complete("1", A)],
            Resumption(inside=1, resumed=30, again=0, worst=0),
            id="nothing twice",
        ),
        pytest.param(
            [part("1", 30), part("1", 12, 499), part("2", 9, 499)],
            [part("1", 70), complete("1", A), part("2", 40), complete("2", B)],
            Resumption(inside=1, resumed=30, again=21, worst=12),
            id="cut off in a part",
        ),
        pytest.param(
            [part("1", 30), part("1", 30)],
            [part("1", 30, 400), part("1", 40), complete("1", A), part("2", 40), complete("2", B)],
            Resumption(inside=1, resumed=30, again=30, worst=30),
            id="an answer that nobody read",
        ),
        pytest.param(
            [part("1", 30)],
            [part("3", 100), complete("3", A), part("2", 40), complete("2", B)],
            Resumption(inside=1, resumed=0, again=30, worst=30),
            id="begun again",
        ),
        pytest.param([], [], Resumption(inside=0, resumed=0, again=0, worst=0), id="nothing at all"),
    ],
)
def test_two_runs_are_compared_upload_by_upload(
    killed: list[RequestRecord], resumed: list[RequestRecord], found: Resumption
) -> None:
    assert compare(killed, resumed, SIZES) == found


@pytest.mark.parametrize(
    ("largest", "size"), [(64 * MIB, 5 * MIB), (20 * MIB, 5 * MIB), (2 * MIB, 512 * 1024), (5000, 1024), (10, 1024)]
)
def test_parts_are_as_small_as_ecr_allows_or_a_quarter_of_the_largest_layer(largest: int, size: int) -> None:
    assert part_size([1, largest, 2]) == size
