"""
Upload one blob: in one piece, or in chunks that a later run can continue.

A chunk whose fate is unknown is settled by asking the session where it stands, a commit by asking for the blob.
Registries differ in what they take: one that refuses chunks gets the blob in one piece, one that refuses large bodies
gets smaller chunks, and what was learned holds for its other blobs. A registry computes the digest of what it
commits, so that nobody else does for large blobs, until one is refused: then all of it is looked at on its second
way, to tell whether it was read or stored wrong.
"""

import asyncio
import time
from contextlib import suppress

import msgspec

from transfer.concurrency.limiters import Lease, WeightedSemaphore
from transfer.concurrency.steps import Steps
from transfer.engine.blob_reader import HELD_BYTES, BlobReader, SourceFailed
from transfer.engine.protocols import BlobContext, BlobSent, BlobSource
from transfer.errors import ContentMismatch, NotFound, RegistryError, TransferError, UploadLost
from transfer.events import BlobStarted
from transfer.http.bodies import BlobBody, RequestBody
from transfer.http.messages import held_bytes
from transfer.registry.chunk_size import chunk_after_loss, is_slow, next_chunk
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.requests import UploadSession
from transfer.registry.resumable_upload import ResumableUpload
from transfer.state.journal import Journal, UploadState

# Refusals of a first chunk that mean "no chunks here"; a first chunk can hardly be wrong in itself.
_NO_CHUNKS = frozenset({400, 405, 411, 415, 416, 422, 501})
# What a registry says when the bytes it put together are not what was announced.
_SPOILED = frozenset({"BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID", "400", "416"})
# Below this a body is refused for another reason than its size.
_SMALLEST_CHUNK = 1024 * 1024
_CANCEL_SECONDS = 5.0
# The registry computes the digest of all that it holds, whichever run sent it: what is sent need not be looked at.
_UNGUARDED = 0


class UploadSite(msgspec.Struct, frozen=True):
    """What all uploads into one repository share; `key` identifies registry and repository in the journal."""

    key: str
    client: DistributionClient
    repository: str
    journal: Journal
    bytes_in_flight: WeightedSemaphore
    steps: Steps
    chunk_bytes: int
    chunk_threshold: int


class BlobUpload(ResumableUpload):
    """
    One blob on its way into one repository.

    Args:
        opened: a session that the registry has opened already, instead of mounting the blob.
    """

    def __init__(
        self, site: UploadSite, blob: BlobContext, source: BlobSource, opened: UploadSession | None = None
    ) -> None:
        digest = blob.descriptor.digest
        name = f"blob {digest} to {site.client.registry}/{site.repository}"
        super().__init__(blob, site.journal, f"{site.key}@{digest}", name)
        self._site = site
        self._source = source
        self._client = site.client.reporting(blob.observe)
        # For the steps of an attempt, which is tried again as a whole.
        self._single = self._client.single()
        self._opened = opened
        self._chunks_sent = 0
        # An upload that was stopped before may have been by a link that breaks.
        self._resumed = False
        # Once the registry has refused what it was sent.
        self._doubted = False

    async def run(self) -> BlobSent:
        """Upload the blob, as the base class says."""
        try:
            return await super().run()
        except SourceFailed as failed:
            raise failed.error from None

    async def _earlier_state(self) -> UploadState | None:
        # What is held in memory is not written down; an older run with smaller chunks loses as much at most.
        return None if self._in_memory else await super()._earlier_state()

    @property
    def _in_memory(self) -> bool:
        """Whether it is read at once, and sent by the event loop; all else goes by worker threads."""
        return self._blob.size <= min(self._client.large_blob_bytes, self._site.chunk_threshold)

    async def _attempt(self, state: UploadState | None) -> BlobSent:
        size, habits = self._blob.size, self._client.habits
        self._chunks_sent = 0
        with Lease(self._site.bytes_in_flight) as share:
            await share.take(size if self._in_memory else min(size, HELD_BYTES))
            async with BlobReader(self._source, self._blob, verify=self._doubted) as reader:
                fits = size <= self._site.chunk_threshold and size <= habits.largest_body
                if state is None and (fits or not habits.takes_chunks):
                    return await self._send_whole(reader)
                return await self._send_chunks(reader, state)

    async def _send_whole(self, reader: BlobReader) -> BlobSent:
        """POST, then one PUT; a try that failed begins with the question whether it did not."""
        body, verified = await self._whole(reader)
        self._context.notify(BlobStarted(self._blob))
        tries = 0

        async def once() -> None:
            nonlocal tries
            if tries and await self._single.has_blob(self._site.repository, self._blob.digest):
                return
            if tries > 1 and self._client.habits.takes_chunks and self._blob.size > _SMALLEST_CHUNK:
                raise self._too_large()
            self._tell(0)
            upload = await self._start(self._single)
            tries += 1
            try:
                await self._single.finish_upload(upload, self._blob.digest, body, self._tell)
            except (TransferError, SourceFailed) as error:
                # What of a broken body is in the session nobody knows: it is of no more use.
                await self._cancel(upload)
                raise self._judge_whole(error, verified=verified) from error

        async with self._site.steps.step():
            await self._client.retry(f"PUT {self._name}", once, progress=lambda: self._furthest)
        self._tell(self._blob.size)
        return BlobSent(self._blob.size)

    async def _whole(self, reader: BlobReader) -> tuple[RequestBody | BlobBody, bool]:
        """Return all of it as a body, and whether its digest is looked at before its last byte is sent."""
        if self._in_memory:
            content = await reader.content()
            return RequestBody.of(content, blob_bytes=len(content)), True
        if self._doubted:
            await reader.check_file()
        return BlobBody(reader, 0, self._blob.size), self._doubted

    def _judge_whole(self, error: Exception, *, verified: bool) -> Exception:
        habits = self._client.habits
        if not isinstance(error, RegistryError):
            return error
        if error.status == 413 and habits.takes_chunks and self._blob.size > _SMALLEST_CHUNK:
            return self._too_large()
        if error.code == "DIGEST_INVALID":
            return self._changed(error) if verified else self._doubtful(error)
        return error

    def _too_large(self) -> UploadLost:
        """Have blobs of this size sent in chunks, since one body does not arrive."""
        habits = self._client.habits
        habits.largest_body = min(habits.largest_body, self._blob.size // 2)
        return self._lost(f"a body of {self._blob.size} bytes does not arrive, so it is sent in chunks")

    async def _send_chunks(self, reader: BlobReader, state: UploadState | None) -> BlobSent:
        if self._doubted:
            await reader.check_file()
        if state is None:
            upload, offset = await self._start(self._client), 0
        else:
            self._resumed = True
            upload, offset = await self._resume(state)
        # Before the first chunk of a run too: one that arrives in part is continued by the next run, and such parts
        # must not add up over several runs to more than the journal knows to have been sent.
        await self._journal.put(self._key, UploadState(upload.url, self._chunk(upload), offset, _UNGUARDED))
        self._context.notify(BlobStarted(self._blob, offset))
        self._begin_at(offset)
        try:
            while offset < self._blob.size:
                end = min(offset + self._chunk(upload), self._blob.size)
                async with self._site.steps.step():
                    upload, offset = await self._send_chunk(reader, upload, offset, end)
                if offset != end:
                    self._step_back(offset)
            await self._finish(upload)
        except (ContentMismatch, UploadLost, SourceFailed) as error:
            if not isinstance(error, SourceFailed) or isinstance(error.error, ContentMismatch):
                await self._journal.drop(self._key)
                await self._cancel(upload)
            raise
        await self._journal.drop(self._key)
        return BlobSent(self._sent, self._kept)

    async def _resume(self, state: UploadState) -> tuple[UploadSession, int]:
        """Return the session of an earlier run, where it stands by the registry's word."""
        self._all_ours = False
        if state.offset > self._blob.size:
            raise self._lost("more of it was sent than there is")
        # The last chunk of that run may have arrived in part, or whole, without being recorded.
        most = min(state.offset + state.part_size, self._blob.size)
        upload, held = await self._client.upload_status(UploadSession(self._site.repository, state.upload_id), most)
        if held == 0:
            # Of nothing and of one byte registries say the same, so that the next chunk might be refused.
            await self._cancel(upload)
            self._all_ours = True
            return await self._start(self._client), 0
        return upload, held

    async def _send_chunk(
        self, reader: BlobReader, upload: UploadSession, first: int, end: int
    ) -> tuple[UploadSession, int]:
        """Send [first, end); the session, and where it stands: at `end`, unless it is out of step."""
        at, uncertain = first, False

        async def once() -> None:
            nonlocal upload, at, uncertain
            if uncertain:
                self._all_ours = False
                upload, at = await self._status(upload, first, end)
                self._tell(at)
                if at == end:
                    return
            uncertain = True
            begun, began = at, time.monotonic()
            body = BlobBody(reader, begun, end)
            try:
                upload = await self._single.patch_upload(
                    upload, body, lambda sent: self._tell(begun + sent), alone=self._alone
                )
            except RegistryError as error:
                upload, at = await self._settle(error, upload, begun, end)
                return
            self._note_speed(end - begun, time.monotonic() - began)
            at = end
            self._sent += end - begun
            self._chunks_sent += 1

        await self._client.retry(f"PATCH {self._name}", once, progress=lambda: at)
        if at == end:
            state = UploadState(upload.url, self._chunk(upload), end, _UNGUARDED)
            await self._journal.put(self._key, state)
        self._tell(at)
        return upload, at

    @property
    def _alone(self) -> bool:
        """Whether a chunk gets a connection of its own, which a limit on the bytes of one cannot end in the middle."""
        habits = self._client.habits
        return habits.is_slow or self._resumed or not habits.keeps_broken_chunks

    def _note_speed(self, size: int, seconds: float) -> None:
        habits = self._client.habits
        largest = self._site.chunk_bytes
        habits.chunk_bytes = next_chunk(size, seconds, before=habits.chunk_bytes, largest=largest)
        habits.is_slow = is_slow(seconds)

    async def _status(self, upload: UploadSession, first: int, end: int) -> tuple[UploadSession, int]:
        """Return the session and where it stands, after a chunk broke off."""
        try:
            return await self._single.upload_status(upload, end)
        except UploadLost:
            habits = self._client.habits
            if habits.keeps_broken_chunks or chunk_after_loss(end - first) < end - first:
                self._starts_left += 1
            habits.keeps_broken_chunks = False
            habits.largest_body = min(habits.largest_body, chunk_after_loss(end - first))
            raise

    async def _settle(
        self, error: RegistryError, upload: UploadSession, first: int, end: int
    ) -> tuple[UploadSession, int]:
        """Return the offset to continue at after a chunk was refused, if that is possible."""
        habits = self._client.habits
        if error.status == 413 and end - first > _SMALLEST_CHUNK:
            habits.largest_body = min(habits.largest_body, (end - first) // 2)
            return upload, first
        if first == 0 and self._chunks_sent == 0 and type(error) is RegistryError and error.status in _NO_CHUNKS:
            raise self._no_chunks()
        if isinstance(error, NotFound) and error.code != "NAME_UNKNOWN":
            raise self._lost(f"its session is gone ({error})") from error
        if error.status != 416:
            raise error
        self._all_ours = False
        held = held_bytes({"range": str(error.details.get("range", ""))}, end)
        if held is None:
            upload, held = await self._single.upload_status(upload, end)
        if held == first:
            raise self._lost(f"its session refuses what it asks for ({error})") from error
        return upload, held

    async def _finish(self, upload: UploadSession) -> None:
        """Commit; a try that failed begins with the question whether it did not."""
        tried = False

        async def once() -> None:
            nonlocal tried
            if tried and await self._single.has_blob(self._site.repository, self._blob.digest):
                return
            tried = True
            await self._single.finish_upload(upload, self._blob.digest)

        try:
            await self._client.retry(f"PUT {self._name}", once)
        except (UploadLost, NotFound):
            # Either an earlier try did commit and its answer was lost, or another process did.
            if not await self._client.has_blob(self._site.repository, self._blob.digest):
                raise self._lost("its session ended before it was committed") from None
        except RegistryError as error:
            raise self._judge_commit(error) from error

    def _judge_commit(self, error: RegistryError) -> Exception:
        if error.code not in _SPOILED:
            return error
        if not self._all_ours or not self._doubted:
            return self._doubtful(error)
        if self._chunks_sent > 1:
            # GHCR has been seen to keep the last of several chunks only.
            return self._no_chunks()
        return self._changed(error)

    async def _start(self, client: DistributionClient) -> UploadSession:
        upload, self._opened = self._opened, None
        return upload or await client.start_upload(self._site.repository)

    def _chunk(self, upload: UploadSession) -> int:
        habits = self._client.habits
        return max(upload.smallest_chunk, min(self._site.chunk_bytes, habits.chunk_bytes, habits.largest_body))

    async def _cancel(self, upload: UploadSession) -> None:
        """Give a session up that is of no more use; best effort, since the registry ends it some day."""
        with suppress(TransferError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._single.cancel_upload(upload)

    def _no_chunks(self) -> UploadLost:
        self._client.habits.takes_chunks = False
        return self._lost(f"{self._client.registry} takes no chunks: blobs go in one piece, and are not resumed")

    def _doubtful(self, error: RegistryError) -> UploadLost:
        """Return whether it was read or sent wrong, the next attempt will tell."""
        self._doubted = True
        return self._lost(f"what the registry holds of it cannot be committed ({error})")

    def _changed(self, error: RegistryError) -> ContentMismatch:
        return ContentMismatch(
            f"{self._name}: the registry has other bytes than were sent; try again ({error})", side="target"
        )
