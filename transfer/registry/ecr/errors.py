"""
What a refusal of the ECR API means: from a reply to one of this project's errors.

Pure. Codes are matched, never messages: ECR's wording has changed before. Sources: the error lists of the ECR API
reference, the common errors of AWS's JSON protocol, and the throttling codes that botocore's standard mode knows.
Does not decide what is tried again.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from transfer.errors import NotFound, RateLimited, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.registry.transport import Reply

# LimitExceededException is not among them: ECR means a quota that no waiting lifts, though botocore tries again.
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottleException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"})
_BAD_SIGNATURE = frozenset(
    {
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_UNKNOWN_KEY = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "UnrecognizedClientException",
    }
)

_ADVICE = {
    "RepositoryNotFoundException": "create it, or push with --create-repository",
    "RepositoryNotEmptyException": "delete its images first, or force the deletion",
    "ImageTagAlreadyExistsException": "push under another tag, or make the repository's tags mutable",
    "LimitExceededException": "ask AWS for a larger quota, or delete what is not needed",
    "KmsException": "check the repository's key and the permission to use it",
}
_ADVICE_OF_SETS = (
    (_EXPIRED, "renew the credentials: aws sso login, or a new session token"),
    (_FORBIDDEN, "grant the permission in the IAM policy, or choose other credentials with AWS_PROFILE"),
    (_BAD_SIGNATURE, "check the secret access key, the region and this machine's clock"),
    (_UNKNOWN_KEY, "check the access key, the account's region and AWS_PROFILE"),
    (_THROTTLED, "try again later, or push less at once"),
)

_LONGEST_MESSAGE = 1000
# No registry means more than a day.
_LONGEST_WAIT = 86_400.0


def error_of(what: str, reply: Reply, *, now: float | None = None) -> RegistryError:
    """
    The error that a reply with any status but success stands for.

    Args:
        what: what was being done to what: "InitiateLayerUpload app".
        reply: the answer.
        now: the time that a Retry-After date is measured from, in seconds since the epoch.
    """
    members = _members(reply.body)
    code = _code(members, reply)
    said = _message(members, code) or _unreadable(reply, code)
    advice = _advice(code, reply.status, readable=members is not None)
    return _kind(code, reply.status)(
        f"{what}: {said}; {advice}" if advice else f"{what}: {said}",
        status=reply.status,
        code=code,
        retry_after=retry_after(reply.headers, now=time.time() if now is None else now),
        details={
            name: value for name, value in (members or {}).items() if name not in {"__type", "message", "Message"}
        },
    )


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


def _members(body: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def _code(members: dict[str, Any] | None, reply: Reply) -> str:
    """`__type` without its namespace, else the header of the same meaning, else the status."""
    named = (members or {}).get("__type") or reply.headers.get("x-amzn-errortype", "")
    code = str(named).partition(":")[0].rpartition("#")[2]
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,100}", code) else str(reply.status)


def _message(members: dict[str, Any] | None, code: str) -> str:
    said = (members or {}).get("message") or (members or {}).get("Message")
    if not isinstance(said, str):
        return ""
    if code in _BAD_SIGNATURE:
        # AWS goes on to quote the request it saw, Authorization and session token included.
        said = re.split(r"['\"\n]|\.\s", said, maxsplit=1)[0]
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return line[:_LONGEST_MESSAGE].rstrip(".")


def _unreadable(reply: Reply, code: str) -> str:
    if code != str(reply.status):
        return f"the registry answered {code} ({reply.status})"
    kind = reply.headers.get("content-type", "").partition(";")[0].strip()
    content = f"{kind or 'unknown content'!s}" if reply.body else "an empty body"
    return f"the answer was {reply.status} with {content}"


def _advice(code: str, status: int, *, readable: bool) -> str:
    if code in _ADVICE:
        return _ADVICE[code]
    for codes, advice in _ADVICE_OF_SETS:
        if code in codes:
            return advice
    if status >= 500:
        return "try again later"
    return "" if readable else "check that AWS_ENDPOINT_URL is the address of an ECR API"


def _kind(code: str, status: int) -> type[RegistryError]:
    if code in _THROTTLED or status == 429:
        return RateLimited
    if code == "UploadNotFoundException":
        return UploadLost
    if code == "ImageTagAlreadyExistsException":
        return TagImmutable
    if code.endswith("NotFoundException"):
        return NotFound
    if code in _EXPIRED | _FORBIDDEN | _BAD_SIGNATURE | _UNKNOWN_KEY or status in {401, 403}:
        return Unauthorized
    return RegistryError
