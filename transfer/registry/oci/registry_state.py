"""Knowledge of one registry's repositories: where blobs can be mounted from, and which were empty."""

from collections.abc import Awaitable, Callable, Iterable

from transfer.concurrency.limiters import SingleFlight
from transfer.errors import TransferError
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest


class MountCandidates:
    """Repositories of one registry that hold blobs, from which they can be mounted."""

    def __init__(self) -> None:
        # Insertion is the order in which repositories were heard of; the first one is asked first.
        self._repositories: dict[Digest, dict[str, None]] = {}

    def note(self, repository: str, digest: Digest) -> None:
        """A repository has a blob."""
        self._repositories.setdefault(digest, {})[repository] = None

    def forget(self, repository: str, digest: Digest) -> None:
        """It does not, or it may not be taken from there."""
        self._repositories.get(digest, {}).pop(repository, None)

    def elsewhere(self, digest: Digest, *, but: str) -> str | None:
        """Return another repository that has the blob."""
        return next((one for one in self._repositories.get(digest, ()) if one != but), None)


# Asking costs a round trip whatever the size, sending so much not another one.
_CHEAPLY_SENT_BYTES = 64 * 1024
# Listing tags is dear for some registries where there are many of them: fewer questions than this are better asked.
_WORTH_IT = 8


def cheap(blobs: Iterable[Descriptor]) -> list[Descriptor]:
    """Return those of some blobs that would better be sent than asked for, if the repository were vacant."""
    small = [blob for blob in blobs if blob.size <= _CHEAPLY_SENT_BYTES]
    return small if len(small) >= _WORTH_IT else []


class EmptyRepositories:
    """Repositories of one registry that had no tag at first; each is asked once."""

    def __init__(self) -> None:
        self._vacant: dict[str, bool] = {}
        self._asking: SingleFlight[None] = SingleFlight()

    async def ask(self, repository: str, is_used: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether a repository was vacant at first; not, where that cannot be told."""

        async def once() -> None:
            try:
                self._vacant[repository] = not await is_used()
            except TransferError:
                self._vacant[repository] = False

        if repository not in self._vacant:
            await self._asking.run(repository, once, None)
        return self._vacant[repository]
