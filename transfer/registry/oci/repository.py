"""One repository of an OCI registry: its tags, what they hold, deletion, and the check of a login."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from transfer.auth.login_status import ANONYMOUS, LoginStatus, Permission, try_each
from transfer.concurrency.tasks import gather
from transfer.errors import TransferError
from transfer.model.digest import Digest
from transfer.registry.oci.client import DistributionClient


class DistributionRepository:
    """One repository of one registry."""

    def __init__(self, client: DistributionClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    def tags(self) -> AsyncIterator[str]:
        """Return every tag, over all pages, in the registry's order."""
        return self._client.tags(self._repository)

    async def digests(self, tags: Sequence[str]) -> dict[str, Digest | TransferError]:
        """Look up what tags hold, by one HEAD each; an error where that cannot be told; missing ones are left out."""

        async def ask(tag: str) -> Digest | TransferError | None:
            try:
                return await self._client.head_manifest(self._repository, tag)
            except TransferError as error:
                return error

        found = await gather(ask(tag) for tag in tags)
        return {tag: one for tag, one in zip(tags, found, strict=True) if one is not None}

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """Return the referrers of a manifest."""
        return frozenset(one.digest for one in await self._client.referrers(self._repository, digest))

    async def delete(self, name: str) -> None:
        """
        Delete a tag, or a manifest by digest with all its tags.

        Raises:
            NotFound: there is none.
        """
        await self._client.delete_manifest(self._repository, name)


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
