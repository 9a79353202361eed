"""
HTTP requests and responses as values, and what headers say: waiting times, ranges, locations, links.

Pure. Sources: RFC 9110, RFC 8288, and "Endpoints" of the OCI distribution-spec 1.1.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import msgspec

from transfer.concurrency.limiters import BandwidthLimiter
from transfer.errors import NotFound, RegistryError
from transfer.http.bodies import BlobBody, RequestBody
from transfer.http.settings import SYSTEM_TLS, Tls

# As the ECR API and the Distribution API call it.
# What is said of DELETE by tag by those that know none: docker-registry 2.8 and others (distribution-spec 1.1 has 405).
_NO_TAGS = frozenset({"DIGEST_INVALID", "UNSUPPORTED", "405"})
_NO_REPOSITORY = frozenset({"RepositoryNotFoundException", "NAME_UNKNOWN"})
# No registry means more than a day.
_LONGEST_WAIT = 86_400.0

_ADDRESS_WITH_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@?#]{1,1000}@")
_ADDRESS_WITH_QUERY = re.compile(r"(?i)\b(https?://[^\s?#\"'<>]+)\?[^\s\"'<>]+")
_SIGNED_PARAMETER = re.compile(
    r"(?i)\b(X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|(?:access_|refresh_)?token|sig|signature)"
    r"(?:=|%3D)[^\s&\"'<>]+"
)
_CREDENTIALS = re.compile(r"(?i)\b(Bearer|Basic) (?=[^\s]*[0-9])[A-Za-z0-9+/_.~=-]{20,}")


class HttpRequest(msgspec.Struct, frozen=True):
    """
    One request.

    Attributes:
        public_only: reach no address of a private network, where no proxy lies between.
        meter: counts the bytes of the blob that is its body, or else the answer's.
        large: sent by a worker thread, since it or its response carries the bytes of a large blob.
        progress: called in the event loop with the bytes of the blob that are being sent by a worker thread.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: RequestBody | BlobBody | None = None
    tls: Tls = SYSTEM_TLS
    public_only: bool = False
    meter: BandwidthLimiter | None = None
    large: bool = False
    progress: Callable[[int], None] | None = None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {origin(self.url)})"


class HttpResponse(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case) and the whole body, cut at 64 KiB when it is an error's."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


class StreamedResponse(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case) and the body as it arrives; a Download from a worker thread."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


def origin(url: str) -> str:
    """`host:port` of a URL: what may be shown of it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110: seconds or a date); None where it is unreadable."""
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
    """Return whether it is a repository that is not there, and not just something in it."""
    return isinstance(error, NotFound) and error.code in _NO_REPOSITORY


def deletes_no_tags(error: Exception) -> bool:
    """Return whether a tag was not deleted because the registry deletes by digest alone."""
    return isinstance(error, RegistryError) and error.status in {400, 405} and error.code in _NO_TAGS


def printable(text: str) -> str:
    """
    Return what somebody else says as it may be shown: on one line, without what moves a terminal's cursor or is secret.

    The query of an address may be a signature, and its user a password.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    text = _ADDRESS_WITH_USER.sub(r"\1", text)
    text = _ADDRESS_WITH_QUERY.sub(r"\1?…", text)
    text = _SIGNED_PARAMETER.sub(r"\1=…", text)
    return _CREDENTIALS.sub(r"\1 …", text)


def is_exact_range(headers: Mapping[str, str], first: int, end: int, size: int) -> bool:
    """Return whether a 206 holds exactly the bytes [first, end) of content of this size."""
    match = _content_range(headers)
    if match is None:
        return False
    return int(match[1]) == first and int(match[2]) == end - 1 and match[3] in {"*", str(size)}


def total_of(headers: Mapping[str, str]) -> int | None:
    """Return the size of all that a 206 holds a part of; None where it does not tell, or what cannot be."""
    match = _content_range(headers)
    if match is None or match[3] == "*" or int(match[2]) >= int(match[3]):
        return None
    return int(match[3])


def _content_range(headers: Mapping[str, str]) -> re.Match[str] | None:
    return re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", headers.get("content-range", "").strip())


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return the Content-Length of an answer; None where it has none that can be read."""
    value = headers.get("content-length", "").strip()
    return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag of an answer, if it is one that differs where a byte does (RFC 9110, 8.8.1)."""
    value = headers.get("etag", "").strip()
    return value if re.fullmatch(r'"[!#-~]*"', value) else None


_LONGEST_URL = 16_384
# A URL has nothing else as it is; whoever reads it differently from us must not get the chance.
_NOT_IN_A_URL = re.compile(r"[^!#-;=?-\[\]_a-z~]")


class Origin(NamedTuple):
    """Scheme, host and port: where credentials may be sent."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """Return the origin of a URL that was checked before."""
    parts = urlsplit(url)
    return Origin(parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80))


def resolve_url(base: str, reference: str, *, what: str, status: int, header: str = "Location") -> str:
    """
    Return the absolute URL that a registry's answer from `base` points at; it may be on another origin.

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
    """Return the URL with these added to its query, which may hold state that must come back as it is."""
    parts = urlsplit(url)
    added = "&".join(f"{name}={quote(value, safe=':')}" for name, value in values.items())
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def held_bytes(headers: Mapping[str, str], most: int) -> int | None:
    """
    Return the bytes that an upload session holds by its Range header; None where that is unreliable.

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
    """Return the OCI-Chunk-Min-Length of a new upload session, or 0."""
    value = headers.get("oci-chunk-min-length", "").strip()
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else 0


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the target of the first Link with rel=next, as it is written; None where there is none."""
    for match in re.finditer(r"<([^<>]*)>([^<]*)", headers.get("link", "")[:_LONGEST_URL]):
        if re.search(r";\s*rel\s*=\s*(?:next\b|\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\")", match[2], re.IGNORECASE):
            return match[1]
    return None
