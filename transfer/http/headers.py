"""
What any registry's answer may say besides its protocol: how long to wait, which bytes these are, whether there is such
a repository, and words that are fit to be shown.

Pure. What other error codes mean, each protocol knows for itself.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from transfer.errors import NotFound

# As the ECR API and the Distribution API call it.
_NO_REPOSITORY = frozenset({"RepositoryNotFoundException", "NAME_UNKNOWN"})
# No registry means more than a day.
_LONGEST_WAIT = 86_400.0


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that a reply asks to wait (RFC 9110, Retry-After: seconds or a date); None where it is not readable."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
        return min(float(value), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
        # Of the three forms that a date has in HTTP, one names no zone; all are in UTC.
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def is_repository_missing(error: Exception) -> bool:
    """Whether it is a repository that is not there, and not just something in it."""
    return isinstance(error, NotFound) and error.code in _NO_REPOSITORY


def printable(text: str) -> str:
    """On one line, and without what moves a terminal's cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_exact_range(headers: Mapping[str, str], first: int, end: int, size: int) -> bool:
    """Whether a 206 holds exactly the bytes [first, end) of content of this size."""
    match = _content_range(headers)
    if match is None:
        return False
    return int(match[1]) == first and int(match[2]) == end - 1 and match[3] in {"*", str(size)}


def total_of(headers: Mapping[str, str]) -> int | None:
    """The size of all that a 206 holds a part of; None where it does not tell, or what cannot be."""
    match = _content_range(headers)
    if match is None or match[3] == "*" or int(match[2]) >= int(match[3]):
        return None
    return int(match[3])


def _content_range(headers: Mapping[str, str]) -> re.Match[str] | None:
    return re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", headers.get("content-range", "").strip())


def length_of(headers: Mapping[str, str]) -> int | None:
    """The Content-Length of an answer; None where it has none that can be read."""
    value = headers.get("content-length", "").strip()
    return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The ETag of an answer, if it is one that differs where a byte does (RFC 9110, 8.8.1)."""
    value = headers.get("etag", "").strip()
    return value if re.fullmatch(r'"[!#-~]*"', value) else None
