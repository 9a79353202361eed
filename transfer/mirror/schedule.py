"""When to run again: an interval, or five fields of cron. Pure; reads no clock."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_ITEM = r"(?:\*|\d+(?:-\d+)?|[A-Za-z]{3}(?:-[A-Za-z]{3})?)(?:/[1-9]\d*)?"
_CRON = re.compile(rf"{_ITEM}(?:,{_ITEM})*", re.ASCII)


def parse_interval(text: str) -> float:
    """
    Seconds of `30s`, `15m`, `1h30m` or `1d`.

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
        ValueError: it is neither.
    """
    if " " not in text.strip():
        parse_interval(text)
        return
    fields = text.split()
    if len(fields) != 5 or not all(_CRON.fullmatch(field) for field in fields):
        raise ValueError(f"{text!r} is not five fields of cron, as in '15 3 * * *'")
