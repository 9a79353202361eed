"""
Copy one image: blobs in parallel, then manifests children first, the tag last.

The only algorithm of this package: every push, mirror and pull is this function over two ends.
"""

import inspect
import time
from collections.abc import Hashable, Mapping

import msgspec
from msgspec import UNSET, UnsetType

from transfer.concurrency.tasks import Barrier, gather, task_group
from transfer.engine.deduplication import JOINED, BlobDeduplicator, BlobRequest
from transfer.engine.graph import Graph
from transfer.engine.plan import SMALL_BLOB_BYTES, PlannedContent, Queue, plan
from transfer.engine.protocols import BlobContext, BlobSent, Hints, Presence, Source, Target
from transfer.engine.result import BlobResult
from transfer.errors import BlobUnknown, InvalidConfig, TransferError
from transfer.events import BlobFinished, BlobStatus, Event, ManifestPushed, Observer, Planned, Requested, Retrying
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest


class CountingObserver:
    """An observer that counts requests and retries on their way to the caller's observer."""

    def __init__(self, observer: Observer | None) -> None:
        if inspect.iscoroutinefunction(observer):
            name = getattr(observer, "__qualname__", "")
            raise InvalidConfig(f"observer {name}: it is async, and nothing awaits it; give a plain function")
        self._observer = observer
        self.requests = 0
        self.retries = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Requested):
            self.requests += 1
            return
        if isinstance(event, Retrying):
            self.retries += 1
        if self._observer is not None:
            self._observer(event)


class Copied(msgspec.Struct, frozen=True):
    """The result of a copy: root digest, blobs in the order of the manifests, number of manifests."""

    digest: Digest
    blobs: tuple[BlobResult, ...]
    manifests: int


class Pending(msgspec.Struct, frozen=True):
    """The plan of a copy: blobs to upload, to mount and to skip, and the number of manifests to push."""

    digest: Digest
    uploads: tuple[Descriptor, ...]
    mounts: tuple[Descriptor, ...]
    present: tuple[Descriptor, ...]
    manifests: int


class ImageCopy:
    """
    One image on its way from a source into one repository.

    Args:
        origin: identifies where the source reads from; copies with the same origin share reads.
        mount_from: the source's repository, where it is one of the target's registry.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        *,
        sharing: BlobDeduplicator,
        notify: Observer,
        origin: Hashable,
        mount_from: str | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._sharing = sharing
        self._notify = notify
        self._origin = origin
        self._mount_from = mount_from
        self._results: dict[Digest, BlobResult] = {}
        self._manifests = 0

    async def run(
        self,
        graph: Graph,
        *,
        tag: str | None,
        tagged: Digest | UnsetType | None = UNSET,
        barrier: Barrier | None = None,
    ) -> Copied:
        """
        Copy the image, under `tag` where one is given.

        Args:
            tagged: what the tag has just been seen to hold, None where there was none; UNSET where not looked up.
            barrier: where copies into other repositories wait, to start sending together.

        Raises:
            TransferError: with nothing changed under the tag.
        """
        presence = await self._look(graph, tag, tagged)
        try:
            await self._send(graph, presence, tag, barrier=barrier)
        except BlobUnknown:
            # The registry reported a blob as present and then missed it: ask again and send everything, once.
            await self._send(graph, Presence(tagged=presence.tagged), tag, fresh=True)
        blobs = tuple(self._results[blob.digest] for blob in graph.blobs())
        return Copied(graph.root.digest, blobs, self._manifests)

    async def preview(self, graph: Graph, *, tag: str | None, planned: PlannedContent, empty: bool = False) -> Pending:
        """
        Find out what `run` would do, by the same requests; nothing is sent.

        Args:
            planned: what earlier previews have found to be sent; what this copy would send is added.
            empty: the target's repository does not exist yet, so it is not asked.

        Raises:
            TransferError: `run` would fail with it before it sent anything.
        """
        if empty:
            todo = plan(graph, Presence(), tag)
            missing = {blob.digest for blob in todo.asked}
        else:
            todo = plan(graph, await self._look(graph, tag), tag)
            missing = await self._target.missing(todo.asked) if todo.asked else set()
        pending, root = planned.to(self._target), graph.root.digest
        moved = [blob for blob in todo.asked if blob.digest in missing - pending]
        mounts = tuple(blob for blob in moved if self._mounts(blob, planned))
        manifests = len(todo.absent - pending - {root}) + (root in todo.absent)
        pending |= missing | todo.absent
        return Pending(
            root,
            uploads=tuple(blob for blob in moved if blob not in mounts),
            mounts=mounts,
            present=tuple(blob for blob in graph.blobs() if blob not in moved),
            manifests=manifests,
        )

    def _mounts(self, blob: Descriptor, planned: PlannedContent) -> bool:
        """Return whether a mount would be tried."""
        want = self._want(blob)
        if want.mount_from is not None or want.mountable in ("now", "untried"):
            return True
        return want.mountable == "later" and planned.beside(self._target, blob.digest)

    async def _look(self, graph: Graph, tag: str | None, tagged: Digest | UnsetType | None = UNSET) -> Presence:
        root = graph.root.digest
        manifests = [one.descriptor for one in graph.manifests.values()]
        hints = Hints(tagged=tagged, blobs=tuple(graph.blobs()))
        presence = await self._target.present(manifests, tag=tag, hints=hints)
        if tag is not None and presence.tagged not in (None, root):
            await self._target.check_tag(tag, root, presence.tagged)
        return presence

    async def _send(
        self,
        graph: Graph,
        presence: Presence,
        tag: str | None,
        *,
        fresh: bool = False,
        barrier: Barrier | None = None,
    ) -> None:
        todo = plan(graph, presence, tag)
        missing = await self._target.missing(todo.asked, fresh=fresh) if todo.asked else set()
        every, absent = list(graph.blobs()), [blob for blob in todo.asked if blob.digest in missing]
        self._notify(Planned(len(every), sum(b.size for b in every), len(absent), sum(b.size for b in absent)))
        for blob in every:
            if blob.digest not in missing and blob.digest not in self._results:
                self._finish(blob, "present")
        wants = {blob: self._want(blob) for blob in absent}
        async with self._sharing.announced(list(wants.values())):
            if barrier is not None:
                await barrier.arrive(self)
            await self._push_blobs(wants)
        for wave in graph.waves(todo.absent):
            await gather(self._push_manifest(manifest.digest, graph, tag) for manifest in wave)

    def _want(self, blob: Descriptor) -> BlobRequest:
        return BlobRequest(BlobContext(blob, self._notify), self._source, self._target, self._origin, self._mount_from)

    async def _push_manifest(self, digest: Digest, graph: Graph, tag: str | None) -> None:
        name = tag if digest == graph.root.digest else None
        await self._target.push_manifest(graph.manifests[digest], tag=name)
        self._manifests += 1
        self._notify(ManifestPushed(digest, name))

    async def _push_blobs(self, wants: Mapping[Descriptor, BlobRequest]) -> None:
        queue = Queue(wants, {blob.digest: self._sharing.popularity(want) for blob, want in wants.items()})
        workers = min(len(wants), self._sharing.workers)
        large_in_work = 0

        async def work() -> None:
            nonlocal large_in_work
            while (blob := queue.take(large_in_work=large_in_work, workers=workers)) is not None:
                large = blob.size > SMALL_BLOB_BYTES
                large_in_work += large
                await self._push_blob(blob, wants[blob])
                large_in_work -= large

        async with task_group() as group:
            for _ in range(workers):
                group.create_task(work())

    async def _push_blob(self, blob: Descriptor, want: BlobRequest) -> None:
        began = time.monotonic()
        try:
            sent = await self._sharing.deliver(want)
        except TransferError as error:
            if blob.digest.encoded not in str(error):
                error.add_note(f"this was about blob {blob.digest} ({blob.size} bytes)")
            raise
        self._finish(blob, _status(sent), sent, retries=want.blob.retries, seconds=time.monotonic() - began)

    def _finish(
        self,
        blob: Descriptor,
        status: BlobStatus,
        sent: BlobSent = JOINED,
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
