"""When bytes arrive over the benchmarks' link: delay, bandwidth of one and of all, order; by a clock of numbers."""

import pytest

from benchmarks.network.arrival_times import WINDOW, Line, Road

KIB = 1024


def arrivals(road: Road) -> list[tuple[float, int]]:
    """When the bytes under way arrive, in order, and how many."""
    found = []
    while (due := road.next_at) is not None:
        found += [(round(due, 6), len(piece)) for piece in road.arrived(due)]
    return found


def test_without_limits_bytes_arrive_after_the_delay_and_not_before() -> None:
    road = Road(Line(0), Line(0), delay=0.02)
    road.take(b"abc", now=1.0)
    assert road.arrived(1.0199) == []
    assert b"".join(road.arrived(1.0201)) == b"abc"
    assert road.next_at is None


def test_a_rate_is_kept_whatever_comes_at_once() -> None:
    road = Road(Line(64 * KIB), Line(0), delay=0.5)
    road.take(bytes(160 * KIB), now=0.0)
    assert arrivals(road) == [(1.5, 64 * KIB), (2.5, 64 * KIB), (3.0, 32 * KIB)]


def test_a_line_that_was_idle_saves_nothing_up() -> None:
    line = Line(10)
    assert line.leave(10, now=0.0) == 1.0
    assert line.leave(10, now=0.5) == 2.0
    assert line.leave(10, now=100.0) == 101.0


def test_what_all_share_is_shared_in_the_order_of_coming() -> None:
    shared = Line(100)
    one, other = (Road(Line(0), shared, delay=0.0) for _ in range(2))
    one.take(bytes(100), now=0.0)
    other.take(bytes(100), now=0.0)
    one.take(bytes(50), now=0.0)
    assert arrivals(one) == [(1.0, 100), (2.5, 50)]
    assert arrivals(other) == [(2.0, 100)]


def test_bytes_arrive_in_the_order_that_they_left_in_and_their_end_last() -> None:
    road = Road(Line(1000), Line(3000), delay=0.1)
    for number in range(50):
        road.take(bytes([number]) * (number + 1), now=number / 1000)
    road.take(b"", now=0.05)
    got = b"".join(road.arrived(100.0))
    assert got == b"".join(bytes([number]) * (number + 1) for number in range(50))


def test_nothing_leaves_before_the_connection_is_made() -> None:
    road = Road(Line(0), Line(0), delay=0.02, opens_at=5.04)
    road.take(b"x", now=5.0)
    assert road.next_at == pytest.approx(5.06)


def test_who_sends_waits_when_a_window_is_under_way_and_goes_on_when_it_arrived() -> None:
    road = Road(Line(0), Line(0), delay=0.02)
    states = [road.full]
    for size in (WINDOW - 1, 1):
        road.take(bytes(size), now=0.0)
        states.append(road.full)
    road.arrived(1.0)
    assert [*states, road.full] == [False, False, True, False]
