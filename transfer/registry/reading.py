"""
A blob's bytes over HTTP, from any byte to any other, continued where a stream breaks.

A range counts only when the answer says exactly that range; all of a blob sent for a part of it is skipped as far as
need be. Knows neither who answers nor how it is asked. Does not verify the digest: whoever uses the bytes does.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Protocol, TypeVar

from transfer.engine.config import MIB
from transfer.errors import ConnectionFailed, ContentMismatch, RegistryError
from transfer.model.descriptor import Descriptor
from transfer.registry.replies import is_exact_range, length_of, size_behind_range, strong_etag
from transfer.registry.side import on_side

T = TypeVar("T")

# A peer that breaks off again and again may be slow, but must get on by this much before its faults are forgiven.
_PROGRESS_BYTES = MIB
_MOST_BREAKS = 20


class Opened(Protocol):
    """An answer whose status is 200 or 206; everything else was raised."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def chunks(self) -> AsyncIterator[bytes]: ...


class Retry(Protocol):
    """Runs attempts in the one retry loop."""

    async def __call__(self, what: str, attempt: Callable[[], Awaitable[T]], /) -> T: ...


def range_header(first: int, end: int, size: int) -> dict[str, str]:
    """
    The header that asks for [first, end); none for the whole, which every server knows how to send.

    Closed at both ends: some content networks answer 416 to an open range.
    """
    return {} if (first, end) == (0, size) else {"Range": f"bytes={first}-{end - 1}"}


class BlobStream:
    """
    The bytes [first, end) of one blob: `open`, then `pieces` once, then `aclose`.

    Args:
        what: what this is, for an error: "GET blob sha256:… of registry.example/app".
        open_range: asks once for the bytes between two offsets.
        retry: runs attempts until one succeeds.

    Attributes:
        end: may be moved on, once it was opened, where the answer sends all.
        sends_all: the answer that is open is the whole blob, whatever was asked for.
        etag: what that answer says for sure of which bytes it is made; None where it says nothing.
    """

    def __init__(
        self,
        blob: Descriptor,
        first: int,
        end: int,
        *,
        what: str,
        open_range: Callable[[int, int], AbstractAsyncContextManager[Opened]],
        retry: Retry,
    ) -> None:
        self._blob = blob
        self._position = first
        self.end = end
        self._what = what
        self._open_range = open_range
        self._retry = retry
        self._stack = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None
        self._skip = 0
        self._breaks = 0
        self._forgiven_at = first
        self.sends_all = False
        self.etag: str | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes, in pieces of at most 1 MiB; what is wrong with the blob shows before the first one."""
        with on_side("source"):
            await self.open()
        async with aclosing(self), aclosing(self.pieces()) as pieces:
            yield pieces

    async def open(self) -> None:
        """Ask for the bytes, so that what is wrong with the blob shows before the first one."""
        if self._position < self.end:
            await self._retry(self._what, self._open)

    async def aclose(self) -> None:
        """Drop what was not read."""
        self._chunks = None
        await self._stack.aclose()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """
        All bytes in order.

        Raises:
            ConnectionFailed: the stream cannot be continued any more.
            ContentMismatch: the blob has another size.
        """
        with on_side("source"):
            while self._position < self.end:
                for piece in _cut(await self._retry(self._what, self._next)):
                    yield piece

    async def _next(self) -> bytes:
        """The next bytes that are wanted; what breaks is opened anew where it broke, by the retry loop's next try."""
        try:
            if self._chunks is None:
                await self._open()
            return await self._read()
        except ConnectionFailed as error:
            await self.aclose()
            self._count_break(error)
            raise
        except BaseException:
            await self.aclose()
            raise

    async def _read(self) -> bytes:
        assert self._chunks is not None  # noqa: S101 - `_open` has just set it
        while True:
            chunk = await anext(self._chunks, b"")
            if not chunk:
                raise ConnectionFailed(
                    f"{self._what}: the answer ended at byte {self._position}, before byte {self.end}; try again"
                )
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            wanted = chunk[skipped:]
            if self._position + len(wanted) > self.end:
                # All is sent where a part was asked for: what comes behind that part is not waited for.
                if not self.sends_all or self.end == self._blob.size:
                    raise self._mismatch(f"more than {self.end} bytes came")
                wanted = wanted[: self.end - self._position]
            if wanted:
                self._position += len(wanted)
                return wanted

    async def _open(self) -> None:
        await self.aclose()
        answer = await self._stack.enter_async_context(self._open_range(self._position, self.end))
        try:
            self._skip = self._accept(answer)
        except BaseException:
            await self.aclose()
            raise
        self._chunks = answer.chunks

    def _accept(self, answer: Opened) -> int:
        """How many bytes of an answer come before those that are wanted."""
        length = length_of(answer.headers)
        self.sends_all = answer.status != 206
        self.etag = strong_etag(answer.headers)
        if answer.status == 206:
            size = size_behind_range(answer.headers)
            if size not in {None, self._blob.size}:
                raise self._mismatch(f"it has {size} bytes")
            if not is_exact_range(answer.headers, self._position, self.end, self._blob.size):
                raise RegistryError(
                    f"{self._what}: asked for bytes {self._position} to {self.end - 1} of {self._blob.size}, and the "
                    "answer is another range; check whether something between changes answers",
                    status=206,
                    code="RANGE_INVALID",
                )
            return 0
        if length is not None and length != self._blob.size:
            raise self._mismatch(f"it has {length} bytes")
        return self._position

    def _count_break(self, error: ConnectionFailed) -> None:
        if self._position - self._forgiven_at >= _PROGRESS_BYTES:
            self._forgiven_at, self._breaks = self._position, 0
        self._breaks += 1
        if self._breaks > _MOST_BREAKS:
            raise RegistryError(
                f"{self._what}: the stream broke {self._breaks} times within {_PROGRESS_BYTES} bytes, last: {error}",
                status=200,
                code="STREAM_BROKEN",
            ) from None

    def _mismatch(self, found: str) -> ContentMismatch:
        return ContentMismatch(
            f"{self._what}: its size should be {self._blob.size}, and {found}; the registry holds something else"
        )


def _cut(content: bytes) -> list[bytes]:
    """In pieces of at most 1 MiB."""
    return [content] if len(content) <= MIB else [content[at : at + MIB] for at in range(0, len(content), MIB)]
