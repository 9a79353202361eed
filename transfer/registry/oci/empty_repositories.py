"""
Vacancies: repositories without a tag when a registry was first asked, so that small blobs need not be asked for.

A repository without tags may yet hold something, of somebody's push that was broken off say. What is taken not to be
there is therefore only what costs no more to send than to ask for.
"""

from collections.abc import Awaitable, Callable, Iterable

from transfer.concurrency.limits import SingleFlight
from transfer.errors import TransferError
from transfer.model.descriptor import Descriptor

# Asking costs a round trip whatever the size, sending so much not another one.
_CHEAPLY_SENT_BYTES = 64 * 1024
# Listing tags is dear for some registries where there are many of them: fewer questions than this are better asked.
_WORTH_IT = 8


def cheap(blobs: Iterable[Descriptor]) -> list[Descriptor]:
    """Those of some blobs that would better be sent than asked for, if the repository were vacant."""
    small = [blob for blob in blobs if blob.size <= _CHEAPLY_SENT_BYTES]
    return small if len(small) >= _WORTH_IT else []


class EmptyRepositories:
    """What is known of one registry's repositories; each is asked for once."""

    def __init__(self) -> None:
        self._vacant: dict[str, bool] = {}
        self._asking: SingleFlight[None] = SingleFlight()

    async def ask(self, repository: str, is_used: Callable[[], Awaitable[bool]]) -> bool:
        """Whether a repository was vacant at first; not, where that cannot be told."""

        async def once() -> None:
            try:
                self._vacant[repository] = not await is_used()
            except TransferError:
                self._vacant[repository] = False

        if repository not in self._vacant:
            await self._asking.run(repository, once, None)
        return self._vacant[repository]
