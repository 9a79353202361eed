"""
Page tokens: where a list goes on, opaque to the client.

A token is good for the list that it was made for and no other, on any server with the same secret. Does not know what
is listed.
"""

import hmac
from collections.abc import Sequence

import msgspec
import pybase64

from transfer.server.errors import ApiError

_MAC_BYTES = 16


def make_token(secret: str, scope: Sequence[str | None], after: Sequence[str]) -> str:
    """A token for what follows `after` in the list that `scope` names."""
    place = msgspec.json.encode(list(after))
    return pybase64.urlsafe_b64encode(_mac(secret, scope, place) + place).decode()


def read_token(secret: str, scope: Sequence[str | None], token: str) -> list[str]:
    """
    The place that a token stands for.

    Raises:
        ApiError: InvalidParameterException, when it was not made for this list.
    """
    try:
        raw = pybase64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    mac, place = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, scope, place)):
        raise ApiError("InvalidParameterException", "Invalid parameter at 'nextToken': the token is not valid")
    return msgspec.json.decode(place, type=list[str])


def _mac(secret: str, scope: Sequence[str | None], place: bytes) -> bytes:
    named = msgspec.json.encode(list(scope))
    return hmac.digest(secret.encode(), len(named).to_bytes(4) + named + place, "sha256")[:_MAC_BYTES]
