"""
Request bodies: held in memory, or read while they are sent; and how one is handed to the HTTP client.

Knows no HTTP client but its habit to iterate over a body in a task of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from hashlib import sha256
from typing import BinaryIO, Protocol, Self

import msgspec
import pybase64

from transfer.engine.limits import Meter
from transfer.engine.tasks import outlast
from transfer.registry.sendfile import send_file

# aiohttp writes a piece into the socket's buffer whole, so its size is what keeps moving after a cancellation; and TLS
# holds all of it encrypted besides.
_SLICE = 256 * 1024
# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED_SLICE = 64 * 1024


class Base64Text:
    """Bytes that travel as their base64 text, which is made slice by slice while it is sent."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return -(-len(self._raw) // 3) * 4

    def slices(self, size: int) -> Iterator[bytes]:
        """The text in order, in pieces of at most `size` bytes."""
        step = size // 4 * 3
        for start in range(0, len(self._raw), step):
            yield pybase64.b64encode(self._raw[start : start + step])


class RequestBody(msgspec.Struct, frozen=True):
    """
    The bytes of a request, in pieces as they were built, with their length and the hex SHA-256 of all of them.

    `blob_bytes` is how many bytes of a blob they stand for.
    """

    chunks: Sequence[bytes | Base64Text]
    length: int
    sha256: str
    blob_bytes: int = 0

    def __repr__(self) -> str:
        return f"RequestBody({self.length} bytes)"

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls((content,), len(content), sha256(content).hexdigest())

    def slices(self, size: int) -> Iterator[bytes | memoryview]:
        """All bytes in order, in pieces of at most this size."""
        for chunk in self.chunks:
            yield from chunk.slices(size) if isinstance(chunk, Base64Text) else _slices(chunk, size)


class FilePart(Protocol):
    """The bytes of a body from `first` on in a file of this machine."""

    first: int

    def open(self) -> BinaryIO | None:
        """The file, or None where there is none with a descriptor of its own. Blocks."""

    def ended(self, position: int) -> Exception:
        """What it means that the file ends before the body does."""

    def unreadable(self, error: OSError) -> Exception:
        """What it means that the file cannot be read."""


class StreamBody(msgspec.Struct, frozen=True):
    """
    The bytes of a request that are read while they are sent: exactly `length` of them, in pieces of at most 1 MiB.

    The transport opens it once for each time it is sent, reads it in whatever task, and closes it before it returns;
    an error out of it stops the request and comes out of the transport as it is. Where the same bytes are part of a
    `file`, the transport may send that instead.
    """

    open: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]
    length: int
    file: FilePart | None = None

    def __repr__(self) -> str:
        return f"StreamBody({self.length} bytes)"

    @property
    def blob_bytes(self) -> int:
        """All of it is a blob's."""
        return self.length


class Upload:
    """
    A body on its way: hands out one piece after the other, and moves a deadline ahead with each.

    Args:
        body: what is sent.
        patience: seconds that a piece may take to be sent.
        meter: counts the bytes of blobs, each piece before it is handed out.

    Attributes:
        file: where its bytes may be sent from instead, by the kernel.
    """

    def __init__(self, body: RequestBody | StreamBody, patience: float, meter: Meter | None = None) -> None:
        self._meter = meter if body.blob_bytes else None
        self._length = body.length
        self.file = body.file if isinstance(body, StreamBody) and self._meter is None else None
        self._pieces = _pieces(body, _METERED_SLICE if self._meter else _SLICE)
        self._share = body.blob_bytes / max(1, body.length)
        self._deadline: asyncio.Timeout | None = None
        self._patience = patience
        self._idle = asyncio.Event()
        self._idle.set()
        self.failure: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes | memoryview:
        # While the source is read, its own patience counts, and while a piece waits for its turn, none; after the last
        # piece, the HTTP client's read timeout, which does not watch an upload that stalls.
        self._wait_until(None)
        self._idle.clear()
        try:
            piece = await anext(self._pieces)
            if self._meter is not None:
                await self._meter.take(len(piece) * self._share)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._idle.set()
        self._moved()
        return piece

    async def send_file(self, connection: int) -> bool:
        """Have the kernel send its file over a connection without TLS; False where there is no such file after all."""
        if self.file is None:
            return False
        self._wait_until(None)
        self._idle.clear()
        try:
            async with _opened(self.file) as file:
                if file is None:
                    return False
                await self._send_part(connection, file.fileno(), self.file)
            self._wait_until(None)
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._idle.set()
        return True

    async def _send_part(self, connection: int, file: int, part: FilePart) -> None:
        self._moved()
        end = part.first + self._length
        try:
            position = await send_file(connection, file, part.first, end, moved=self._moved)
        except ConnectionError:
            # Whatever the other side has said before it went, the HTTP client is about to read.
            return
        except OSError as error:
            raise part.unreadable(error) from None
        if position < end:
            raise part.ended(position)

    def watch(self, deadline: asyncio.Timeout | None) -> None:
        """Move this deadline from now on; none, once the answer is here, which may be before the last piece."""
        self._deadline = deadline

    async def close(self) -> None:
        """Let go of what the body is read from, once the HTTP client's own task has let go of it."""
        await self._idle.wait()
        await self._pieces.aclose()

    def _moved(self) -> None:
        self._wait_until(asyncio.get_running_loop().time() + self._patience)

    def _wait_until(self, when: float | None) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(when)


@contextmanager
def watching(upload: Upload | None) -> Iterator[asyncio.Timeout]:
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


@asynccontextmanager
async def _opened(part: FilePart) -> AsyncIterator[BinaryIO | None]:
    opening = asyncio.get_running_loop().run_in_executor(None, part.open)
    try:
        yield await outlast(opening)
    finally:
        if not opening.exception() and (file := opening.result()) is not None:
            file.close()


def _slices(content: bytes | memoryview, size: int) -> Iterator[memoryview]:
    view = memoryview(content)
    for start in range(0, len(view), size):
        yield view[start : start + size]


async def _pieces(body: RequestBody | StreamBody, size: int) -> AsyncGenerator[bytes | memoryview]:
    if isinstance(body, RequestBody):
        for piece in body.slices(size):
            yield piece
        return
    left = body.length
    async with body.open() as chunks:
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            for piece in _slices(chunk, size):
                yield piece
    if left:
        raise RuntimeError(f"a body of {body.length} bytes is {left} bytes short")
