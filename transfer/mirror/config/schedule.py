"""The schedule of a watched mirror: an interval, or a cron expression. Pure; reads no clock."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)


class _Local(tzinfo):
    """The machine's own time, whose distance to UTC is asked for each moment: it changes twice a year."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        return datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)  # noqa: DTZ006


LOCAL = _Local()


def parse_interval(text: str) -> float:
    """
    Return seconds of `30s`, `15m`, `1h30m` or `1d`.

    Raises:
        ValueError: it is none of these, or no time at all.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not an interval such as 30s, 15m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time at all")
    return seconds


def check_watch(text: str) -> None:
    """
    Refuse what is neither an interval nor five fields of cron.

    Raises:
        ValueError: it is neither, or a day that never comes.
    """
    if _is_interval(text):
        parse_interval(text.strip())
        return
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} is not five fields of cron, as in '15 3 * * *'")
    try:
        comes = next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(f"{text!r} is not five fields of cron, as in '15 3 * * *': {str(error).lower()}") from None
    if comes is None:
        raise ValueError(f"{text!r} is a day that never comes")


def next_run(began: float, watch: str, zone: tzinfo = LOCAL) -> float:
    """
    Return the time of the next run after one that began then; it may have passed when that run ends.

    Args:
        began: seconds of the epoch, as all times here.
        watch: what `check_watch` lets pass.
        zone: whose hours and days cron means.
    """
    if _is_interval(watch):
        return began + parse_interval(watch.strip())
    return next(CronSim(watch, datetime.fromtimestamp(began, zone))).timestamp()


def _is_interval(text: str) -> bool:
    return len(text.split()) == 1
