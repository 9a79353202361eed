"""
Errors of the OCI Distribution API: from a response to one of this project's exceptions.

Pure. Codes are matched and, of a refusal, what its message says besides. Sources: OCI distribution-spec 1.1, "Error
Codes"; what ECR (400 TAG_INVALID) and Harbor (412 PRECONDITION) say of a tag that does not move, for which the
specification has no code. Does not decide what is tried again.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from transfer.errors import BlobUnknown, NotFound, RateLimited, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.http.messages import HttpResponse, printable, retry_after

_LOGIN_ADVICE = "check the credentials for this registry, and that they may do this"
_RATE_ADVICE = "try again later, or move less at once"
_TAG_ADVICE = "use another tag, or make the repository's tags mutable"

# What Go's servers and nginx say on a port that speaks TLS.
_TLS_PORT = re.compile(rb"(?i)HTTP request (?:was sent )?to (?:an )?HTTPS (?:server|port)")

# What a code means, and what to do about it.
_CODES: dict[str, tuple[type[RegistryError], str]] = {
    "BLOB_UNKNOWN": (NotFound, ""),
    "BLOB_UPLOAD_UNKNOWN": (UploadLost, ""),
    "DENIED": (Unauthorized, _LOGIN_ADVICE),
    "MANIFEST_BLOB_UNKNOWN": (BlobUnknown, ""),
    "MANIFEST_UNKNOWN": (NotFound, "check the tag or digest"),
    "NAME_UNKNOWN": (NotFound, "check the repository's name, or create it"),
    "PRECONDITION": (TagImmutable, _TAG_ADVICE),
    "TAG_INVALID": (TagImmutable, _TAG_ADVICE),
    "TOOMANYREQUESTS": (RateLimited, _RATE_ADVICE),
    "UNAUTHORIZED": (Unauthorized, _LOGIN_ADVICE),
}
# What a status means where the code does not say; a code that merely says "too many" must not hide a 401.
_STATUSES: dict[int, tuple[type[RegistryError], str]] = {
    401: (Unauthorized, _LOGIN_ADVICE),
    403: (Unauthorized, _LOGIN_ADVICE),
    404: (NotFound, ""),
    429: (RateLimited, _RATE_ADVICE),
}
# Why registries refuse what the credentials allow: 403 and DENIED are said of storage that is full (Harbor, Quay, ACR)
# and of policies (Harbor, Artifactory), for which the specification has no code.
_PERMISSION = re.compile(
    r"(?i)permission|not authori[sz]ed|unauthori[sz]ed|authenticat|access to the resource is denied"
)
_REASONS = (
    (
        re.compile(r"(?i)quota|storage (?:limit|resource|is full)|upper limit|out of (?:disk )?space|limit exceeded"),
        "delete what is not needed, or ask for a larger quota",
    ),
    (
        re.compile(r"(?i)polic(?:y|ies)|vulnerab|not scanned|not signed|immutable|read[- ]only|maintenance|quarantine"),
        "the registry's rules forbid it: ask those who keep it",
    ),
)
_LONGEST_MESSAGE = 1000
_LONGEST_TITLE = 120


class _ErrorBody(NamedTuple):
    """The error in the body of a response; empty where it cannot be read."""

    code: str = ""
    message: str = ""
    details: Mapping[str, Any] = {}


def error_of(what: str, reply: HttpResponse, *, now: float | None = None) -> RegistryError:
    """
    Return the error that a reply stands for which is not what was asked for.

    Args:
        what: what was being done to what: "GET manifest v1 of registry.example/app".
        reply: the answer.
        now: the time that a Retry-After date is measured from, in seconds since the epoch.
    """
    parsed = _read(reply.body)
    kind, advice = _meaning(parsed, reply.status)
    message = parsed.message or _unreadable(reply, parsed.code)
    if reply.status == 400 and _TLS_PORT.search(reply.body[:_LONGEST_MESSAGE]):
        message, advice = "this port speaks TLS", "leave out --plain-http"
    return kind(
        f"{what}: {message}; {advice}" if advice else f"{what}: {message}",
        status=reply.status,
        code=parsed.code or str(reply.status),
        retry_after=retry_after(reply.headers, now=time.time() if now is None else now),
        details={**parsed.details, **({"range": reply.headers["range"]} if "range" in reply.headers else {})},
    )


def is_expired(reply: HttpResponse) -> bool:
    """Return whether ECR refuses a token because it has run out, which it says with 403 and without a challenge."""
    parsed = _read(reply.body)
    return reply.status == 403 and parsed.code == "DENIED" and "token has expired" in parsed.message


def _meaning(parsed: _ErrorBody, status: int) -> tuple[type[RegistryError], str]:
    code = parsed.code
    if status >= 500:
        return RateLimited if code == "TOOMANYREQUESTS" else RegistryError, "try again later"
    if code == "PRECONDITION" and status != 412:
        return RegistryError, ""
    known = _CODES.get(code) or _STATUSES.get(status)
    if known is not None and known[0] is Unauthorized and status != 401 and not _PERMISSION.search(parsed.message):
        reason = next((advice for words, advice in _REASONS if words.search(parsed.message)), None)
        known = known if reason is None else (RegistryError, reason)
    if known is not None:
        return known
    return RegistryError, "" if code else "check that this is a registry's address"


def _read(body: bytes) -> _ErrorBody:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _ErrorBody()
    if not isinstance(document, dict):
        return _ErrorBody()
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document
    if not isinstance(first, dict):
        return _ErrorBody()
    code = first.get("code")
    details = {"detail": first["detail"]} if "detail" in first else {}
    return _ErrorBody(
        code if isinstance(code, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", code) else "",
        # `error_description` and `details` are what token servers say, Docker Hub's among them.
        _first_text(first, "message", "error_description", "details", "detail", "error"),
        details,
    )


def _first_text(members: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = members.get(name)
        if isinstance(value, str) and value.strip():
            return printable(value)[:_LONGEST_MESSAGE].rstrip(".")
    return ""


def _unreadable(reply: HttpResponse, code: str) -> str:
    if code:
        return f"the registry answered {code} ({reply.status})"
    if not reply.body:
        return f"the answer was {reply.status} with an empty body"
    kind = printable(reply.headers.get("content-type", "").partition(";")[0])[:_LONGEST_TITLE] or "unknown content"
    title = _title(reply.body)
    return f"the answer was {reply.status} with {kind}" + (f" ({title})" if title else "")


def _title(body: bytes) -> str:
    """Return the title of an HTML page, as a proxy or portal sends it."""
    from html import unescape  # noqa: PLC0415 - half a MiB of names of characters, for an answer that should not come

    match = re.search(rb"<title[^>]{0,200}>([^<]{1,500})</title", body[:20_000], re.IGNORECASE)
    return printable(unescape(match[1].decode("utf-8", "replace")))[:_LONGEST_TITLE] if match else ""
