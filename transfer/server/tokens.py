"""
Authorization tokens: the password that GetAuthorizationToken gives out for the user `AWS`, good for a while.

A token carries its own end and the registry's mark, so none is kept, and one is good again after a restart. Does not
know who asks.
"""

import secrets
from collections.abc import Sequence

from transfer.server.errors import ApiError
from transfer.server.pages import make_token, read_token

USER = "AWS"
_SCOPE: Sequence[str] = ("GetAuthorizationToken",)


def make_password(secret: str, expires: float) -> str:
    """A password that is good until `expires`, in seconds since 1970."""
    return make_token(secret, _SCOPE, [repr(expires), secrets.token_hex(16)])


def expiry(secret: str, password: str) -> float | None:
    """When a password ends or ended; None for one that this registry never gave out."""
    try:
        expires, _ = read_token(secret, _SCOPE, password)
    except (ApiError, ValueError):
        return None
    return float(expires)
