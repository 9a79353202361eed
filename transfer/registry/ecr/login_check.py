"""Whether AWS credentials work at a registry of ECR. Does not know where they come from."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import urlsplit

from transfer.auth.login_status import LoginStatus, Permission, try_each
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import EcrHost, parse_ecr_host
from transfer.registry.ecr.names import names_of


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
            # The endpoint that is told without being asked for one is that of the caller's own account.
            caller = parse_ecr_host(urlsplit(data.get("proxyEndpoint", "")).netloc)
            self._account = caller.account if caller else self._account

    async def _pull(self) -> None:
        client = await self._open_client()
        names = names_of(self._host.account, self._repository)
        await client.batch_get_image(**names, imageIds=[{"imageTag": "latest"}])
