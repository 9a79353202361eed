"""
Broadcast: one read of a blob, handed to several uploads at once.

A worker thread reads, and waits for the slowest of them, as far as patience goes: one that keeps the others waiting
for longer is let go of, and reads on by itself. Holds a bounded window of bytes.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import BinaryIO, Literal

from transfer.concurrency import worker_threads
from transfer.config import MIB
from transfer.engine.blob_reader import BlobReader, Pieces, SourceFailed
from transfer.engine.protocols import BlobSource
from transfer.model.descriptor import Descriptor

# What a reader may be behind the fastest one.
WINDOW_BYTES = 2 * MIB
_PIECE = 256 * 1024
# Seconds between two looks at whether the work is still wanted.
_LOOK_SECONDS = 0.1

# Not come yet; fed; reading the source by itself; in need of no more.
State = Literal["awaited", "listening", "alone", "over"]


class Fanout:
    """
    One blob of one source, read once for some readers; `run` must be awaited while they read.

    Args:
        readers: how many there are; reading begins when each has come, or will not.
        patience: seconds that the others wait for one reader.
    """

    def __init__(
        self,
        source: BlobSource,
        blob: Descriptor,
        *,
        readers: int,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._blob = blob
        self._patience = patience
        self._clock = clock
        self._began = clock()
        # Of the state and the pieces of all readers.
        self._changed = threading.Condition()
        self.readers = [FanoutReader(source, self._changed) for _ in range(readers)]

    async def run(self) -> None:
        """Read the blob from the least offset that a reader asks for, and hand on what comes until nobody listens."""
        failure: Exception | None = None
        cancelled = True
        try:
            async with BlobReader(self._source, self._blob) as reader:
                await worker_threads.run_in_worker(partial(self._run, reader))
            cancelled = False
        except SourceFailed as failed:
            failure, cancelled = failed.error, False
        finally:
            for one in self.readers:
                one.end(failure, go_on=cancelled)

    def _run(self, reader: BlobReader) -> None:
        self._wait_for(lambda: [one for one in self.readers if one.is_awaited])
        positions = [one.position for one in self.readers if one.is_listening]
        if not positions:
            return
        offset, buffer = min(positions), memoryview(bytearray(_PIECE))
        reader.seek(offset)
        while offset < self._blob.size and any(one.is_listening for one in self.readers):
            piece = bytes(buffer[: reader.readinto(buffer[: self._blob.size - offset])])
            self._wait_for(lambda: [one for one in self.readers if one.is_full])
            with self._changed:
                for one in self.readers:
                    one.take(memoryview(piece), offset)
                self._changed.notify_all()
            offset += len(piece)

    def _wait_for(self, awaited: Callable[[], Iterable["FanoutReader"]]) -> None:
        """Wait until no reader is awaited any more; one that keeps others waiting for too long is let go of."""
        pending = dict.fromkeys(self.readers, 0.0)
        with self._changed:
            while late := list(awaited()):
                worker_threads.check()
                others = any(one.is_listening and one not in late for one in self.readers)
                left = self._patience - max(pending[one] for one in late) if others else _LOOK_SECONDS
                began = self._clock()
                self._changed.wait(min(_LOOK_SECONDS, left))
                now = self._clock()
                for one in late if others else ():
                    pending[one] += now - began
                    one.kept_waiting += now - began
                    if is_lagging(pending[one], one.kept_waiting, now - self._began, self._patience):
                        one.let_go()


def is_lagging(wait: float, waits: float, elapsed: float, patience: float) -> bool:
    """
    Return whether one reader is better off by itself: it stands still, or it more than halves the speed of the others.

    Args:
        wait: seconds that the others have waited for it now.
        waits: seconds that they have in all, of the `elapsed` ones.
    """
    return wait >= patience or (waits >= patience and 2 * waits >= elapsed)


class FanoutReader:
    """
    The source as one upload sees it: its blob comes from the broadcast, as long as it is read on from there.

    Attributes:
        position: where the next byte from the broadcast belongs.
        kept_waiting: seconds that the others have waited for this one.
        on_lag: called once, in the event loop, when this one is let go of.
    """

    def __init__(self, source: BlobSource, changed: threading.Condition) -> None:
        self._source = source
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[memoryview] = deque()
        self._held = 0
        self._state: State = "awaited"
        self._failure: Exception | None = None
        self.position = 0
        self.kept_waiting = 0.0
        self.on_lag: Callable[[], None] | None = None

    @property
    def is_awaited(self) -> bool:
        return self._state == "awaited"

    @property
    def is_listening(self) -> bool:
        return self._state == "listening"

    @property
    def is_full(self) -> bool:
        return self.is_listening and self._held >= WINDOW_BYTES

    def take(self, piece: memoryview, offset: int) -> None:
        """Get a piece that lies at an offset of the blob, as far as it is new here."""
        fresh = offset + len(piece) - self.position
        if self.is_listening and fresh > 0:
            self._pieces.append(piece[-fresh:])
            self._held += min(fresh, len(piece))
            self.position = offset + len(piece)

    def let_go(self) -> None:
        """Be waited for no longer, and read on alone."""
        if self._leave("alone") and self.on_lag is not None:
            self._loop.call_soon_threadsafe(self.on_lag)

    def withdraw(self) -> None:
        """Be waited for no longer: the upload is over, or needs no bytes."""
        self._leave("over")

    def end(self, failure: Exception | None, *, go_on: bool) -> None:
        """There is nothing more to come; `go_on` by itself, where that was not all."""
        self._failure = failure
        self._leave("alone" if go_on or self.is_awaited else "over")

    def _leave(self, state: State) -> bool:
        with self._changed:
            if self._state not in {"awaited", "listening"}:
                return False
            self._state = state
            self._changed.notify_all()
        return True

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        """Return the source's own file, in a worker thread: who has one does not need to be fed."""
        file = self._source.open_file(descriptor)
        if file is not None:
            self.withdraw()
        return file

    def locate(self, descriptor: Descriptor) -> str:
        return self._source.locate(descriptor)

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes from the broadcast the first time, and from the source itself whenever else it is asked for."""
        if not self.is_awaited or end is not None:
            async with self._source.open_blob(descriptor, offset=offset, end=end) as pieces:
                yield pieces
            return
        with self._changed:
            self._state, self.position = "listening", offset
            self._changed.notify_all()
        try:
            async with BlobReader(self._source, descriptor) as alone:
                yield _Fed(self, alone, offset, descriptor.size)
        finally:
            self._leave("over")
            with self._changed:
                self._pieces.clear()
                self._held = 0

    def next(self, most: int) -> memoryview | None:
        """At most so many of the bytes that were read for it; None where there are no more to come. Blocks."""
        with self._changed:
            while not self._pieces and self.is_listening:
                worker_threads.check()
                self._changed.wait(_LOOK_SECONDS)
            if not self._pieces:
                if self._failure is not None:
                    raise self._failure
                return None
            piece = self._pieces.popleft()
            if len(piece) > most:
                self._pieces.appendleft(piece[most:])
            self._held -= min(most, len(piece))
            self._changed.notify_all()
        return piece[:most]


class _Fed(Pieces):
    """The bytes of one reader: what is read for it, and the rest, which it reads alone."""

    def __init__(self, reader: FanoutReader, alone: BlobReader, position: int, size: int) -> None:
        self._reader = reader
        self._alone = alone
        self._position = position
        self._size = size

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next bytes into a buffer; 0 at the end. Blocks; called in a worker thread."""
        piece = self._reader.next(len(buffer))
        if piece is not None:
            count = len(piece)
            buffer[:count] = piece
        elif self._position < self._size:
            self._alone.seek(self._position)
            count = self._alone.readinto(buffer[: self._size - self._position])
        else:
            return 0
        self._position += count
        return count
