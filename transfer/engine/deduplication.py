"""
Sharing: a blob that several copies want is read once, and written once to each repository.

Copies announce what they are going to send. Whoever gets to a blob first leads: it takes along those that want the
same blob from the same place for other repositories, and feeds them all from its read. Nobody waits for another with
a slot in hand, nobody gets another's error, and one that keeps the others waiting goes on by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from transfer.concurrency.limiters import InFlightCall, Lease, SingleFlight
from transfer.concurrency.limits import Limits
from transfer.concurrency.tasks import task_group
from transfer.engine.fanout import Fanout, FanoutReader
from transfer.engine.protocols import BlobContext, BlobSent, BlobSource, Mountable, Target
from transfer.errors import TransferError
from transfer.model.digest import Digest

# What a blob was to a copy that found another one of the same repository at work on it.
JOINED = BlobSent(sent=0, already_there=True)
_MOUNTED = BlobSent(sent=0, mounted=True)


@dataclass(slots=True, eq=False)
class BlobRequest:
    """
    One blob that one copy is to have at its target.

    Attributes:
        blob: its descriptor, and its observer.
        origin: where it is read from; requests with the same origin share one read.
        mount_from: another repository of the target's registry that has it.
        sent, error: how it ended, where another copy did it.
        fed_by: the task of the other copy that is doing it.
    """

    blob: BlobContext
    source: BlobSource
    target: Target
    origin: Hashable
    mount_from: str | None = None
    sent: BlobSent | None = field(default=None, init=False)
    error: TransferError | None = field(default=None, init=False)
    fed_by: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def key(self) -> tuple[str, Digest]:
        """The key of an upload: one for each blob and repository."""
        return self.target.key, self.blob.descriptor.digest

    @property
    def held_bytes(self) -> int:
        """The bytes that the upload holds before it can continue."""
        return min(self.blob.descriptor.size, self.target.held_bytes)

    @property
    def mountable(self) -> Mountable:
        """Whether it can be taken from another repository of the target's registry."""
        return self.target.mountable(self.blob.descriptor.digest)

    async def mount(self) -> bool:
        """Mount the blob, where that can be tried."""
        if self.mount_from is None and self.mountable in ("never", "later"):
            return False
        return await self.target.mount_blob(self.blob.descriptor, self.mount_from)

    async def push(self, source: BlobSource) -> BlobSent:
        """Upload the blob."""
        return await self.target.push_blob(self.blob, source)


@dataclass(frozen=True, slots=True)
class _Claim:
    """An upload that was taken on, and what others of its registry wait for meanwhile."""

    flight: InFlightCall
    nearby: InFlightCall | None

    def end(self, *, landed: bool = False) -> None:
        """Let go of it; once."""
        self.flight.end(landed=landed)
        if self.nearby is not None:
            self.nearby.end()


class BlobDeduplicator:
    """
    The blobs that the copies of one engine send, and which copy reads for the others.

    Args:
        patience: seconds that those who are fed from one read wait for the slowest of them.

    Attributes:
        workers: how many blobs of one copy may be in work at once.
    """

    def __init__(self, limits: Limits, *, patience: float) -> None:
        self.patience = patience
        self.workers = limits.max_concurrent_blobs
        self._limits = limits
        self._flights: SingleFlight[BlobSent] = SingleFlight()
        self._uploads: SingleFlight[None] = SingleFlight()
        self._nearby: SingleFlight[None] = SingleFlight()
        self._gatherers: dict[InFlightCall, str] = {}
        self._waiting: dict[tuple[Hashable, Digest], list[BlobRequest]] = {}
        self._lagging: set[str] = set()

    @asynccontextmanager
    async def announced(self, wants: Sequence[BlobRequest]) -> AsyncIterator[None]:
        """Let others know what is going to be sent; what they do of it ends with the context."""
        for want in wants:
            self._waiting.setdefault(_subject(want), []).append(want)
        try:
            yield
        finally:
            for want in wants:
                self._withdraw(want)
            fed = {want.fed_by for want in wants if want.fed_by is not None and not want.fed_by.done()}
            for task in fed:
                task.cancel()
            if fed:
                await asyncio.wait(fed)

    def popularity(self, want: BlobRequest) -> int:
        """Return the number of announced uploads that one read could serve."""
        return len(self._waiting.get(_subject(want), ()))

    async def deliver(self, want: BlobRequest) -> BlobSent:
        """
        Have the blob at its target: by an upload of its own, by one that another's read feeds, or by another's upload.

        Raises:
            TransferError: the upload failed.
        """
        while (flight := self._obstacle(want)) is not None:
            await flight.over.wait()
            if want.error is not None:
                raise want.error
            if flight.landed:
                return want.sent or JOINED
        self._withdraw(want)
        claim = self._claim(want)
        try:
            sent = await self._lead(want)
            claim.end(landed=True)
        finally:
            claim.end()
        return sent

    def _claim(self, want: BlobRequest) -> _Claim:
        """Take an upload on: those who want the same wait for it, and those who could mount it from there."""
        key = (want.target.registry, want.blob.descriptor.digest)
        nearby = None if self._nearby.find(key) else self._nearby.begin(key)
        return _Claim(self._flights.begin(want.key), nearby)

    def _obstacle(self, want: BlobRequest) -> InFlightCall | None:
        """Return what to wait for: the same upload, one that may feed this one, or one whose blob can be mounted."""
        same, mountable = self._flights.find(want.key), want.mountable
        if same or mountable == "now":
            return same
        key = (want.target.registry, want.blob.descriptor.digest)
        nearby = self._nearby.find(key) if mountable in ("later", "untried") else None
        return self._uploads.find(_subject(want)) or nearby

    async def _lead(self, want: BlobRequest) -> BlobSent:
        blobs = self._limits.blobs(want.target.registry)
        async with blobs.hold():
            if await want.mount():
                return _MOUNTED
        with Lease(self._limits.fed) as room, self._gathered(want) as upload:
            async with blobs.hold():
                others = await self._take_along(want, room)
                self._end(upload)
                return await (self._feed_all(want, others, room) if others else want.push(want.source))

    @contextmanager
    def _gathered(self, want: BlobRequest) -> Iterator[InFlightCall | None]:
        """Collect requests for the same blob while this one waits, so that one read serves them."""
        if self._uploads.find(_subject(want)) is not None:
            yield None
            return
        upload = self._uploads.begin(_subject(want))
        self._gatherers[upload] = want.target.registry
        try:
            yield upload
        finally:
            self._end(upload)

    def _end(self, upload: InFlightCall | None) -> None:
        if upload is not None:
            self._gatherers.pop(upload, None)
            upload.end()

    async def _take_along(self, want: BlobRequest, room: Lease) -> list[BlobRequest]:
        """
        Choose the requests to serve by this read, when there is room for all.

        It must be there for all at once: some with all of the bytes would wait for the others, and those for the bytes.
        """
        wished = self._companions(want)
        if not wished:
            return []
        held = max(1, *(one.held_bytes for one in (want, *wished)))
        most = min(1 + len(wished), max(1, int(self._limits.fed.capacity // held)))
        await room.take(most * held)
        return self._companions(want)[: most - 1]

    def _companions(self, want: BlobRequest) -> list[BlobRequest]:
        """
        Return the requests that this read can serve: one for each other repository where no upload is running.

        Of those that can mount it from one another, one for each registry.
        """
        found: dict[Hashable, BlobRequest] = {}
        for other in self._waiting.get(_subject(want), ()):
            registry, mounts = other.target.registry, other.mountable != "never"
            if {want.target.registry, registry} & self._lagging or self._flights.find(other.key):
                continue
            if not (mounts and registry == want.target.registry):
                found.setdefault(registry if mounts else other.key, other)
        return list(found.values())

    async def _feed_all(self, want: BlobRequest, others: list[BlobRequest], room: Lease) -> BlobSent:
        """Upload, and let the others have the same bytes; whoever has them goes on, whatever becomes of this one."""
        cast = Fanout(want.source, want.blob.descriptor, readers=1 + len(others), patience=self.patience)
        mine, *theirs = cast.readers
        mine.on_lag = lambda: self._let_go(want)
        for other, reader in zip(others, theirs, strict=True):
            self._withdraw(other)
            self._feed(want, other, reader)
        failure: TransferError | None = None
        sent = JOINED
        async with task_group() as group:
            reading = group.create_task(_run(cast, room))
            try:
                sent = await want.push(mine)
            except TransferError as error:
                failure = error
            finally:
                mine.withdraw()
            # The others are a window behind at most; who stands still now is not waited for.
            await asyncio.wait({reading}, timeout=self.patience)
            for reader in theirs:
                reader.let_go()
        if failure is not None:
            raise failure
        return sent

    def _feed(self, leader: BlobRequest, want: BlobRequest, reader: FanoutReader) -> None:
        """Upload for another copy, in a task that is that copy's own: it may outlive the leader's, but not it."""
        claim = self._claim(want)
        reader.on_lag = lambda: self._let_go(want)

        async def upload() -> None:
            try:
                want.sent = _MOUNTED if await want.mount() else await want.push(reader)
                claim.end(landed=True)
            except TransferError as error:
                # What somebody else's source does wrong says nothing of one's own.
                if error.side != "source" or want.source is leader.source:
                    want.error = error

        def over(_: object) -> None:
            reader.withdraw()
            claim.end()

        want.fed_by = asyncio.create_task(upload())
        want.fed_by.add_done_callback(over)

    def _let_go(self, want: BlobRequest) -> None:
        """One that the others waited for goes on by itself; it is not taken along any more."""
        self._lagging.add(want.target.registry)
        for upload in [one for one, registry in self._gatherers.items() if registry == want.target.registry]:
            self._end(upload)

    def _withdraw(self, want: BlobRequest) -> None:
        waiting = self._waiting.get(_subject(want), [])
        if want in waiting:
            waiting.remove(want)
        if not waiting:
            self._waiting.pop(_subject(want), None)


async def _run(cast: Fanout, room: Lease) -> None:
    """Read; once that is over nobody waits for anybody, and the room is free."""
    try:
        await cast.run()
    finally:
        room.give_back(room.held)


def _subject(want: BlobRequest) -> tuple[Hashable, Digest]:
    return want.origin, want.blob.descriptor.digest
