"""
BlobReader: gives a blob's bytes to a function in a worker thread, in slices, from wherever a source has them.

A file is read, and what the function does with it done, in one hop. A stream is read on from call to call, and opened
anew only where a call does not begin at the end of the one before. Does not know what the bytes are for, and verifies
their number only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import BinaryIO, Self

from transfer.engine.content import BlobSource
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.model.descriptor import Descriptor

# A multiple of three, for base64, and small enough for the allocator to use the same memory again and again.
SLICE = 96 * 1024

Sink = Callable[[bytes], None]


class BlobReader:
    """
    Reads one blob; an async context manager, since a stream may stay open between two calls.

    Raises (all its methods):
        ContentMismatch: the blob is shorter than its size; names its place.
        InvalidLayout: its file cannot be read.
    """

    def __init__(self, source: BlobSource, descriptor: Descriptor) -> None:
        self._source = source
        self._descriptor = descriptor
        self._is_file: bool | None = None
        self._stream = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None
        self._position = 0
        self._pending = bytearray()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def is_file(self) -> bool:
        """Whether the blob is a file of this machine, which may change, and not content that is known by its digest."""
        if self._is_file is None:
            self._is_file = await asyncio.to_thread(self._read_file, 0, 0, _ignore)
        return self._is_file

    async def read(self, first: int, end: int, sink: Sink) -> None:
        """Give `sink` the bytes [first, end) in a worker thread, in slices of SLICE bytes but for the last."""
        if await self.is_file():
            await asyncio.to_thread(self._read_file, first, end, sink)
        elif first < end:
            await self._read_stream(first, end, sink)

    def _read_file(self, first: int, end: int, sink: Sink) -> bool:
        file = self._source.open_file(self._descriptor)
        if file is None:
            return False
        try:
            with file:
                position = _read_range(file, first, end, sink)
        except OSError as error:
            where = self._source.locate(self._descriptor)
            raise InvalidLayout(f"{where}: cannot be read: {error.strerror}; check the disk", side="source") from None
        self._check_length(position, end)
        return True

    async def _read_stream(self, first: int, end: int, sink: Sink) -> None:
        chunks = self._chunks if first == self._position else None
        if chunks is None:
            chunks = await self._open(first)
        while self._position < end:
            wanted = min(SLICE, end - self._position)
            while len(self._pending) < wanted and (chunk := await anext(chunks, b"")):
                self._pending += chunk
            data = bytes(self._pending[:wanted])
            self._check_length(self._position + len(data), self._position + wanted)
            del self._pending[:wanted]
            self._position += wanted
            await asyncio.to_thread(sink, data)

    async def _open(self, first: int) -> AsyncIterator[bytes]:
        await self.aclose()
        self._chunks = await self._stream.enter_async_context(self._source.open_blob(self._descriptor, offset=first))
        self._position = first
        return self._chunks

    async def aclose(self) -> None:
        """Let go of a stream that is open."""
        self._chunks = None
        self._pending.clear()
        await self._stream.aclose()

    def _check_length(self, position: int, end: int) -> None:
        if position != end:
            blob = self._descriptor
            raise ContentMismatch(
                f"blob {blob.digest} in {self._source.locate(blob)}: it ends at byte {position}, "
                f"its size should be {blob.size}; make it again",
                side="source",
            )


def _ignore(data: bytes) -> None:
    """Takes the bytes of an empty range."""


def _read_range(file: BinaryIO, first: int, end: int, sink: Sink) -> int:
    file.seek(first)
    position = first
    while position < end:
        data = file.read(min(SLICE, end - position))
        if not data:
            break
        sink(data)
        position += len(data)
    return position
