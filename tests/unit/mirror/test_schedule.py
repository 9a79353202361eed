"""When a mirror runs again: intervals, and cron with its summer time."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from transfer.mirror.config.schedule import check_watch, next_run

BERLIN = ZoneInfo("Europe/Berlin")


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("watch", "began", "then"),
    [
        ("30s", "2026-11-24T03:15:00+01:00", "2026-11-24T03:15:30+01:00"),
        ("1h30m", "2026-11-24T03:15:00+01:00", "2026-11-24T04:45:00+01:00"),
        ("1d", "2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00"),
        ("15 3 * * *", "2026-11-24T03:14:59.9+01:00", "2026-11-24T03:15:00+01:00"),
        ("15 3 * * *", "2026-11-24T03:15:00+01:00", "2026-11-25T03:15:00+01:00"),
        ("15 3 * * *", "2026-11-24T03:15:00.2+01:00", "2026-11-25T03:15:00+01:00"),
        ("*/20 8-9 * * *", "2026-11-24T09:40:00+01:00", "2026-11-25T08:00:00+01:00"),
        ("0 9 * * mon-fri", "2026-11-27T12:00:00+01:00", "2026-11-30T09:00:00+01:00"),
        ("0 0 1,15 * *", "2026-11-24T12:00:00+01:00", "2026-12-01T00:00:00+01:00"),
        ("0 0 29 2 *", "2026-11-24T12:00:00+01:00", "2028-02-29T00:00:00+01:00"),
        # Day and weekday together: either, as cron has it.
        ("0 0 13 * fri", "2026-11-24T12:00:00+01:00", "2026-11-27T00:00:00+01:00"),
        # There is no half past two on the day that summer begins, and there are two when it ends: one counts.
        ("30 2 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("30 2 * * *", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        # What runs all day long runs in both.
        ("*/30 * * * *", "2026-10-25T02:45:00+02:00", "2026-10-25T02:00:00+01:00"),
        ("*/30 * * * *", "2026-10-25T02:45:00+01:00", "2026-10-25T03:00:00+01:00"),
    ],
)
def test_the_next_run_follows_from_when_the_last_began(watch: str, began: str, then: str) -> None:
    check_watch(watch)
    assert next_run(epoch(began), watch, BERLIN) == epoch(then)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "began", [f"2026-{day}T{hour}:10:00+00:00" for day in ("03-29", "10-25") for hour in ("00", "01")]
)
@pytest.mark.parametrize("watch", ["30 2 * * *", "*/20 * * * *", "0 12 * * *"])
def test_cron_means_the_time_of_the_machine_where_no_other_is_named(in_berlin: None, watch: str, began: str) -> None:
    assert next_run(epoch(began), watch) == next_run(epoch(began), watch, BERLIN)


@pytest.mark.parametrize(
    ("watch", "reason"),
    [
        ("soon", "is not an interval"),
        ("30", "is not an interval"),
        ("-5m", "is not an interval"),
        ("0s", "is no time at all"),
        ("", "is not five fields of cron"),
        ("15 3 * *", "is not five fields of cron"),
        ("0 15 3 * * *", "is not five fields of cron"),
        ("60 3 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 * * fun", "bad day-of-week"),
        ("0 9-8 * * *", "bad hour"),
        ("0 0 */0 * *", "bad day-of-month"),
    ],
)
def test_what_is_no_time_is_refused(watch: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_watch(watch)
