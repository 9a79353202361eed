"""The schedule of a watched mirror: an interval, or a cron expression. Pure; reads no clock."""

from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from transfer.model.duration import parse_interval


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
