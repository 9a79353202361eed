"""
Broadcast: one read of a blob, handed to several uploads at once.

The read waits for the slowest of them, as far as patience goes: one that keeps the others waiting for longer is let
go of, and reads on by itself. Holds a bounded window of bytes. Knows no target, and verifies nothing: every upload
does so for itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import BinaryIO, Literal

from transfer.engine.config import MIB
from transfer.engine.content import BlobSource
from transfer.model.descriptor import Descriptor

# What a reader may be behind the fastest one; sources hand on pieces of at most 1 MiB.
WINDOW_BYTES = 2 * MIB

# Not come yet; fed; reading the source by itself; in need of no more.
State = Literal["awaited", "listening", "alone", "over"]


class Broadcast:
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
        self._moved = asyncio.Event()
        self.readers = [Reader(source, self._moved) for _ in range(readers)]

    async def run(self) -> None:
        """Read the blob from the least offset that a reader asks for, and hand on what comes until nobody listens."""
        failure: Exception | None = None
        cancelled = True
        try:
            await self._wait_for(lambda: [one for one in self.readers if one.is_awaited])
            listening = [one for one in self.readers if one.is_listening]
            if listening:
                await self._read(min(one.position for one in listening))
            cancelled = False
        except Exception as error:  # noqa: BLE001 - comes out of every reader, whatever it is
            failure, cancelled = error, False
        finally:
            for one in self.readers:
                one.end(failure, go_on=cancelled)

    async def _read(self, offset: int) -> None:
        async with self._source.open_blob(self._blob, offset=offset) as pieces:
            async for piece in pieces:
                await self._wait_for(lambda: [one for one in self.readers if one.is_full])
                for one in self.readers:
                    one.take(piece, offset)
                if not any(one.is_listening for one in self.readers):
                    return
                offset += len(piece)

    async def _wait_for(self, awaited: Callable[[], Iterable["Reader"]]) -> None:
        """Wait until no reader is awaited any more; one that keeps others waiting for too long is let go of."""
        pending = dict.fromkeys(self.readers, 0.0)
        while late := list(awaited()):
            others = any(one.is_listening and one not in late for one in self.readers)
            began = self._clock()
            self._moved.clear()
            left = self._patience - max(pending[one] for one in late)
            with suppress(TimeoutError):
                async with asyncio.timeout(left if others else None):
                    await self._moved.wait()
            now = self._clock()
            for one in late if others else ():
                pending[one] += now - began
                one.kept_waiting += now - began
                if is_lagging(pending[one], one.kept_waiting, now - self._began, self._patience):
                    one.let_go()


def is_lagging(wait: float, waits: float, elapsed: float, patience: float) -> bool:
    """
    Whether one reader is better off by itself: it stands still, or it more than halves the speed of the others.

    Args:
        wait: seconds that the others have waited for it now.
        waits: seconds that they have in all, of the `elapsed` ones.
    """
    return wait >= patience or (waits >= patience and 2 * waits >= elapsed)


class Reader:
    """
    The source as one upload sees it: its blob comes from the broadcast, as long as it is read on from there.

    Attributes:
        position: where the next byte from the broadcast belongs.
        kept_waiting: seconds that the others have waited for this one.
        on_lag: called once when this one is let go of.
    """

    def __init__(self, source: BlobSource, moved: asyncio.Event) -> None:
        self._source = source
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._came = asyncio.Event()
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

    def take(self, piece: bytes, offset: int) -> None:
        """Get a piece that lies at an offset of the blob, as far as it is new here."""
        fresh = offset + len(piece) - self.position
        if self.is_listening and fresh > 0:
            self._pieces.append(piece[-fresh:])
            self._held += min(fresh, len(piece))
            self.position = offset + len(piece)
            self._came.set()

    def let_go(self) -> None:
        """Be waited for no longer, and read on alone."""
        if self._leave("alone") and self.on_lag is not None:
            self.on_lag()

    def withdraw(self) -> None:
        """Be waited for no longer: the upload is over, or needs no bytes."""
        self._leave("over")

    def end(self, failure: Exception | None, *, go_on: bool) -> None:
        """There is nothing more to come; `go_on` by itself, where that was not all."""
        self._failure = failure
        self._leave("alone" if go_on or self.is_awaited else "over")

    def _leave(self, state: State) -> bool:
        if self._state not in {"awaited", "listening"}:
            return False
        self._state = state
        self._came.set()
        self._moved.set()
        return True

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        """The source's own file, in a worker thread: who has one does not need to be fed."""
        file = self._source.open_file(descriptor)
        if file is not None:
            self._loop.call_soon_threadsafe(self.withdraw)
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
        self._state, self.position = "listening", offset
        self._moved.set()
        try:
            async with aclosing(self._listen(descriptor, offset)) as pieces:
                yield pieces
        finally:
            self._leave("over")
            self._pieces.clear()
            self._held = 0

    async def _listen(self, descriptor: Descriptor, position: int) -> AsyncGenerator[bytes]:
        while True:
            self._came.clear()
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                self._moved.set()
                position += len(piece)
                yield piece
            if self._state == "listening":
                await self._came.wait()
            else:
                break
        if self._failure is not None:
            raise self._failure
        if self._state == "alone" and position < descriptor.size:
            async with self._source.open_blob(descriptor, offset=position) as pieces:
                async for piece in pieces:
                    yield piece
