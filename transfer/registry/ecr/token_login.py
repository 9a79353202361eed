"""
Logins at ECR registries: the token of the API, for registries that are reached by the Distribution API.

The token stands for the AWS credentials that the API is called with, so nobody has to run `docker login`, and it is
called for again before it ends. Knows nothing of how it is used.
"""

import base64
import binascii
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from transfer.auth.credentials import Login
from transfer.errors import CredentialsMissing
from transfer.registry.ecr.client import EcrClient

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import AuthorizationDataTypeDef

# ECR's tokens live 12 hours; one with less than this left is not begun with.
_MARGIN = 1800.0


class EcrLogins:
    """
    The login of one region's registries by GetAuthorizationToken.

    Args:
        client: the ECR API as whoever is to be logged in.
    """

    def __init__(self, client: EcrClient, *, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._login: Login | None = None

    async def find(self, registry: str, repository: str) -> Login:  # noqa: ARG002 - good for every one of the region
        """
        The token, as long as it is fresh.

        Raises:
            CredentialsMissing: there are no AWS credentials, or the answer holds no token.
            RegistryError, ConnectionFailed: the API refuses, or cannot be reached.
        """
        login = self._login
        if login is None or login.expires_at is None or login.expires_at - self._clock() < _MARGIN:
            login = self._login = _read((await self._client.get_authorization_token())["authorizationData"], registry)
        return login

    def forget(self, registry: str) -> None:  # noqa: ARG002 - as above
        """The token was refused as expired: ask for another one next time."""
        self._login = None


def _read(data: list["AuthorizationDataTypeDef"], registry: str) -> Login:
    first = data[0] if data else {}
    expires_at = first.get("expiresAt")
    try:
        token = base64.b64decode(first.get("authorizationToken", ""), validate=True).decode()
    except (binascii.Error, UnicodeError):
        token = ""
    username, colon, password = token.partition(":")
    if not colon or not password:
        raise CredentialsMissing(f"GetAuthorizationToken for {registry}: the answer holds no token that can be used")
    return Login(username, password, expires_at=expires_at.timestamp() if expires_at else None)
