"""
A large blob over HTTP, read in several byte ranges at once and handed on in order.

The range whose turn it is is handed on as it arrives. Where that has to be waited for, those behind it are read
ahead, each in a worker thread of its own, as far as the budget for what has arrived has room this moment: nobody
waits for the budget with bytes that others wait for. Where a registry sends all of a blob instead of a range, that
answer is read to its end.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Self

from transfer.concurrency import worker_threads
from transfer.concurrency.limiters import ByteBudget
from transfer.config import MIB
from transfer.engine.blob_reader import Pieces
from transfer.errors import attributed_to
from transfer.http.blob_stream import BlobStream
from transfer.http.bodies import Buffers

# Long enough for a round trip to be little beside it, short enough for many to fit into the budget.
RANGE = 4 * MIB
# What a blob with one stream asks for at once: a round trip of silence lies before each.
LONE_RANGE = 64 * MIB
# Below this there is too little to win.
LARGE = 3 * RANGE
# For one registry; as many large blobs at once have one stream each, and half a range of each has arrived on average.
MOST_STREAMS = 8
# Streams that together bring so many bytes a second, a gigabit, are not what limits; more would cost more CPU.
ENOUGH = 128 * MIB
# Seconds of waiting that say nothing of a stream: some pass before the first byte.
_GRACE = 0.01
# Before so many bytes, or so many seconds of waiting, a stream is not judged: others may be about to begin.
_FIRST_BYTES = RANGE // 2
_FIRST_WAIT = 0.25
# What is read ahead at once, and taken from the budget before.
PIECE = 256 * 1024
# Seconds between two looks at whether there is room again.
_LOOK_SECONDS = 0.02

OpenStream = Callable[[int, int], BlobStream]


def streams_each(blobs: int) -> int:
    """Return the number of streams for each of the large blobs that are read from a registry at once."""
    return -(-MOST_STREAMS // blobs)


def range_end(first: int, end: int, *, alone: bool) -> int:
    """Return the end of a range that begins at `first`, in a blob wanted up to `end`; a short rest is included."""
    wanted = first + (LONE_RANGE if alone else RANGE)
    return wanted if end - wanted >= RANGE // 2 else end


def is_slow(received: int, waited: float, blobs: int) -> bool:
    """
    Return whether a stream that was waited for so many seconds, and brought so many bytes, is what limits.

    Args:
        blobs: how many are read from the registry at once, each likely as fast as this one.
    """
    is_known = received >= _FIRST_BYTES or waited >= _FIRST_WAIT
    return is_known and waited > _GRACE + received * blobs / ENOUGH


class Ranges:
    """
    What all reads from one registry share.

    Args:
        read_ahead: bytes that may be read before their turn, from all registries.

    Attributes:
        blobs: how many large ones are read from the registry just now.
        sends_ranges: False once the registry has sent a whole blob instead of a range.
    """

    def __init__(self, read_ahead: ByteBudget) -> None:
        self.read_ahead = read_ahead
        self.buffers = Buffers(PIECE)
        self.blobs = 0
        self.sends_ranges = True

    def read(self, stream: OpenStream, first: int, end: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """
        Read the bytes [first, end) of a blob in pieces of at most 1 MiB; an error is raised before the first one.

        Args:
            stream: makes the stream of the bytes between two offsets.
        """
        if end - first < LARGE or not self.sends_ranges:
            return stream(first, end).read()
        return _RangedBlob(self, stream, first, end).read()

    def may_add(self, streams: int) -> bool:
        """Return whether a blob that has so many streams, of which one reads ahead of nobody, may have another."""
        fits = streams * RANGE // 2 <= self.read_ahead.capacity
        return self.sends_ranges and fits and streams < streams_each(self.blobs)

    def is_alone(self) -> bool:
        """Return whether the first stream of a blob would stay its only one."""
        return not self.may_add(1)


class _Ahead:
    """
    A range that is read by a worker thread before its turn; when that comes, the rest is left to whoever has it.

    Reads nothing where the answer is all of the blob, or of other content than `etag` stands for: content has the name
    of its digest, so that is another copy, in another storage, at most.
    """

    def __init__(self, stream: BlobStream, first: int, etag: str | None, ranges: Ranges) -> None:
        self.stream = stream
        self.position = first
        self.fits = True
        self._etag = etag
        self._budget = ranges.read_ahead
        self._buffers = ranges.buffers
        self._changed = threading.Condition()
        # Buffers with the bytes in them that were not taken yet.
        self._pieces: deque[tuple[memoryview, slice]] = deque()
        self._held = 0
        self._has_turn = False
        self._over = False
        self._failure: Exception | None = None
        self._left = stream.end - first
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            with attributed_to("source"):
                await self.stream.open()
            same = self.stream.etag in {None, self._etag or self.stream.etag}
            self.fits = same and not self.stream.sends_all
            if self.fits:
                await worker_threads.run_in_worker(self._fill)
        except Exception as error:  # noqa: BLE001 - comes out in its turn, whatever it is
            self._failure = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

    def _fill(self) -> None:
        while self._left and self._may_read():
            buffer, count = self._buffers.take(), 0
            try:
                count = self.stream.readinto(buffer[: self._left])
            finally:
                self._budget.give_back(PIECE - count)
            with self._changed:
                self._held += count
                self._left -= count
                self._pieces.append((buffer, slice(0, count)))
                self._changed.notify()

    def _may_read(self) -> bool:
        """Wait until there is room for another piece; False once this range has its turn."""
        while not self._has_turn:
            worker_threads.check()
            if self._budget.try_take(PIECE, patience=_LOOK_SECONDS):
                return True
        return False

    def take(self, buffer: memoryview) -> int:
        """Copy what was read ahead; return 0 when that is all. Blocks; called in a worker thread."""
        self._has_turn = True
        with self._changed:
            while not self._pieces and not self._over:
                self._changed.wait(_LOOK_SECONDS)
                worker_threads.check()
            if not self._pieces:
                if self._failure is not None:
                    raise self._failure
                return 0
            piece, there = self._pieces.popleft()
            count: int = min(len(buffer), there.stop - there.start)
            left = slice(there.start + count, there.stop)
            buffer[:count] = piece[there.start : left.start]
            if left.start < left.stop:
                self._pieces.appendleft((piece, left))
            else:
                self._buffers.give_back(piece)
            self._give_back(count)
        self.position += count
        return count

    def _give_back(self, count: int) -> None:
        self._held -= count
        self._budget.give_back(count)

    async def aclose(self) -> None:
        """Stop reading, and drop what was not taken."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for buffer, _ in self._pieces:
            self._buffers.give_back(buffer)
        self._pieces.clear()
        self._give_back(self._held)
        await self.stream.aclose()


class _RangedBlob(Pieces):
    """A blob on its way: a stream that has its turn, and ranges that have it after."""

    def __init__(self, ranges: Ranges, stream: OpenStream, first: int, end: int) -> None:
        self._ranges = ranges
        self._stream = stream
        self._position = first
        self._end = end
        # The first byte that nobody was asked for.
        self._asked = first
        self._etag: str | None = None
        self._ahead: deque[_Ahead] = deque()
        self._lead: BlobStream
        # Of the lead: its bytes, and the seconds that they were waited for.
        self._received = 0
        self._waited = 0.0
        # None before the first byte; once slow, always slow.
        self._slow: bool | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Self]:
        self._ranges.blobs += 1
        try:
            await self._open()
            async with aclosing(self):
                yield self
        finally:
            self._ranges.blobs -= 1
            if not self._ranges.blobs:
                self._ranges.buffers.clear()

    async def aclose(self) -> None:
        """Drop what was not handed on."""
        try:
            await self._drop_ahead()
        finally:
            await self._lead.aclose()

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next bytes into a buffer; 0 at the end. Blocks; called in a worker thread."""
        while self._position < self._end:
            if self._may_read_ahead():
                worker_threads.call(self._read_ahead)
            if count := self._take(buffer):
                self._position += count
                return count
            worker_threads.call(self._pass_on)
        return 0

    def splice(self, pipe: int, count: int, /) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now. Blocks."""
        if not self._leads() or self._may_read_ahead():
            return 0
        moved = self._timed(partial(self._lead.splice, pipe, min(count, self._lead.end - self._position)))
        self._position += moved
        return moved

    def _take(self, buffer: memoryview) -> int:
        """Return the next bytes of the range that has its turn; none at its end."""
        if self._leads():
            return self._timed(partial(self._lead.readinto, buffer[: self._lead.end - self._position]))
        return self._ahead[0].take(buffer) if self._ahead else 0

    def _leads(self) -> bool:
        """Return whether the stream has the turn; else the first range read ahead has, if there is one."""
        return self._position < self._lead.end

    def _timed(self, move: Callable[[], int]) -> int:
        asked = time.monotonic()
        count = move()
        self._waited += time.monotonic() - asked
        self._received += count
        self._slow = self._slow or is_slow(self._received, self._waited, self._ranges.blobs)
        return count

    async def _open(self) -> None:
        """Open a stream at this position: of a range, or of all that is left where the registry sends no ranges."""
        alone = self._slow is False or self._ranges.is_alone()
        end = range_end(self._position, self._end, alone=alone) if self._ranges.sends_ranges else self._end
        stream = self._stream(self._position, end)
        with attributed_to("source"):
            await stream.open()
        if stream.sends_all and end < self._end:
            self._ranges.sends_ranges = False
            stream.end = self._end
        self._etag = self._etag or stream.etag
        self._lead, self._asked = stream, stream.end
        self._received, self._waited = 0, 0.0

    def _may_read_ahead(self) -> bool:
        streams = len(self._ahead) + self._leads()
        return bool(self._slow) and self._asked < self._end and self._ranges.may_add(streams)

    async def _read_ahead(self) -> None:
        while self._may_read_ahead():
            end = range_end(self._asked, self._end, alone=False)
            stream = self._stream(self._asked, end)
            self._ahead.append(_Ahead(stream, self._asked, self._etag, self._ranges))
            self._asked = end

    async def _pass_on(self) -> None:
        """Give the turn to the next range; where that gave up, the rest comes in one stream."""
        if not self._ahead:
            await self._lead.aclose()
            await self._open()
            return
        first = self._ahead.popleft()
        if first.fits and self._position < first.stream.end:
            await self._lead.aclose()
            self._lead, self._received, self._waited = first.stream, 0, 0.0
            return
        await first.aclose()
        if not first.fits:
            self._ranges.sends_ranges = False
            await self._drop_ahead()
            self._asked = self._position

    async def _drop_ahead(self) -> None:
        while self._ahead:
            await self._ahead.pop().aclose()
