"""
What the headers of a Distribution registry mean: Location, Range, Content-Range, Link.

Pure, and strict where bytes or credentials depend on it. Sources: OCI distribution-spec 1.1; RFC 9110 (ranges),
RFC 3986 (references), RFC 8288 (links). Sends nothing.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from transfer.errors import RegistryError

_LONGEST_URL = 16_384
# A URL has nothing else as it is; whoever reads it differently from us must not get the chance.
_NOT_IN_A_URL = re.compile(r"[^!#-;=?-\[\]_a-z~]")


class Origin(NamedTuple):
    """What credentials are for: scheme, host and port."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The origin of a URL that was checked before."""
    parts = urlsplit(url)
    return Origin(parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80))


def resolve_url(base: str, reference: str, *, what: str, status: int, header: str = "Location") -> str:
    """
    The absolute URL that a registry's answer from `base` points at; it may be on another origin.

    Args:
        base: the URL that was asked.
        reference: the header's value: absolute, relative, or a query only.
        what, status: what was being done, and the answer's status, for the error.
        header: the header's name, for the error.

    Raises:
        RegistryError: none is given, it is malformed, has a user name in it, is not HTTP, or leaves https for http.
    """
    reason = _flaw(base, reference)
    if reason:
        raise RegistryError(f"{what}: the registry's {header} {reason}", status=status, code="BAD_LOCATION")
    parts = urlsplit(urljoin(base, reference))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, parts.query, ""))


def _flaw(base: str, reference: str) -> str:
    if not reference:
        return "is missing"
    if len(reference) > _LONGEST_URL or _NOT_IN_A_URL.search(reference):
        return "is too long, or has characters that no URL has"
    try:
        parts = urlsplit(urljoin(base, reference))
        is_http = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "is malformed"
    if not is_http or parts.username is not None or parts.password is not None:
        return "is not a plain address of an HTTP server"
    if parts.scheme == "http" and urlsplit(base).scheme == "https":
        return "leads from https to http"
    return ""


def with_query(url: str, **values: str) -> str:
    """The URL with these added to its query, which may hold state that must come back as it is."""
    parts = urlsplit(url)
    added = "&".join(f"{name}={quote(value, safe=':')}" for name, value in values.items())
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def held_bytes(headers: Mapping[str, str], most: int) -> int | None:
    """
    How many bytes an upload session holds by its Range header; None where that cannot be relied on.

    `0-0` stands for no byte with the distribution project's registry and for one byte by the letter: taken as none,
    since a chunk that begins too early is refused and one that begins too late would leave a hole.

    Args:
        headers: of the answer about the session.
        most: bytes sent at all; a session that claims more is not ours.
    """
    match = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", headers.get("range", "").strip())
    if match is None:
        return None
    last = int(match[1])
    if last == 0:
        return 0
    return last + 1 if last < most else None


def smallest_chunk(headers: Mapping[str, str]) -> int:
    """The OCI-Chunk-Min-Length of a new upload session, or 0."""
    value = headers.get("oci-chunk-min-length", "").strip()
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else 0


def next_link(headers: Mapping[str, str]) -> str | None:
    """The target of the first Link with rel=next, as it is written; None where there is none."""
    for match in re.finditer(r"<([^<>]*)>([^<]*)", headers.get("link", "")[:_LONGEST_URL]):
        if re.search(r";\s*rel\s*=\s*(?:next\b|\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\")", match[2], re.IGNORECASE):
            return match[1]
    return None
