"""
A blob's bytes over HTTP, from any byte to any other, continued where a stream breaks.

A range counts only when the answer says exactly that range; all of a blob sent for a part of it is skipped as far as
need be. Does not verify the digest: whoever uses the bytes does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Protocol, Self, TypeVar

from transfer.concurrency import worker_threads
from transfer.config import MIB
from transfer.errors import ConnectionFailed, ContentMismatch, RegistryError, attributed_to
from transfer.http.bodies import Download
from transfer.http.messages import is_exact_range, length_of, strong_etag, total_of
from transfer.model.descriptor import Descriptor

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
    Return the header that asks for [first, end); none for the whole, which every server knows how to send.

    Both bounds are given: some content networks answer 416 to an open range.
    """
    return {} if (first, end) == (0, size) else {"Range": f"bytes={first}-{end - 1}"}


class BlobStream:
    """
    The bytes [first, end) of one blob: `open`, then read it in one of two ways, then `aclose`.

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
        # The same, from a worker thread.
        self._download: Download | None = None
        self._rest = b""
        self._skip = 0
        self._breaks = 0
        self._forgiven_at = first
        self.sends_all = False
        self.etag: str | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Self]:
        """The bytes, in pieces of at most 1 MiB; what is wrong with the blob shows before the first one."""
        with attributed_to("source"):
            await self.open()
        async with aclosing(self):
            yield self

    async def open(self) -> None:
        """Ask for the bytes, so that what is wrong with the blob shows before the first one."""
        if self._position < self.end:
            await self._retry(self._what, self._open)

    async def aclose(self) -> None:
        """Drop what was not read."""
        self._chunks = None
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """
        Return the next bytes.

        Raises:
            ConnectionFailed: the stream cannot be continued any more.
            ContentMismatch: the blob has another size.
        """
        if not self._rest:
            if self._position >= self.end:
                raise StopAsyncIteration
            with attributed_to("source"):
                self._rest = await self._retry(self._what, self._next)
        piece, self._rest = self._rest[:MIB], self._rest[MIB:]
        return piece

    def readinto(self, buffer: memoryview) -> int:
        """
        Put the next bytes into a buffer; 0 at the end. Blocks; called in a worker thread.

        Raises: as the iteration does.
        """
        with attributed_to("source"):
            if self._download is None:
                return self._copy_into(buffer)
            while self._position < self.end:
                if count := self._unless_broken(partial(self._read_into, buffer)):
                    return count
        return 0

    def splice(self, pipe: int, count: int, /) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now. Blocks."""
        with attributed_to("source"):
            count = min(count, self.end - self._position)
            if self._download is None or self._skip or not count:
                return 0
            moved = self._unless_broken(partial(self._download.splice, pipe, count))
        self._position += moved
        return moved

    def _unless_broken(self, move: Callable[[], int]) -> int:
        """Return the bytes that were moved; none where the stream had to be opened anew."""
        try:
            return move()
        except ConnectionFailed as error:
            worker_threads.call(partial(self._go_on, error))
            return 0

    def _read_into(self, buffer: memoryview) -> int:
        """Read the next bytes; after a failure, open the blob again where it broke, in the retry loop."""
        download = self._download
        assert download is not None  # noqa: S101 - who calls has looked
        count = download.readinto(buffer[: self._skip or len(buffer)])
        if not count:
            raise self._ended()
        if self._skip:
            self._skip -= count
            return 0
        count = self._wanted(count)
        self._position += count
        self._check_end(download)
        return count

    def _check_end(self, download: Download) -> None:
        if self._position == self._blob.size and not download.has_length and download.goes_on():
            raise self._mismatch(f"more than {self.end} bytes came")

    def _copy_into(self, buffer: memoryview) -> int:
        """Return the same of what comes in the event loop."""
        if not self._rest and self._position < self.end:
            self._rest = worker_threads.call(partial(self._retry, self._what, self._next))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    async def _go_on(self, broken: ConnectionFailed) -> None:
        """Open the stream anew where it broke; that it did is the first failure of the tries that follow."""
        failures = [broken]

        async def once() -> None:
            if failures:
                await self.aclose()
                self._count_break(failures[0])
                raise failures.pop()
            await self._open()

        await self._retry(self._what, once)

    async def _next(self) -> bytes:
        """Read the next bytes; after a failure, open the blob again where it broke, in the retry loop."""
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
                raise self._ended()
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            if wanted := chunk[skipped : skipped + self._wanted(len(chunk) - skipped)]:
                self._position += len(wanted)
                if self._download is not None and not self._download.has_length:
                    await worker_threads.run_in_worker(partial(self._check_end, self._download))
                return wanted

    def _wanted(self, count: int) -> int:
        """Return the number of bytes, of those received, that are wanted."""
        if self._position + count <= self.end:
            return count
        # All is sent where a part was asked for: what comes behind that part is not waited for.
        if not self.sends_all or self.end == self._blob.size:
            raise self._mismatch(f"more than {self.end} bytes came")
        return self.end - self._position

    def _ended(self) -> ConnectionFailed:
        return ConnectionFailed(
            f"{self._what}: the answer ended at byte {self._position}, before byte {self.end}; try again"
        )

    async def _open(self) -> None:
        await self.aclose()
        answer = await self._stack.enter_async_context(self._open_range(self._position, self.end))
        try:
            self._skip = self._accept(answer)
        except BaseException:
            await self.aclose()
            raise
        self._chunks = answer.chunks
        self._download = answer.chunks if isinstance(answer.chunks, Download) else None

    def _accept(self, answer: Opened) -> int:
        """Return the number of bytes of a response that precede the wanted ones."""
        self.sends_all = answer.status != 206
        self.etag = strong_etag(answer.headers)
        size = length_of(answer.headers) if self.sends_all else total_of(answer.headers)
        if size not in (None, self._blob.size):
            raise self._mismatch(f"it has {size} bytes")
        if answer.status == 206:
            if not is_exact_range(answer.headers, self._position, self.end, self._blob.size):
                raise RegistryError(
                    f"{self._what}: asked for bytes {self._position} to {self.end - 1} of {self._blob.size}, and the "
                    "answer is another range; check whether something between changes answers",
                    status=206,
                    code="RANGE_INVALID",
                )
            return 0
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
