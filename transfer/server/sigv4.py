"""
AWS Signature Version 4, the verifying side, written from its specification.

Source: AWS General Reference, "Create a signed AWS API request", and Amazon S3 API Reference, "Authenticating
requests: using query parameters". Shares no code with the client's signer, so the two cannot share a mistake. Pure:
time is an argument.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self
from urllib.parse import parse_qsl, quote

from transfer.server.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"

# ECR's own words name 15 minutes (upmc-enterprises/registry-creds#24 and #47); some other services give 5.
_SKEW_SECONDS = 15 * 60
_DATE = "%Y%m%dT%H%M%SZ"
_FIELD = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^,\s]+)\s*")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Key:
    """An access key with its secret, and where it is good."""

    access_key: str
    secret_key: str
    region: str
    service: str

    def __repr__(self) -> str:
        return f"Key({self.access_key!r}, region={self.region!r}, service={self.service!r})"

    def scope(self, day: str) -> str:
        return f"{day}/{self.region}/{self.service}/aws4_request"

    def sign(self, text: str, day: str) -> str:
        signing_key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, self.service, "aws4_request"):
            signing_key = hmac.digest(signing_key, part.encode(), "sha256")
        return hmac.new(signing_key, _bytes(text), "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The signed parts of a request: the query as raw text, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, Sequence[str]]

    def canonical(self, signed: Sequence[str], payload: str) -> str:
        pairs = sorted((_encode(name), _encode(value)) for name, value in parse_qsl(self.query, keep_blank_values=True))
        headers = "".join(f"{name}:{','.join(map(_squeeze, self.headers.get(name, ())))}\n" for name in signed)
        query = "&".join(f"{name}={value}" for name, value in pairs)
        return "\n".join((self.method, self.path, query, headers, ";".join(signed), payload))


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that a request claims to have, its key and scope already found good."""

    key: Key
    date: str
    signed: tuple[str, ...]
    value: str

    def covers(self, request: SignedRequest, payload: str) -> bool:
        canonical = request.canonical(self.signed, payload)
        text = "\n".join((ALGORITHM, self.date, self.key.scope(self.date[:8]), _sha256(canonical)))
        return hmac.compare_digest(_bytes(self.key.sign(text, self.date[:8])), _bytes(self.value))

    def check(self, request: SignedRequest, payload: str) -> None:
        """
        Compare with the whole request, once its body is hashed.

        Raises:
            ApiError: InvalidSignatureException.
        """
        if not self.covers(request, payload):
            raise _invalid(_MISMATCH)


def read_header(request: SignedRequest, key: Key, now: float) -> Signature:
    """
    Read the Authorization header and refuse all that can be refused before the body is known.

    The codes and the status 400 are those seen from AWS's JSON services: registry-creds#24 (ECR),
    aws-sdk-php#1114 (ECR), prometheus-ecs-discovery#7 (ECS). Session tokens are not looked at: this registry has one
    key, and a token left over in the environment should not hide it.

    Raises:
        ApiError: MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException or
            InvalidSignatureException.
    """
    header = " ".join(request.headers.get("authorization", ()))
    if not header:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    scheme, _, rest = header.partition(" ")
    fields = {match[1]: match[2] for item in rest.split(",") if (match := _FIELD.fullmatch(item))}
    date = next(iter(request.headers.get("x-amz-date", ())), "")
    if scheme != ALGORITHM or len(fields) != 3 or not _is_date(date):
        raise _incomplete()
    credential = fields["Credential"].split("/")
    signed = tuple(fields["SignedHeaders"].split(";"))
    if len(credential) != 5 or list(signed) != sorted(signed):
        raise _incomplete()
    _check_credential(credential, key, date)
    for name in ("host", *request.headers):
        if (name == "host" or name.startswith("x-amz-")) and name not in signed:
            raise _invalid(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    _check_skew(date, now)
    return Signature(key, date, signed, fields["Signature"])


def _check_credential(credential: Sequence[str], key: Key, date: str) -> None:
    access_key, day, region, service, terminator = credential
    if access_key != key.access_key:
        raise ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if region != key.region:
        raise _invalid(f"Credential should be scoped to a valid region, not '{region}'. ")
    if service != key.service:
        raise _invalid(f"Credential should be scoped to correct service: '{key.service}'. ")
    if terminator != "aws4_request" or day != date[:8]:
        raise _invalid(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date, '{date}'")


def _check_skew(date: str, now: float) -> None:
    signed_at = _seconds(date)
    oldest, newest = _stamp(now - _SKEW_SECONDS), _stamp(now + _SKEW_SECONDS)
    if signed_at < now - _SKEW_SECONDS:
        raise _invalid(f"Signature expired: {date} is now earlier than {oldest} ({_stamp(now)} - 15 min.)")
    if signed_at > now + _SKEW_SECONDS:
        raise _invalid(f"Signature not yet current: {date} is still later than {newest} ({_stamp(now)} + 15 min.)")


def sign_query(path: str, host: str, key: Key, *, now: float, lifetime: int) -> str:
    """Return the query that lets anybody GET `path` at `host` for `lifetime` seconds."""
    date = _stamp(now)
    query = "&".join(
        f"{name}={_encode(value)}"
        for name, value in (
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{key.access_key}/{key.scope(date[:8])}"),
            ("X-Amz-Date", date),
            ("X-Amz-Expires", str(lifetime)),
            ("X-Amz-SignedHeaders", "host"),
        )
    )
    canonical = SignedRequest("GET", path, query, {"host": [host]}).canonical(("host",), UNSIGNED)
    text = "\n".join((ALGORITHM, date, key.scope(date[:8]), _sha256(canonical)))
    return f"{query}&X-Amz-Signature={key.sign(text, date[:8])}"


@dataclass(frozen=True, slots=True)
class QueryFields:
    """The X-Amz-… parameters of a signed URL."""

    credential: str
    date: str
    expires: int
    signed: tuple[str, ...]
    signature: str

    @classmethod
    def read(cls, query: str) -> Self | None:
        """None when one is missing, malformed or there twice."""
        pairs = parse_qsl(query, keep_blank_values=True)
        given = dict(pairs)
        expires = given.get("X-Amz-Expires", "")
        known = (given.get(f"X-Amz-{name}", "") for name in ("Credential", "Date", "SignedHeaders", "Signature"))
        credential, date, signed, signature = known
        complete = credential and signed and signature and _is_date(date) and re.fullmatch("[0-9]{1,6}", expires)
        if not complete or len(pairs) != len(given) or given.get("X-Amz-Algorithm") != ALGORITHM:
            return None
        return cls(credential, date, int(expires), tuple(signed.split(";")), signature)


def check_query(request: SignedRequest, key: Key, now: float) -> None:
    """
    Verify a signed URL, as S3 does.

    Raises:
        ApiError: AccessDenied, InvalidAccessKeyId or SignatureDoesNotMatch, status 403; InvalidArgument, status 400,
            when an Authorization header came along (open-policy-agent/opa#6728).
    """
    fields = QueryFields.read(request.query)
    if "authorization" in request.headers and fields is not None:
        raise ApiError(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
        )
    if fields is None:
        raise ApiError("AccessDenied", "Access Denied", status=403)
    if fields.credential.partition("/")[0] != key.access_key:
        unknown = "The AWS Access Key Id you provided does not exist in our records."
        raise ApiError("InvalidAccessKeyId", unknown, status=403)
    unsigned = "&".join(part for part in request.query.split("&") if not part.startswith("X-Amz-Signature="))
    claimed = Signature(key, fields.date, fields.signed, fields.signature)
    in_scope = fields.credential == f"{key.access_key}/{key.scope(fields.date[:8])}" and "host" in fields.signed
    # S3 takes a URL signed for GET for a HEAD too when it was signed as such; ours are signed for GET alone.
    if not in_scope or not claimed.covers(replace(request, query=unsigned), UNSIGNED):
        raise ApiError("SignatureDoesNotMatch", _MISMATCH.partition(" Consult")[0], status=403)
    if not _seconds(fields.date) <= now + _SKEW_SECONDS or now > _seconds(fields.date) + fields.expires:
        raise ApiError("AccessDenied", "Request has expired", status=403)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message)


def _incomplete() -> ApiError:
    return ApiError(
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a "
        "'X-Amz-Date' or a 'Date' header.",
    )


def _encode(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


def _squeeze(value: str) -> str:
    return re.sub(" +", " ", value.strip())


def _sha256(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def _bytes(text: str) -> bytes:
    """Return what came: a header's bytes that are not UTF-8 are lone surrogates in its text."""
    return text.encode("utf-8", "surrogateescape")


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_DATE)


def _seconds(date: str) -> float:
    return datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()


def _is_date(text: str) -> bool:
    try:
        return datetime.strptime(text, _DATE).replace(tzinfo=UTC).strftime(_DATE) == text
    except ValueError:
        return False
