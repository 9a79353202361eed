"""
Logins by ECR's authorization tokens, and the check whether AWS credentials work at a registry.

A token stands for the AWS credentials that the API is called with, so nobody has to run `docker login`.
"""

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from transfer.auth.credentials import Login
from transfer.auth.login_status import LoginStatus, Permission, try_each
from transfer.errors import CredentialsMissing
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import EcrHost, names_of, parse_ecr_host

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
        Return the token, as long as it is fresh.

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


class EcrLoginCheck:
    """
    One question for each permission: GetAuthorizationToken, and BatchGetImage for an image that need not be there.

    Args:
        open_client: finds the credentials; its errors are answers too.
        host: the registry.
        repository: empty for the registry alone.
    """

    def __init__(self, open_client: Callable[[], Awaitable[EcrClient]], host: EcrHost, repository: str) -> None:
        self._open_client = open_client
        self._host = host
        self._repository = repository
        self._source = "AWS"
        self._account = host.account
        self._expires_at: datetime | None = None

    async def run(self, registry: str) -> LoginStatus:
        """
        Ask, and say what came of it.

        Raises:
            InvalidConfig: no region, or a configuration that cannot be read.
        """
        questions: dict[Permission, Callable[[], Awaitable[object]]] = {"login": self._log_in}
        if self._repository:
            questions["pull"] = self._pull
        tried = await try_each(questions)
        return LoginStatus(
            registry=registry,
            repository=self._repository or None,
            state=tried.state(somebody=True),
            user=self._account if tried.permission else None,
            source=self._source,
            permission=tried.permission,
            expires_at=self._expires_at,
            detail=tried.detail,
        )

    async def _log_in(self) -> None:
        client = await self._open_client()
        self._source = f"AWS ({client.credentials_source})"
        for data in (await client.get_authorization_token())["authorizationData"]:
            self._expires_at = data.get("expiresAt")
            # The endpoint that is returned without asking for one is that of the caller's own account.
            caller = parse_ecr_host(urlsplit(data.get("proxyEndpoint", "")).netloc)
            self._account = caller.account if caller else self._account

    async def _pull(self) -> None:
        client = await self._open_client()
        names = names_of(self._host.account, self._repository)
        await client.batch_get_image(**names, imageIds=[{"imageTag": "latest"}])
