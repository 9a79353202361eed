"""
Read a blob's bytes over HTTP, opened again at its offset where the stream broke.

What a reply to a ranged request is good for is decided in one pure function. Knows neither where the address comes
from nor what the bytes must hash to: who consumes them verifies.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Protocol

from transfer.engine.events import Retrying
from transfer.engine.retry import Retrier
from transfer.errors import ConnectionFailed, ContentMismatch
from transfer.model.descriptor import Descriptor
from transfer.registry.transport import StreamReply

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class OpenAt(Protocol):
    """Opens the bytes [first, end) of a blob; the reply's status is 200 or 206, everything else was raised."""

    async def __call__(self, resources: AsyncExitStack, first: int, end: int) -> StreamReply: ...


def range_header(first: int, end: int, size: int) -> dict[str, str]:
    """The header that asks for [first, end); none for the whole, which every server knows how to send."""
    return {} if (first, end) == (0, size) else {"Range": f"bytes={first}-{end - 1}"}


def bytes_to_skip(status: int, headers: Mapping[str, str], first: int, size: int) -> int | None:
    """
    How many bytes of a reply come before `first`; None when it cannot be told what the bytes are.

    Only an exact Content-Range is believed (RFC 9110, 15.3.7). A 200 is the whole blob from its start, by a server that
    does not know ranges.
    """
    if status == 200:
        length = headers.get("content-length")
        return first if length is None or length == str(size) else None
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if match is None or int(match[1]) != first or match[3] not in {"*", str(size)}:
        return None
    return 0


class BlobStream:
    """The bytes [offset, end) of one blob, in order, whatever breaks on the way."""

    def __init__(
        self,
        descriptor: Descriptor,
        open_at: OpenAt,
        retrier: Retrier,
        *,
        what: str,
        on_retry: Callable[[Retrying], None] | None,
    ) -> None:
        self._descriptor = descriptor
        self._open_at = open_at
        self._retrier = retrier
        self._what = what
        self._on_retry = on_retry
        self._connection: AsyncExitStack | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._skip = 0

    @asynccontextmanager
    async def read(self, offset: int, end: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes, in pieces as they arrive."""
        try:
            async with aclosing(self._pieces(offset, end)) as pieces:
                yield pieces
        finally:
            await self._close()

    async def _pieces(self, position: int, end: int) -> AsyncGenerator[bytes]:
        while position < end:
            piece = await self._retrier.run(self._what, partial(self._next, position, end), on_retry=self._on_retry)
            if len(piece) > end - position:
                raise self._mismatch(f"the answer is longer than the {end - position} bytes asked for")
            position += len(piece)
            yield piece

    async def _next(self, position: int, end: int) -> bytes:
        """The next piece; a stream that broke is dropped, so that the next try opens another one."""
        try:
            chunks = self._chunks or await self._open(position, end)
            return await self._piece(chunks, position, end)
        except BaseException:
            await self._close()
            raise

    async def _piece(self, chunks: AsyncIterator[bytes], position: int, end: int) -> bytes:
        while piece := await anext(chunks, b""):
            skipped = min(self._skip, len(piece))
            self._skip -= skipped
            if skipped < len(piece):
                return piece[skipped:]
        raise ConnectionFailed(f"{self._what}: the content ended at byte {position} of {end}; try again")

    async def _open(self, position: int, end: int) -> AsyncIterator[bytes]:
        self._connection = AsyncExitStack()
        reply = await self._open_at(self._connection, position, end)
        skip = bytes_to_skip(reply.status, reply.headers, position, self._descriptor.size)
        if skip is None:
            raise self._mismatch(
                f"asked for bytes {position}-{end - 1}, the answer is {reply.status} with "
                f"Content-Range {reply.headers.get('content-range')!a} and Content-Length "
                f"{reply.headers.get('content-length')!a}"
            )
        self._chunks, self._skip = reply.chunks, skip
        return reply.chunks

    async def _close(self) -> None:
        connection, self._connection, self._chunks = self._connection, None, None
        if connection is not None:
            await connection.aclose()

    def _mismatch(self, reason: str) -> ContentMismatch:
        return ContentMismatch(f"{self._what}: {reason}; the registry or something before it is faulty", side="source")
