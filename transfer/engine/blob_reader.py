"""
BlobReader: the bytes of one blob of one source, for whoever writes them somewhere.

A file of this machine is read as such; anything else is streamed, and opened anew where it is not read on from where
it stands. Large blobs are read in worker threads, into the caller's buffer; small ones at once. Where it is asked to,
it computes the digest of what passes, so that nothing else is ever handed on whole.
"""

import asyncio
import io
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import BinaryIO, Protocol, Self, TypeVar, cast, runtime_checkable

from transfer.concurrency import worker_threads
from transfer.engine.protocols import BlobSource
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Hasher

T = TypeVar("T")

# Bytes that one blob on its way holds: a worker's buffer, and what its source has at hand.
HELD_BYTES = 512 * 1024
_CHECKED = 256 * 1024
_PIECE = 512 * 1024


class SourceFailed(Exception):
    """
    An error of the source inside a request to the target, as `error`.

    Not one of the package's own, so that no retry loop of the target takes it for the target's: the source has tried
    again by itself as often as it is worth it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@runtime_checkable
class Readable(Protocol):
    """A stream that a worker thread can read without the event loop."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next bytes into the buffer; 0 at the end. Blocks."""

    def splice(self, pipe: int, count: int, /) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now. Blocks."""


class Pieces(ABC):
    """Bytes that worker threads read, or a coroutine piece by piece."""

    @abstractmethod
    def readinto(self, buffer: memoryview, /) -> int:
        """See `Readable`."""

    def splice(self, pipe: int, count: int, /) -> int:  # noqa: ARG002 - as asked
        """See `Readable`; not supported unless overridden."""
        return 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await worker_threads.run_in_worker(self._piece)
        except SourceFailed as failed:
            raise failed.error from None
        if not piece:
            raise StopAsyncIteration
        return piece

    def _piece(self) -> bytes:
        buffer = memoryview(bytearray(_PIECE))
        return bytes(buffer[: self.readinto(buffer)])


class BlobReader:
    """
    Reads one blob, in any order of ranges; an async context manager, since a file or stream may stay open.

    One reader at a time: what one thread or coroutine began to read must have ended before another begins.

    Args:
        verify: compute the digest, as long as all that passes is read in order from the first byte.
    """

    def __init__(self, source: BlobSource, blob: Descriptor, *, verify: bool = False) -> None:
        self._source = source
        self._blob = blob
        self._hasher: Hasher | None = blob.digest.hasher() if verify else None
        self._hashed = 0
        self._position = 0
        self._file: BinaryIO | None = None
        self._has_file: bool | None = None
        self._stack = AsyncExitStack()
        self._stream: Readable | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._has_file = None
        await self._close_stream()

    @property
    def verifies(self) -> bool:
        """Whether the digest of all that passes is computed."""
        return self._hasher is not None

    def is_file(self) -> bool:
        """Return whether the blob is a local file, which may change. Blocks."""
        if self._has_file is None:
            self._file = self._source.open_file(self._blob)
            self._has_file = self._file is not None
            if self._file is not None and self._position:
                self._file.seek(self._position)
        return self._has_file

    def file(self) -> int | None:
        """Return a file descriptor at the blob's first byte, where the kernel may send it. Blocks."""
        if self.verifies or not _guarded(self.is_file) or self._file is None:
            return None
        try:
            return self._file.fileno()
        except OSError:
            return None

    def seek(self, position: int) -> None:
        """Read on from another byte. Blocks; called in a worker thread."""
        if position == self._position:
            return
        self._position = position
        if self._file is not None:
            self._file.seek(position)
        elif self._stream is not None:
            worker_threads.call(self._close_stream)

    def readinto(self, buffer: memoryview) -> int:
        """
        Put the next bytes into a buffer that does not reach beyond the blob's end. Blocks; called in a worker thread.

        Raises:
            SourceFailed: the blob is shorter than its size, is not what its digest says, or cannot be read.
        """
        count = _guarded(partial(self._readinto, buffer))
        if not count:
            raise SourceFailed(self.mismatch(f"it is cut off at byte {self._position}"))
        self._position += count
        self._absorb(buffer[:count])
        return count

    def splice(self, pipe: int, count: int) -> int:
        """
        Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now, and they must be read.

        Blocks; called in a worker thread.
        """
        if self._stream is None or self.verifies:
            return 0
        moved = _guarded(partial(self._stream.splice, pipe, count))
        self._position += moved
        return moved

    def _readinto(self, buffer: memoryview) -> int:
        if self.is_file() and self._file is not None:
            try:
                return cast("io.BufferedReader", self._file).readinto(buffer)  # every binary file has it
            except OSError as error:
                raise self.unreadable(error) from None
        if self._stream is None:
            worker_threads.call(self._open)
        assert self._stream is not None  # noqa: S101 - it has just been opened
        return self._stream.readinto(buffer)

    async def _open(self) -> None:
        opened = self._source.open_blob(self._blob, offset=self._position)
        pieces = await self._stack.enter_async_context(opened)
        left = self._blob.size - self._position
        self._stream = pieces if isinstance(pieces, Readable) else _Pieces(pieces, left, self)

    async def _close_stream(self) -> None:
        self._stream = None
        await self._stack.aclose()

    def _absorb(self, data: "memoryview | bytes") -> None:
        fresh = self._position - self._hashed
        if self._hasher is None or fresh <= 0:
            return
        if fresh > len(data):
            # Some was passed over: of the rest the digest tells nothing.
            self._hasher = None
            return
        self._hasher.update(data[-fresh:])
        self._hashed = self._position
        if self._position == self._blob.size and not self._blob.digest.matches(self._hasher):
            raise SourceFailed(self.wrong_digest(self._hasher))

    async def content(self) -> bytes:
        """
        Return all of a small blob.

        Raises:
            ContentMismatch: it has another size, or another digest.
            TransferError: the source cannot be read.
        """
        content = await asyncio.to_thread(self._file_content)
        if content is None:
            async with self._source.open_blob(self._blob) as pieces:
                content = await self._joined(pieces)
        if len(content) != self._blob.size:
            raise self.mismatch(_ends_at(len(content), self._blob.size))
        hasher = self._blob.digest.hasher()
        hasher.update(content)
        if not self._blob.digest.matches(hasher):
            raise self.wrong_digest(hasher)
        return content

    def _file_content(self) -> bytes | None:
        file = self._source.open_file(self._blob)
        if file is None:
            return None
        with file:
            try:
                return file.read(self._blob.size)
            except OSError as error:
                raise self.unreadable(error) from None

    async def _joined(self, pieces: AsyncIterator[bytes]) -> bytes:
        content = bytearray()
        async for piece in pieces:
            content += piece
            if len(content) > self._blob.size:
                break
        return bytes(content)

    async def check_file(self) -> None:
        """
        Read the blob to its end, where it is a file.

        Raises:
            ContentMismatch: it is shorter, or its digest is another.
            InvalidLayout: it cannot be read.
        """
        async with BlobReader(self._source, self._blob, verify=True) as reader:
            try:
                await worker_threads.run_in_worker(reader._read_through)
            except SourceFailed as failed:
                raise failed.error from None

    def _read_through(self) -> None:
        buffer, left = memoryview(bytearray(_CHECKED)), self._blob.size
        while left and _guarded(self.is_file):
            worker_threads.check()
            left -= self.readinto(buffer[:left])

    def mismatch(self, found: str) -> ContentMismatch:
        """Return the error that the blob is not what its descriptor says."""
        blob = self._blob
        return ContentMismatch(
            f"blob {blob.digest} in {self._source.locate(blob)}: its size should be {blob.size}, and {found}; "
            "it is damaged, so make it again",
            side="source",
        )

    def unreadable(self, error: OSError) -> InvalidLayout:
        """Return the error that its file cannot be read."""
        where = self._source.locate(self._blob)
        return InvalidLayout(f"{where}: cannot be read: {error.strerror}; check the disk", side="source")

    def wrong_digest(self, hasher: Hasher) -> ContentMismatch:
        """Return the error that its content has the digest that `hasher` computed."""
        return self.mismatch(f"its content has digest {self._blob.digest.algorithm}:{hasher.hexdigest()}")


def _ends_at(length: int, size: int) -> str:
    return f"it is cut off at byte {length}" if length < size else "it continues after that"


class _Pieces(Pieces):
    """A stream of the event loop, read by a worker thread a piece at a time."""

    def __init__(self, pieces: AsyncIterator[bytes], left: int, reader: BlobReader) -> None:
        self._pieces = pieces
        self._left = left
        self._reader = reader
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._rest:
            self._rest = memoryview(worker_threads.call(self._next))
            if len(self._rest) > self._left:
                raise self._reader.mismatch("it continues after that")
            self._left -= len(self._rest)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    async def _next(self) -> bytes:
        """Return the next piece with anything in it; nothing at the end."""
        async for piece in self._pieces:
            if piece:
                return piece
        return b""


def _guarded(read: Callable[[], T]) -> T:
    """Mark errors of reading the source, so that they are not taken for the target's."""
    try:
        return read()
    except SourceFailed:
        raise
    except Exception as error:
        raise SourceFailed(error) from error
