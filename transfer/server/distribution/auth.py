"""
Authentication at `/v2/`: HTTP Basic, with an ECR token or the registry's access key and secret.

Source: ECR user guide, "Private registry authentication": user AWS, the token of GetAuthorizationToken as password.
Pure.
"""

import hmac

import pybase64

from transfer.server import tokens
from transfer.server.settings import Settings

GOOD, EXPIRED, REFUSED = "good", "expired", "refused"


def judge(header: str | None, settings: Settings, now: float) -> str:
    """Return whether an Authorization header is GOOD, holds an EXPIRED token or is REFUSED."""
    user, password = _basic(header or "")
    if _equal(user, settings.access_key) and _equal(password, settings.secret_key):
        return GOOD
    expires = tokens.expiry(settings.secret_key, password) if user == tokens.USER else None
    if expires is None:
        return REFUSED
    return GOOD if now < expires else EXPIRED


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        text = pybase64.b64decode(value.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
