"""
One upload of a blob that later runs continue, whichever protocol carries it.

An attempt goes on in the session that the journal has. When that session is lost the upload starts over, in a new
one. A protocol says how to initiate, send, settle and commit.
"""

from abc import ABC, abstractmethod

from transfer.engine.protocols import BlobContext, BlobSent
from transfer.errors import UploadLost
from transfer.events import BlobProgress, Notice
from transfer.state.journal import Journal, UploadState

# A session is lost by expiry or to another writer; losing it three times in one run has some other cause.
_MOST_STARTS = 4
_MOST_MISSTEPS = 4


class ResumableUpload(ABC):
    """
    One blob on its way into one repository.

    Args:
        blob: what is sent, and its observer.
        journal: keeps the state of the upload session between runs, under `key`.
        name: the blob and, where it is known, its target, for messages.
    """

    def __init__(self, blob: BlobContext, journal: Journal, key: str, name: str) -> None:
        self._context = blob
        self._blob = blob.descriptor
        self._journal = journal
        self._key = key
        self._name = name
        self._sent = 0
        self._told = 0
        self._furthest = 0
        self._kept = 0
        self._missteps = 0
        # One that is made in another way than those before is not counted.
        self._starts_left = _MOST_STARTS
        # False once the session may hold bytes that were not sent, in order and confirmed, by this very run.
        self._all_ours = True

    async def run(self) -> BlobSent:
        """
        Upload the blob.

        Raises:
            ContentMismatch: it is not what its digest says; nothing was committed.
            TransferError: the registry, the source or the connection failed; what was confirmed is in the journal.
        """
        state = await self._earlier_state()
        while True:
            self._starts_left -= 1
            try:
                return await self._attempt(state)
            except UploadLost as lost:
                if self._starts_left <= 0:
                    raise
                state, self._all_ours = None, True
                await self._journal.drop(self._key)
                self._context.notify(Notice(f"blob {self._blob.digest} starts over: {lost}"))

    async def _earlier_state(self) -> UploadState | None:
        """Return where an earlier run stopped, if the journal knows."""
        return await self._journal.get(self._key)

    @abstractmethod
    async def _attempt(self, state: UploadState | None) -> BlobSent:
        """Carry one session from where it stands to its end; UploadLost when only a new one can help."""

    def _begin_at(self, offset: int) -> None:
        """Set how much of it an earlier run has sent, before anything is sent now."""
        self._told = self._kept = offset
        self._missteps = 0

    def _step_back(self, offset: int) -> None:
        """Count that the session stands elsewhere than after what was sent; UploadLost when it happens often."""
        self._kept, self._missteps = min(self._kept, offset), self._missteps + 1
        if self._missteps > _MOST_MISSTEPS:
            raise self._lost("the registry keeps moving back in it")

    def _tell(self, offset: int) -> None:
        """Report the bytes that are being sent or confirmed; fewer than before where some must be sent again."""
        self._furthest = max(self._furthest, offset)
        if offset != self._told:
            self._told = offset
            self._context.notify(BlobProgress(self._blob.digest, offset))

    def _lost(self, reason: str) -> UploadLost:
        return UploadLost(f"{self._name}: {reason}", status=400, code="OutOfStep", side="target")
