"""
A large blob over HTTP, read in several byte ranges at once and handed on in order.

The range whose turn it is is handed on as it arrives. Where that has to be waited for, those behind it are read ahead,
each by a task of its own, as far as the budget for it has room this moment: nobody waits for the budget. Where a
registry sends all of a blob instead of a range, that answer is read to its end. Does not know how bytes are asked for,
nor how a stream that breaks is continued.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager

from transfer.engine.config import MIB
from transfer.engine.limits import Gate, Share
from transfer.registry.reading import BlobStream
from transfer.registry.side import on_side

# Long enough for a round trip to be little beside it, short enough for many to fit into the budget.
RANGE = 2 * MIB
# What a blob with one stream asks for at once: a round trip of silence lies before each.
LONE_RANGE = 32 * MIB
# Below this there is too little to win.
LARGE = 3 * RANGE
# For one registry; as many large blobs at once have one stream each.
MOST_STREAMS = 8
# Streams that together bring so many bytes a second, a gigabit, are not what limits; more would cost more CPU.
ENOUGH = 128 * MIB
# Seconds of waiting that say nothing of a stream.
_GRACE = 0.01

OpenStream = Callable[[int, int], BlobStream]


def streams_each(blobs: int) -> int:
    """How many streams each of so many large blobs may have that are read from one registry at once."""
    return -(-MOST_STREAMS // blobs)


def range_end(first: int, end: int, *, alone: bool) -> int:
    """Where a range that begins at `first` ends, of a blob that is wanted up to `end`; a short rest goes with it."""
    wanted = first + (LONE_RANGE if alone else RANGE)
    return wanted if end - wanted >= RANGE // 2 else end


def is_slow(received: int, waited: float, blobs: int) -> bool:
    """
    Whether a stream that was waited for so many seconds, and brought so many bytes, is what limits.

    Args:
        blobs: how many are read from the registry at once, each likely as fast as this one.
    """
    return waited > _GRACE + received * blobs / ENOUGH


class Lanes:
    """
    What all that is read from one registry shares.

    Args:
        read_ahead: bytes that may be read before their turn, from all registries.

    Attributes:
        blobs: how many large ones are read from the registry just now.
        sends_ranges: False once the registry has sent a whole blob instead of a range.
    """

    def __init__(self, read_ahead: Gate) -> None:
        self._read_ahead = read_ahead
        self.blobs = 0
        self.sends_ranges = True

    def read(self, stream: OpenStream, first: int, end: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """
        The bytes [first, end) of a blob, in pieces of at most 1 MiB; what is wrong with it shows before the first one.

        Args:
            stream: makes the stream of the bytes between two offsets.
        """
        if end - first < LARGE or not self.sends_ranges:
            return stream(first, end).read()
        return _RangedBlob(self, stream, first, end).read()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one more large blob reads ahead, given back at the end."""
        self.blobs += 1
        try:
            with Share(self._read_ahead) as share:
                yield share
        finally:
            self.blobs -= 1

    def may_add(self, streams: int) -> bool:
        """Whether a blob that has so many streams may have another."""
        return self.sends_ranges and streams < streams_each(self.blobs)

    def is_alone(self) -> bool:
        """Whether the first stream of a blob would stay its only one."""
        return not (self.may_add(1) and self._read_ahead.has_room(RANGE))


class _Lane:
    """
    A range that is read by a task of its own and held until its turn.

    Ends before its first byte where the answer is all of the blob, or of other content than `etag` stands for: content
    has the name of its digest, so that is another copy, in another storage, at most.
    """

    def __init__(self, stream: BlobStream, etag: str | None) -> None:
        self.end = stream.end
        self._stream = stream
        self._etag = etag
        self._arrived: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        end = None
        try:
            async with self._stream.read() as pieces:
                if not self._stream.sends_all and self._stream.etag in {None, self._etag or self._stream.etag}:
                    async for piece in pieces:
                        self._arrived.put_nowait(piece)
        except Exception as error:  # noqa: BLE001 - comes out in its turn, whatever it is
            end = error
        self._arrived.put_nowait(end)

    async def pieces(self) -> AsyncGenerator[bytes]:
        while (arrived := await self._arrived.get()) is not None:
            if isinstance(arrived, Exception):
                raise arrived
            yield arrived

    def cancel(self) -> asyncio.Task[None]:
        self._task.cancel()
        return self._task


class _RangedBlob:
    """A blob on its way: a stream that has its turn, and lanes that have it after."""

    def __init__(self, lanes: Lanes, stream: OpenStream, first: int, end: int) -> None:
        self._lanes = lanes
        self._stream = stream
        self._position = first
        self._end = end
        # The first byte that nobody was asked for.
        self._asked = first
        self._etag: str | None = None
        self._ahead: deque[_Lane] = deque()
        self._lead: BlobStream
        # Of the lead: its bytes, and the seconds that they were waited for.
        self._received = 0
        self._waited = 0.0
        # None before the first byte; once slow, always slow.
        self._slow: bool | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncIterator[bytes]]:
        # The block may be left in another task than it was entered in: a task group could not be.
        with self._lanes.share() as share:
            await self._open()
            async with aclosing(self), aclosing(self._pieces(share)) as pieces:
                yield pieces

    async def aclose(self) -> None:
        """Drop what was not handed on."""
        try:
            await self._drop_ahead()
        finally:
            await self._lead.aclose()

    async def _pieces(self, share: Share) -> AsyncGenerator[bytes]:
        while self._position < self._end:
            if not self._leads() and not self._ahead:
                await self._open()
            self._read_ahead(share)
            turn = self._lead if self._leads() else self._ahead[0]
            async with aclosing(turn.pieces()) as pieces:
                while piece := await self._timed(pieces):
                    self._position += len(piece)
                    if turn is not self._lead:
                        share.give_back(len(piece))
                    self._read_ahead(share)
                    yield piece
            await (self._lead.aclose() if turn is self._lead else self._pass_on(share))

    def _leads(self) -> bool:
        """Whether the stream has the turn; else the first lane has."""
        return self._position < self._lead.end

    async def _timed(self, pieces: AsyncGenerator[bytes]) -> bytes:
        clock = asyncio.get_running_loop().time
        asked = clock()
        piece = await anext(pieces, b"")
        self._waited += clock() - asked
        self._received += len(piece)
        self._slow = self._slow or is_slow(self._received, self._waited, self._lanes.blobs)
        return piece

    async def _open(self) -> None:
        """Open a stream at this position: of a range, or of all that is left where the registry sends no ranges."""
        alone = self._slow is False or self._lanes.is_alone()
        end = range_end(self._position, self._end, alone=alone) if self._lanes.sends_ranges else self._end
        stream = self._stream(self._position, end)
        with on_side("source"):
            await stream.open()
        if stream.sends_all and end < self._end:
            self._lanes.sends_ranges = False
            stream.end = self._end
        self._etag = self._etag or stream.etag
        self._lead, self._asked = stream, stream.end
        self._received, self._waited = 0, 0.0

    def _read_ahead(self, share: Share) -> None:
        while self._slow and self._asked < self._end and self._lanes.may_add(len(self._ahead) + self._leads()):
            end = range_end(self._asked, self._end, alone=False)
            if not share.try_take(end - self._asked):
                return
            self._ahead.append(_Lane(self._stream(self._asked, end), self._etag))
            self._asked = end

    async def _pass_on(self, share: Share) -> None:
        """A lane has had its turn; where it gave up, the rest comes in one stream."""
        if self._position < self._ahead.popleft().end:
            self._lanes.sends_ranges = False
            await self._drop_ahead()
            share.give_back(share.held)
            self._asked = self._position

    async def _drop_ahead(self) -> None:
        tasks = [lane.cancel() for lane in self._ahead]
        self._ahead.clear()
        if tasks:
            await asyncio.wait(tasks)
