"""
Vacancies: repositories that held no tag when a registry was first asked, so that most of what one wants to know of
them need not be asked.

A repository without tags may yet hold something, of somebody's push that was broken off say. What is taken not to be
there is therefore only what costs no more to send than to ask for.
"""

from collections.abc import Awaitable, Callable, Iterable

from transfer.engine.limits import Flights
from transfer.errors import TransferError
from transfer.model.digest import Digest

# Asking costs a round trip whatever the size, sending so much not another one.
CHEAPLY_SENT_BYTES = 64 * 1024


class Vacancies:
    """What is known of one registry's repositories; each is asked for once."""

    def __init__(self) -> None:
        self._put: dict[str, set[Digest] | None] = {}
        self._asking: Flights[None] = Flights()

    async def ask(self, repository: str, is_used: Callable[[str], Awaitable[bool]]) -> bool:
        """Whether a repository was vacant at first; not, where that cannot be told."""

        async def once() -> None:
            try:
                used = await is_used(repository)
            except TransferError:
                used = True
            self._put[repository] = None if used else set()

        if repository not in self._put:
            await self._asking.run(repository, once, None)
        return self.has(repository)

    def has(self, repository: str) -> bool:
        """Whether a repository is known to have been vacant at first."""
        return self._put.get(repository) is not None

    def note(self, repository: str, digest: Digest) -> None:
        """A manifest was put into a repository."""
        put = self._put.get(repository)
        if put is not None:
            put.add(digest)

    def put(self, repository: str, manifests: Iterable[Digest]) -> frozenset[Digest]:
        """Those manifests that are in a repository that was vacant at first."""
        return frozenset(manifests) & (self._put.get(repository) or set())
