"""
Errors of the ECR API: from a response to one of this project's exceptions.

Pure. Codes are matched, never messages: ECR's wording has changed before. Sources: the error lists of the ECR API
reference, the common errors of AWS's JSON protocol, and the throttling codes that botocore's standard mode knows.
Does not decide what is tried again.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from transfer.errors import NotFound, RateLimited, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.http.messages import HttpResponse, printable, retry_after

_SIGNATURE_ADVICE = "check the secret access key, the region and this machine's clock"
_KEY_ADVICE = "check the access key, AWS_PROFILE, and that the account has this region"
_RATE_ADVICE = "try again later, or push less at once"

# What a code means and what to do about it; statuses stand for answers without a code that is known.
# LimitExceededException is a quota that no waiting lifts, though botocore tries it again.
_MEANINGS: dict[str, tuple[type[RegistryError], str]] = {
    "RepositoryNotFoundException": (NotFound, "create it, or push with --create-repository"),
    "UploadNotFoundException": (UploadLost, ""),
    "ImageTagAlreadyExistsException": (TagImmutable, "push under another tag, or make the repository's tags mutable"),
    "RepositoryNotEmptyException": (RegistryError, "delete its images first, or force the deletion"),
    "LimitExceededException": (RegistryError, "ask AWS for a larger quota, or delete what is not needed"),
    "KmsException": (RegistryError, "check the repository's key and the permission to use it"),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        (Unauthorized, "renew the credentials: aws sso login, or a new session token"),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation", "401", "403"),
        (Unauthorized, "grant the permission in the IAM policy, or choose other credentials with AWS_PROFILE"),
    ),
    **dict.fromkeys(
        (
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSignatureException",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
        ),
        (Unauthorized, _SIGNATURE_ADVICE),
    ),
    **dict.fromkeys(
        (
            "AuthFailure",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "OptInRequired",
            "UnrecognizedClientException",
        ),
        (Unauthorized, _KEY_ADVICE),
    ),
    **dict.fromkeys(
        (
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
            "429",
        ),
        (RateLimited, _RATE_ADVICE),
    ),
}

# Of a request that was signed with a key that is good.
_DAMAGE = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch", "SerializationException"})
_LONGEST_MESSAGE = 1000


def error_of(what: str, reply: HttpResponse, *, now: float | None = None) -> RegistryError:
    """
    Return the error that a reply with any status but success stands for.

    Args:
        what: what was being done to what: "InitiateLayerUpload app".
        reply: the answer.
        now: the time that a Retry-After date is measured from, in seconds since the epoch.
    """
    members = _members(reply.body)
    code = _code(members or {}, reply)
    kind, advice = _meaning(code, reply.status, readable=members is not None)
    message = _message(members or {}, signed=advice == _SIGNATURE_ADVICE) or _unreadable(reply, code)
    return kind(
        f"{what}: {message}; {advice}" if advice else f"{what}: {message}",
        status=reply.status,
        code=code,
        retry_after=retry_after(reply.headers, now=time.time() if now is None else now),
        details={
            name: value for name, value in (members or {}).items() if name not in {"__type", "message", "Message"}
        },
    )


def is_damage(error: RegistryError) -> bool:
    """Return whether a refusal is what a request meets whose bytes were changed on their way, over plain HTTP."""
    return error.code in _DAMAGE


def _members(body: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def _code(members: Mapping[str, Any], reply: HttpResponse) -> str:
    """`__type` without its namespace, else the header of the same meaning, else the status."""
    named = members.get("__type") or reply.headers.get("x-amzn-errortype", "")
    code = str(named).partition(":")[0].rpartition("#")[2]
    return code if re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,99}", code) else str(reply.status)


def _meaning(code: str, status: int, *, readable: bool) -> tuple[type[RegistryError], str]:
    known = _MEANINGS.get(code) or _MEANINGS.get(str(status))
    if known is not None:
        return known
    if code.endswith("NotFoundException"):
        return NotFound, ""
    if status >= 500:
        return RegistryError, "try again later"
    return RegistryError, "" if readable else "check that AWS_ENDPOINT_URL is the address of an ECR API"


def _message(members: Mapping[str, Any], *, signed: bool) -> str:
    """Return the registry's own words on one line; of a refused signature only the first sentence."""
    message = members.get("message") or members.get("Message")
    if not isinstance(message, str):
        return ""
    if signed:
        # AWS goes on to quote the request it saw, Authorization and session token included.
        message = re.split(r"['\"\n]|\.\s", message, maxsplit=1)[0]
    return printable(message)[:_LONGEST_MESSAGE].rstrip(".")


def _unreadable(reply: HttpResponse, code: str) -> str:
    if code != str(reply.status):
        return f"the registry answered {code} ({reply.status})"
    kind = printable(reply.headers.get("content-type", "").partition(";")[0])
    content = (kind or "unknown content") if reply.body else "an empty body"
    return f"the answer was {reply.status} with {content}"
