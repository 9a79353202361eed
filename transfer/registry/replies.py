"""
What any registry's answer may say besides its protocol: how long to wait, and words that are fit to be shown.

Pure. Knows no registry's error codes.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# No registry means more than a day.
_LONGEST_WAIT = 86_400.0


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that a reply asks to wait (RFC 9110, Retry-After: seconds or a date); None where it is not readable."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
        return min(float(value), _LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def printable(text: str) -> str:
    """On one line, and without what moves a terminal's cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
