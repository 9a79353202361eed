"""
A blob on its way out: read from its source in a task of its own, verified on demand, handed on in order.

The HTTP client takes a body from a task that ends with each request, while a source may bind what it opens to the
task that opened it; so one task reads, for as many requests as follow each other, and is one piece ahead of them.
Of a blob that is verified the last byte is handed on only when the digest is right; one that is not may be sent from
its file instead. Knows no registry.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Self

from transfer.engine.config import MIB
from transfer.engine.content import BlobSource
from transfer.engine.tasks import outlast
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Hasher
from transfer.registry.body import StreamBody
from transfer.registry.distribution.blob_file import BlobFile, BlobPart, SourceFailed

# What one feed holds at most: pieces being read, waiting, being sent, and lying in the buffer of the socket.
HELD_BYTES = 4 * MIB
# Up to this a hop into a thread, with the wait for its turn, takes longer than the hashing (40 µs).
_SMALL_PIECE = 64 * 1024


class Feed:
    """
    One blob of one source, as an async context manager.

    Args:
        source, blob: what is read.
        group: the reading task belongs to it; its own errors come out of the bodies.
        verify: compute the digest of what passes, so that nothing else is ever sent whole.
    """

    def __init__(self, source: BlobSource, blob: Descriptor, group: asyncio.TaskGroup, *, verify: bool = True) -> None:
        self._source = source
        self._blob = blob
        self._file = BlobFile(source, blob)
        self._group = group
        self._hasher = blob.digest.hasher() if verify else None
        self._hashed = 0
        self._reader: asyncio.Task[None] | None = None
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue(1)
        self._position = 0
        self._rest = b""

    async def __aenter__(self) -> Self:
        if self._blob.size == 0:
            self._verify(self._hasher)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def verified(self) -> bool:
        """Whether the digest of all that passes is looked at."""
        return self._hasher is not None

    def body(self, first: int, end: int) -> StreamBody:
        """The bytes [first, end) for one request; the next one may begin where it ends, or anywhere before."""
        part = None if self.verified else BlobPart(self._file, first)
        return StreamBody(lambda: self._opened(first, end), end - first, part)

    async def check(self) -> None:
        """
        Look at the whole file, where there is one, before the first byte is handed on.

        Raises:
            ContentMismatch, InvalidLayout: it is not what it should be, or cannot be read.
        """
        await self._file.check()

    @asynccontextmanager
    async def _opened(self, first: int, end: int) -> AsyncIterator[AsyncIterator[bytes]]:
        if self._reader is None or first != self._position:
            await self._stop()
            self._position, self._rest, self._queue = first, b"", asyncio.Queue(1)
            if first < self._blob.size:
                self._reader = self._group.create_task(self._read(first, self._queue))
        async with aclosing(self._take(end)) as pieces:
            yield pieces

    async def _take(self, end: int) -> AsyncGenerator[bytes]:
        while self._position < end:
            if not self._rest:
                got = await self._queue.get()
                if isinstance(got, Exception):
                    self._position = -1
                    raise SourceFailed(got) from got
                self._rest = got
            piece = self._rest[: end - self._position]
            self._rest = self._rest[len(piece) :]
            self._position += len(piece)
            yield piece

    async def _read(self, first: int, queue: asyncio.Queue[bytes | Exception]) -> None:
        position = first
        try:
            async with self._source.open_blob(self._blob, offset=first) as pieces:
                async for piece in pieces:
                    position += len(piece)
                    await self._absorb(piece, position)
                    await queue.put(piece)
            if position != self._blob.size:
                await queue.put(self._file.mismatch(f"it ends at byte {position}"))
        except Exception as error:  # noqa: BLE001 - comes out of the body, in order, whatever it is
            await queue.put(error)

    async def _absorb(self, piece: bytes, position: int) -> None:
        if position > self._blob.size:
            raise self._file.mismatch("it goes on behind that")
        fresh = position - self._hashed
        if fresh <= 0 or self._hasher is None:
            return
        data = piece[-fresh:]
        self._hashed = position
        if len(data) <= _SMALL_PIECE:
            self._hasher.update(data)
        else:
            # These bytes count as hashed, so that they must be before anything else is done with the hash.
            await outlast(asyncio.get_running_loop().run_in_executor(None, self._hasher.update, data))
        if position == self._blob.size:
            self._verify(self._hasher)

    def _verify(self, hasher: Hasher | None) -> None:
        if hasher is not None and not self._blob.digest.matches(hasher):
            raise self._file.mismatch(f"its content has digest {self._blob.digest.algorithm}:{hasher.hexdigest()}")

    async def _stop(self) -> None:
        if self._reader is not None:
            # One that has given its last byte is about to close its source, which is better not interrupted.
            if self._position < self._blob.size:
                self._reader.cancel()
            await asyncio.wait({self._reader})
            self._reader = None
