"""Tokens: passwords of GetAuthorizationToken, and page tokens, which say where a list goes on."""

import hmac
import re
import secrets
from collections.abc import Sequence

import msgspec
import pybase64

from transfer.server.errors import ApiError

_MAC_BYTES = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def make_token(secret: str, scope: Sequence[str | None], after: Sequence[str]) -> str:
    """Return a token for what follows `after` in the list that `scope` names."""
    place = msgspec.json.encode(list(after))
    return pybase64.urlsafe_b64encode(_mac(secret, scope, place) + place).decode()


def read_token(secret: str, scope: Sequence[str | None], token: str) -> list[str]:
    """
    Return the place that a token stands for.

    Raises:
        ApiError: InvalidParameterException, when it was not made for this list.
    """
    try:
        # The decoder takes the other alphabet's '+' and '/' too, for now.
        raw = pybase64.b64decode(token.encode(), altchars=b"-_", validate=True) if _TOKEN.fullmatch(token) else b""
    except ValueError:
        raw = b""
    mac, place = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, scope, place)):
        raise ApiError("InvalidParameterException", "Invalid parameter at 'nextToken': the token is not valid")
    return msgspec.json.decode(place, type=list[str])


def _mac(secret: str, scope: Sequence[str | None], place: bytes) -> bytes:
    named = msgspec.json.encode(list(scope))
    return hmac.digest(secret.encode(), len(named).to_bytes(4) + named + place, "sha256")[:_MAC_BYTES]


USER = "AWS"
_SCOPE: Sequence[str] = ("GetAuthorizationToken",)


def make_password(secret: str, expires: float) -> str:
    """Return a password that is good until `expires`, in seconds since 1970."""
    return make_token(secret, _SCOPE, [repr(expires), secrets.token_hex(16)])


def expiry(secret: str, password: str) -> float | None:
    """Return when a password expires; None for one that this registry did not issue."""
    try:
        expires, _ = read_token(secret, _SCOPE, password)
    except (ApiError, ValueError):
        return None
    return float(expires)
