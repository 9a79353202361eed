"""Bodies of requests and responses: held in memory, or read and written by worker threads."""

import asyncio
import http.client
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from hashlib import sha256
from typing import Self

import pybase64

from transfer.concurrency import worker_threads
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.engine.blob_reader import BlobReader, Pieces
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.http.blocking_socket import BlockingSocket, can_splice

# The HTTP client writes a piece into the socket's buffer whole, so its size is what keeps moving after a cancellation;
# and TLS holds all of it encrypted besides.
_SLICE = 256 * 1024
# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
METERED_SLICE = 64 * 1024


class Base64Text:
    """Bytes that travel as their base64 text, which is made slice by slice while it is sent."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return -(-len(self._raw) // 3) * 4

    def slices(self, size: int) -> Iterator[bytes]:
        """Yield the text in order, in pieces of at most `size` bytes."""
        step = size // 4 * 3
        for start in range(0, len(self._raw), step):
            yield pybase64.b64encode(self._raw[start : start + step])


class RequestBody:
    """
    The bytes of a request, in pieces as they were built.

    Attributes:
        length: of all pieces together.
        blob_bytes: how many bytes of a blob they stand for.
    """

    def __init__(self, chunks: Sequence[bytes | Base64Text], *, digest: str | None = None, blob_bytes: int = 0) -> None:
        self.chunks = chunks
        self.length = sum(len(chunk) for chunk in chunks)
        self.blob_bytes = blob_bytes
        if digest is not None:
            self.sha256 = digest

    def __repr__(self) -> str:
        return f"RequestBody({self.length} bytes)"

    @classmethod
    def of(cls, content: bytes, *, blob_bytes: int = 0) -> Self:
        return cls((content,), blob_bytes=blob_bytes)

    @cached_property
    def sha256(self) -> str:
        """The hex SHA-256 of all of them."""
        hasher = sha256()
        for piece in self.slices(_SLICE):
            hasher.update(piece)
        return hasher.hexdigest()

    def slices(self, size: int) -> Iterator[bytes | memoryview]:
        """Yield all bytes in order, in pieces of at most this size."""
        for chunk in self.chunks:
            yield from chunk.slices(size) if isinstance(chunk, Base64Text) else _slices(chunk, size)


class BlobBody:
    """
    The bytes [first, end) of a blob as the body of a request, read in a worker thread while they are sent.

    May be sent more than once; its errors are the source's, as SourceFailed.
    """

    def __init__(self, reader: BlobReader, first: int, end: int) -> None:
        self._reader = reader
        self.first = first
        self.end = end

    def __repr__(self) -> str:
        return f"BlobBody({self.length} bytes)"

    @property
    def length(self) -> int:
        return self.end - self.first

    @property
    def blob_bytes(self) -> int:
        """All of it is a blob's."""
        return self.length

    def rewind(self) -> None:
        """Begin at the first byte. Blocks, as all below does."""
        self._reader.seek(self.first)

    def readinto(self, buffer: memoryview) -> int:
        """Put the next bytes into the buffer, at least one."""
        return self._reader.readinto(buffer)

    def splice(self, pipe: int, count: int) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where they must be read."""
        return self._reader.splice(pipe, count)

    def file(self) -> int | None:
        """Return the descriptor of a file with the blob, where the kernel may send it."""
        return self._reader.file()

    def ended(self, position: int) -> ContentMismatch:
        """Return the error that the file ends at this byte."""
        return self._reader.mismatch(f"it is cut off at byte {position}")

    def unreadable(self, error: OSError) -> InvalidLayout:
        """Return the error that the file cannot be read."""
        return self._reader.unreadable(error)


class BodyStream:
    """
    A body in memory on its way: hands out one piece after the other, and moves a deadline ahead with each.

    Args:
        body: what is sent.
        patience: seconds that a piece may take to be sent.
        meter: counts the bytes of blobs, each piece before it is handed out.
    """

    def __init__(self, body: RequestBody, patience: float, meter: BandwidthLimiter | None = None) -> None:
        self._meter = meter if body.blob_bytes else None
        self._pieces = body.slices(METERED_SLICE if self._meter else _SLICE)
        self._share = body.blob_bytes / max(1, body.length)
        self._deadline: asyncio.Timeout | None = None
        self._patience = patience

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes | memoryview:
        # While a piece waits for its turn, no patience counts, and after the last piece, the HTTP client's read
        # timeout, which does not watch an upload that stalls.
        self._wait_until(None)
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        if self._meter is not None:
            await self._meter.take(len(piece) * self._share)
        self._wait_until(asyncio.get_running_loop().time() + self._patience)
        return piece

    def watch(self, deadline: asyncio.Timeout | None) -> None:
        """Move this deadline from now on; none, once the answer is here, which may be before the last piece."""
        self._deadline = deadline

    def _wait_until(self, when: float | None) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(when)


@contextmanager
def watching(upload: BodyStream | None) -> Iterator[asyncio.Timeout]:
    """The deadline of one exchange, which its upload moves ahead for as long as the answer is awaited."""
    deadline = asyncio.timeout(None)
    if upload is None:
        yield deadline
        return
    upload.watch(deadline)
    try:
        yield deadline
    finally:
        upload.watch(None)


def _slices(content: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(content)
    for start in range(0, len(view), size):
        yield view[start : start + size]


# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED = 64 * 1024


class Download(Pieces):
    """
    The bytes of one answer, in order.

    Args:
        wire: what it comes over, where that is without TLS.
        release: gives the connection back, or closes it where the answer was not read to its end.
        meter: counts the bytes as they come.
        translated: what an exception of the network becomes.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        wire: BlockingSocket | None,
        release: Callable[[], None],
        meter: BandwidthLimiter | None,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._wire = wire if can_splice() and not meter and not response.chunked else None
        self._has_length = response.length is not None
        # Nothing that came lies here: it can all be had from the socket.
        self._is_drained = False
        self._shall_drain = False
        self._translated = translated
        self._response = response
        self._release: Callable[[], None] | None = release
        self._meter = meter

    def readinto(self, buffer: memoryview) -> int:
        """
        Fill the buffer, as far as there are bytes; 0 at the end. Blocks; called in a worker thread.

        Raises:
            ConnectionFailed: the answer broke off.
        """
        view = buffer[:_METERED] if self._meter else buffer
        with self._translated():
            count = self._read(view)
            if not count and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        if self._response.isclosed():
            self.close()
        if count and self._meter is not None:
            worker_threads.call(partial(self._meter.take, count))
        return count

    def _read(self, view: memoryview) -> int:
        self._is_drained = self._shall_drain
        if not self._shall_drain:
            return self._response.readinto(view)
        # No more than lies here already: what comes after it, the kernel may move.
        self._shall_drain = False
        lying = self._response.peek()
        return self._response.readinto(view[: len(lying)]) if lying else 0

    @property
    def has_length(self) -> bool:
        """Whether the answer says how long it is."""
        return self._has_length

    def goes_on(self) -> bool:
        """Return whether there is more. Blocks."""
        with self._translated():
            return not self._response.isclosed() and bool(self._response.read(1))

    def splice(self, pipe: int, count: int, /) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now. Blocks."""
        left = self._response.length
        if self._wire is None or not left:
            return 0
        if not self._is_drained:
            self._shall_drain = True
            return 0
        with self._translated():
            moved = self._wire.splice_into(pipe, min(count, left))
            if not moved:
                raise http.client.IncompleteRead(b"", left)
        self._response.length = left - moved
        if moved == left:
            self._response.close()
            self.close()
        return moved

    def close(self) -> None:
        """Let go of the connection; does not block."""
        release, self._release = self._release, None
        if release is not None:
            release()
            self._response.close()


class Buffers:
    """
    Buffers of `size` bytes each, used again and again by all that is read from one registry.

    Memory maps of their own: freed, they go back to the system at once, while the C library's heaps (one a thread)
    would keep tens of megabytes of them.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """Return a buffer, whatever is in it."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, self._size, access=mmap.ACCESS_COPY))

    def give_back(self, buffer: memoryview) -> None:
        """Let others use it."""
        self._free.append(buffer)

    def clear(self) -> None:
        """Give the memory of those that are free back to the system."""
        self._free.clear()
