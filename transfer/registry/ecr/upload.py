"""
Upload one layer: initiate, parts in order, complete; continued after a kill, started over when it must be.

One upload id is one ordered stream, so there is one part on the wire and one being prepared. What an answer means is
decided in `upload_decisions`; bytes come from `parts`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from transfer.concurrency.limiters import Lease, WeightedSemaphore
from transfer.concurrency.steps import Steps
from transfer.concurrency.tasks import task_group
from transfer.engine.protocols import BlobContext, BlobSent, BlobSource
from transfer.errors import ContentMismatch, InvalidManifest, RegistryError, UploadLost
from transfer.events import BlobStarted
from transfer.model.digest import Digest
from transfer.registry.ecr import upload_decisions
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import RepositoryNames, names_of
from transfer.registry.ecr.parts import EcrUploadSession, LayerPart, LayerReader
from transfer.registry.resumable_upload import ResumableUpload
from transfer.state.journal import Journal, UploadState


@dataclass(frozen=True, slots=True)
class UploadSite:
    """What all uploads into one repository share; `key` identifies endpoint, registry and repository in the journal."""

    key: str
    client: EcrClient
    registry_id: str | None
    repository: str
    journal: Journal
    bytes_in_flight: WeightedSemaphore
    steps: Steps

    @property
    def names(self) -> RepositoryNames:
        """The repository, as each call names it."""
        return names_of(self.registry_id, self.repository)


class LayerUpload(ResumableUpload):
    """One layer on its way into one repository."""

    def __init__(self, site: UploadSite, blob: BlobContext, source: BlobSource) -> None:
        digest = blob.descriptor.digest
        super().__init__(blob, site.journal, f"{site.key}@{digest}", f"blob {digest}")
        self._site = site
        self._source = source
        self._client = site.client.reporting(blob.observe)

    async def _attempt(self, state: UploadState | None) -> BlobSent:
        """Return one session from where it stands to its end; UploadLost when only a new one can help."""
        async with LayerReader(self._source, self._blob, in_memory=self._in_memory) as reader:
            offset = state.offset if state else 0
            self._all_ours = state is None
            if state is None:
                session = await self._initiate()
            else:
                session = EcrUploadSession(self._site.names, state.upload_id, state.part_size)
                if offset > self._blob.size or not await reader.resume(offset, state.guard):
                    raise self._lost("its content has changed since its first bytes were sent")
            self._context.notify(BlobStarted(self._blob, offset))
            self._begin_at(offset)
            await self._send_parts(reader, session, offset)
        await self._complete(session)
        await self._journal.drop(self._key)
        return BlobSent(self._sent, self._kept)

    @property
    def _in_memory(self) -> bool:
        return self._blob.size <= self._client.large_blob_bytes

    async def _initiate(self) -> EcrUploadSession:
        reply = await self._client.initiate_layer_upload(**self._site.names)
        session = EcrUploadSession(self._site.names, reply["uploadId"], reply["partSize"])
        largest = session.part_size * upload_decisions.MOST_PARTS
        if self._blob.size > largest:
            raise InvalidManifest(
                f"blob {self._blob.digest}: {self._blob.size} bytes is more than ECR takes ("
                f"{upload_decisions.MOST_PARTS} parts of {session.part_size} bytes, {largest} in all); split the layer",
                side="target",
            )
        return session

    async def _send_parts(self, reader: LayerReader, session: EcrUploadSession, offset: int) -> None:
        """Send [offset, size): while one part is on the wire, the next one is read, hashed and encoded."""
        with Lease(self._site.bytes_in_flight) as share:
            async with task_group() as group:

                def prepare(first: int) -> asyncio.Task[LayerPart] | None:
                    if first >= self._blob.size:
                        return None
                    return group.create_task(self._prepare(reader, session, first, share))

                ahead = prepare(offset)
                while ahead is not None:
                    part = await ahead
                    expected, ahead = part.end, prepare(part.end)
                    offset = await self._send(session, part)
                    share.give_back(part.size)
                    # The next wait may be long: a part that has given its bytes back must not live through it.
                    del part
                    if offset == expected:
                        continue
                    self._step_back(offset)
                    if ahead is not None:
                        # Two readers of one layer would mix up its hashes: let the needless part be finished first.
                        share.give_back((await ahead).size)
                    ahead = prepare(offset)

    async def _prepare(self, reader: LayerReader, session: EcrUploadSession, first: int, share: Lease) -> LayerPart:
        # Layers that are begun come first: one that is streamed holds an open connection, and what that has buffered.
        await share.take(min(session.part_size, self._blob.size - first), goes_on=first > 0)
        return await reader.part(session, first)

    async def _send(self, session: EcrUploadSession, part: LayerPart) -> int:
        """Send one part and record it; the offset to go on at, which is the part's end unless out of step."""
        async with self._site.steps.step():
            offset = await self._deliver(part)
            if offset == part.end and part.guard is not None:
                state = UploadState(session.upload_id, session.part_size, part.end, part.guard)
                await self._journal.put(self._key, state)
        self._tell(offset)
        return offset

    async def _deliver(self, part: LayerPart) -> int:
        """Send one part; the offset to go on at, by the registry's word."""
        try:
            await self._client.send_layer_part(part.body, lambda sent: self._tell(part.first + sent))
        except RegistryError as error:
            offset = self._settle(part, error)
        else:
            offset = part.end
        if offset == part.end:
            self._sent += part.size
        return offset

    def _settle(self, part: LayerPart, error: RegistryError) -> int:
        """Return the offset to go on at after a part was refused, where there is one."""
        if error.code != upload_decisions.PART_REFUSED or upload_decisions.is_size_refused(error, part.first):
            raise error
        self._all_ours = False
        offset = upload_decisions.next_offset(error, part.first, part.end)
        if offset is None:
            raise self._lost(f"its upload is out of step with what was sent ({error})") from error
        return offset

    async def _complete(self, session: EcrUploadSession) -> None:
        """Complete the upload; that the registry has the layer from elsewhere by now is as good."""
        try:
            await self._client.complete_layer_upload(
                **session.names,
                uploadId=session.upload_id,
                layerDigests=[self._blob.digest],
            )
        except UploadLost:
            # Either an earlier try did complete it and its answer was lost, or another process did.
            if not await is_available(self._client, self._site, self._blob.digest):
                raise
        except RegistryError as error:
            if error.code == upload_decisions.LAYER_EXISTS:
                return
            if upload_decisions.spoils_session(error) and not self._all_ours:
                raise self._lost(f"what the registry holds of it cannot be completed ({error.code})") from error
            if error.code == upload_decisions.LAYER_INVALID:
                raise ContentMismatch(
                    f"blob {self._blob.digest}: the registry has other bytes than were sent; push again ({error})",
                    side="target",
                ) from error
            raise


async def is_available(client: EcrClient, site: UploadSite, digest: Digest) -> bool:
    """Return whether the repository has a layer now."""
    return not await missing_layers(client, site, [digest])


async def missing_layers(client: EcrClient, site: UploadSite, digests: Sequence[Digest]) -> set[Digest]:
    """
    Return which of at most 100 layers the repository lacks, by one call.

    An absent layer may come back as UNAVAILABLE, as a failure, or not at all; only AVAILABLE counts as there.
    """
    reply = await client.batch_check_layer_availability(**site.names, layerDigests=list(digests))
    available = {one.get("layerDigest") for one in reply["layers"] if one.get("layerAvailability") == "AVAILABLE"}
    return {digest for digest in digests if digest not in available}
