"""Whether a login works at a registry that speaks OCI Distribution. Does not know where logins come from."""

from collections.abc import Awaitable, Callable

from transfer.auth.login_status import ANONYMOUS, LoginStatus, Permission, try_each
from transfer.registry.oci.client import DistributionClient


async def check_registry(client: DistributionClient, repository: str) -> LoginStatus:
    """
    Ask for `/v2/` and, in a repository, for a manifest, which need not be there.

    A token server may hand out a token that allows nothing, so that only a request tells.

    Args:
        client: the registry.
        repository: empty for the registry alone.
    """
    questions: dict[Permission, Callable[[], Awaitable[object]]] = {"login": lambda: client.ping(repository)}
    if repository:
        questions["pull"] = lambda: client.head_manifest(repository, "latest")
    tried = await try_each(questions)
    login = client.shown_login(repository)
    return LoginStatus(
        registry=client.registry,
        repository=repository or None,
        state=tried.state(somebody=login is not None),
        user=(login.username or "<token>") if login else None,
        source=login.origin if login else ANONYMOUS,
        permission=tried.permission,
        detail=tried.detail,
    )
