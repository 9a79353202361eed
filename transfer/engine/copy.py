"""
Copy one image: blobs in parallel, then manifests children first, the tag last.

The only algorithm of this package: every push, mirror and pull is this function over two ends. Knows no protocol;
what must move is decided in `plan`, how much at once in `limits`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from transfer.engine.content import BlobContext, BlobSent, Presence, Source, Target
from transfer.engine.events import BlobFinished, BlobStatus, Event, ManifestPushed, Observer, Planned, Retrying
from transfer.engine.graph import Graph, read_graph
from transfer.engine.limits import Flights, Limits
from transfer.engine.plan import SMALL_BLOB_BYTES, Queue, blobs_to_check, plan
from transfer.engine.result import BlobResult
from transfer.engine.tasks import gather, task_group
from transfer.errors import BlobUnknown, TransferError
from transfer.model.descriptor import Descriptor, Platform
from transfer.model.digest import Digest

_JOINED = BlobSent(sent=0, already_there=True)


class Tally:
    """An observer that counts retries on their way to the caller's observer."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer
        self.retries = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Retrying):
            self.retries += 1
        if self._observer is not None:
            self._observer(event)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did: the image's root digest, and each of its blobs in the order of its manifests."""

    digest: Digest
    blobs: tuple[BlobResult, ...]


class ImageCopy:
    """
    One image on its way from a source to one repository.

    Args:
        mount_from: the source's repository, where it is one of the target's registry.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        *,
        limits: Limits,
        flights: Flights[BlobSent],
        notify: Observer,
        mount_from: str | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._flights = flights
        self._notify = notify
        self._mount_from = mount_from
        self._results: dict[Digest, BlobResult] = {}

    async def run(self, root: Descriptor, *, tag: str | None, platforms: Sequence[Platform] = ()) -> Copied:
        """
        Copy the image under `root`, and under `tag` where one is given.

        Args:
            platforms: of an index, only the images for these; all where none is named.

        Raises:
            TransferError: with nothing changed under the tag.
        """
        graph = await read_graph(self._source, root, platforms)
        root = graph.root.descriptor
        presence = await self._target.present([m.descriptor for m in graph.manifests.values()], tag=tag)
        if tag is not None and presence.tagged not in (None, root.digest):
            await self._target.check_tag(tag, root.digest, presence.tagged)
        try:
            await self._send(graph, presence, tag)
        except BlobUnknown:
            # The registry had answered that something is there which it then misses: ask anew and send it all, once.
            await self._send(graph, Presence(tagged=presence.tagged), tag, fresh=True)
        return Copied(root.digest, tuple(self._results[blob.digest] for blob in graph.blobs()))

    async def _send(self, graph: Graph, presence: Presence, tag: str | None, *, fresh: bool = False) -> None:
        todo = plan(graph, presence, tag)
        asked = [] if todo.done else blobs_to_check(graph, presence, todo.absent)
        missing = await self._target.missing(asked, fresh=fresh) if asked else set()
        every, absent = list(graph.blobs()), [blob for blob in asked if blob.digest in missing]
        self._notify(Planned(len(every), sum(b.size for b in every), len(absent), sum(b.size for b in absent)))
        for blob in every:
            if blob.digest not in missing and blob.digest not in self._results:
                self._finish(blob, "present")
        await self._push_blobs(absent)
        for wave in graph.waves(todo.absent):
            await gather(self._push_manifest(manifest.digest, graph, tag) for manifest in wave)

    async def _push_manifest(self, digest: Digest, graph: Graph, tag: str | None) -> None:
        name = tag if digest == graph.root.digest else None
        await self._target.push_manifest(graph.manifests[digest], tag=name)
        self._notify(ManifestPushed(digest, name))

    async def _push_blobs(self, blobs: list[Descriptor]) -> None:
        queue, workers = Queue(blobs), min(len(blobs), int(self._limits.blobs.capacity))
        large_in_work = 0

        async def work() -> None:
            nonlocal large_in_work
            while (blob := queue.take(large_in_work=large_in_work, workers=workers)) is not None:
                large = blob.size > SMALL_BLOB_BYTES
                large_in_work += large
                await self._push_blob(blob)
                large_in_work -= large

        async with task_group() as group:
            for _ in range(workers):
                group.create_task(work())

    async def _push_blob(self, blob: Descriptor) -> None:
        began = time.monotonic()
        context = BlobContext(blob, self._notify)

        async def push() -> BlobSent:
            async with self._limits.blobs.hold():
                if self._mount_from is not None and await self._target.mount_blob(blob, self._mount_from):
                    return BlobSent(sent=0, mounted=True)
                try:
                    return await self._target.push_blob(context, self._source)
                except TransferError as error:
                    if blob.digest.encoded not in str(error):
                        error.add_note(f"this was about blob {blob.digest} ({blob.size} bytes)")
                    raise

        sent = await self._flights.run((self._target.key, blob.digest), push, _JOINED)
        seconds = time.monotonic() - began
        self._finish(blob, _status(sent), sent, retries=context.retries, seconds=seconds)

    def _finish(
        self,
        blob: Descriptor,
        status: BlobStatus,
        sent: BlobSent = _JOINED,
        *,
        retries: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self._results[blob.digest] = BlobResult(
            digest=blob.digest,
            size=blob.size,
            media_type=blob.media_type,
            status=status,
            sent=sent.sent,
            resumed=sent.resumed,
            retries=retries,
            seconds=seconds,
        )
        self._notify(BlobFinished(blob, status))


def _status(sent: BlobSent) -> BlobStatus:
    if sent.mounted:
        return "mounted"
    if sent.already_there:
        return "present"
    return "resumed" if sent.resumed else "uploaded"
