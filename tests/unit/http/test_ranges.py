"""Which ranges a large blob is read in, how many at once, and when it is worth it."""

import threading

import pytest

from transfer.concurrency.limiters import ByteBudget
from transfer.config import TransferConfig
from transfer.http.messages import strong_etag, total_of
from transfer.http.ranges import ENOUGH, LONE_RANGE, MOST_STREAMS, RANGE, Ranges, is_slow, range_end, streams_each


@pytest.mark.parametrize(("blobs", "streams"), [(1, 8), (2, 4), (3, 3), (4, 2), (7, 2), (8, 1), (9, 1), (1000, 1)])
def test_streams_are_shared_and_a_blob_always_has_one(blobs: int, streams: int) -> None:
    assert streams_each(blobs) == streams
    assert blobs * streams >= MOST_STREAMS or streams == 1


@pytest.mark.parametrize(
    ("first", "end", "alone", "range_ends"),
    [
        (0, 10 * RANGE, False, RANGE),
        (RANGE + 5, 10 * RANGE, False, 2 * RANGE + 5),
        (0, RANGE, False, RANGE),
        (0, RANGE - 1, False, RANGE - 1),
        (0, RANGE + RANGE // 2 - 1, False, RANGE + RANGE // 2 - 1),
        (0, RANGE + RANGE // 2, False, RANGE),
        (0, LONE_RANGE + RANGE, True, LONE_RANGE),
        (7, LONE_RANGE, True, LONE_RANGE),
    ],
)
def test_a_range_ends_at_its_size_or_takes_a_short_rest_along(
    first: int, end: int, alone: bool, range_ends: int
) -> None:
    assert range_end(first, end, alone=alone) == range_ends


@pytest.mark.parametrize(
    ("received", "waited", "blobs", "slow"),
    [
        (0, 0.0, 1, False),
        (64 * 1024, 0.2, 1, False),
        (64 * 1024, 0.3, 1, True),
        (RANGE // 2, 0.02, 1, False),
        (RANGE // 2, 0.03, 1, True),
        (ENOUGH, 1.0, 1, False),
        (ENOUGH, 1.1, 1, True),
        (ENOUGH // 2, 1.0, 1, True),
        (ENOUGH // 2, 1.0, 2, False),
        (ENOUGH // 2, 1.0, 8, False),
        (ENOUGH // 16, 1.0, 8, True),
    ],
)
def test_a_stream_is_slow_that_brings_less_than_enough_for_its_waiting(
    received: int, waited: float, blobs: int, slow: bool
) -> None:
    assert is_slow(received, waited, blobs) is slow


def test_streams_are_had_within_the_share_the_budget_and_where_ranges_are_sent() -> None:
    ranges = Ranges(ByteBudget(3 * RANGE))
    ranges.blobs = 1
    assert [ranges.may_add(streams) for streams in (1, 6, 7)] == [True, True, False]
    ranges.blobs = 4
    assert [ranges.may_add(streams) for streams in (1, 2)] == [True, False]
    assert not ranges.is_alone()
    ranges.sends_ranges = False
    assert ranges.is_alone()
    assert Ranges(ByteBudget(RANGE // 2 - 1)).is_alone(), (
        "the budget has no room for what of a range arrives on average"
    )


def test_a_budget_is_never_exceeded_and_waits_for_room_as_long_as_it_is_told() -> None:
    budget = ByteBudget(10)
    assert budget.try_take(7, patience=0)
    assert not budget.try_take(4, patience=0.01)
    assert not budget.has_room(4)
    returning = threading.Timer(0.05, budget.give_back, [7])
    returning.start()
    assert budget.try_take(10, patience=5)
    returning.join()
    assert budget.held == 10


@pytest.mark.parametrize(
    ("etag", "strong"),
    [('"abc"', '"abc"'), ('""', '""'), ('W/"abc"', None), ("abc", None), ('"a"b"', None), ("", None)],
)
def test_only_a_strong_etag_says_which_bytes_these_are(etag: str, strong: str | None) -> None:
    assert strong_etag({"etag": etag}) == strong


def test_half_a_range_fits_into_memory_for_each_stream_but_the_first() -> None:
    assert TransferConfig().max_read_ahead_bytes == (MOST_STREAMS - 1) * RANGE // 2


@pytest.mark.parametrize(
    ("content_range", "size"),
    [
        ("bytes 0-9/10", 10),
        ("bytes 3-9/1000", 1000),
        ("bytes 0-9/*", None),
        ("bytes 0-9/5", None),
        ("bytes */5", None),
        ("", None),
    ],
)
def test_a_range_tells_the_size_of_the_whole(content_range: str, size: int | None) -> None:
    assert total_of({"content-range": content_range}) == size
