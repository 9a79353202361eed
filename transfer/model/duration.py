"""Durations as people write them. Pure."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_interval(text: str) -> float:
    """
    Return seconds of `30s`, `15m`, `1h30m` or `1d`.

    Raises:
        ValueError: it is none of these, or no time at all.
    """
    seconds = _sum(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not an interval such as 30s, 15m or 1h30m")
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time at all")
    return seconds


def parse_duration(text: str) -> float:
    """
    Return seconds of the same, or of a plain number of them; 0 is one too.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else _sum(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m or 1h30m")
    return seconds


def _sum(text: str) -> float | None:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
