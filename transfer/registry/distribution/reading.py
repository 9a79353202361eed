"""
A blob's bytes out of a registry, from any byte to any other, continued where a stream breaks.

A range counts only when the answer says exactly that range; all of a blob sent for a part of it is skipped as far as
need be. Does not verify the digest: whoever uses the bytes does.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from transfer.engine.config import MIB
from transfer.errors import ConnectionFailed, ContentMismatch, RegistryError
from transfer.model.descriptor import Descriptor
from transfer.registry.distribution.client import DistributionClient
from transfer.registry.distribution.exchange import Answer
from transfer.registry.distribution.headers import is_exact_range, length_of
from transfer.registry.distribution.side import on_side

# A peer that breaks off again and again may be slow, but must get on by this much before its faults are forgiven.
_PROGRESS_BYTES = MIB
_MOST_BREAKS = 20


class BlobStream:
    """The bytes [first, end) of one blob: `open`, then `pieces` once, then `aclose`."""

    def __init__(self, client: DistributionClient, repository: str, blob: Descriptor, first: int, end: int) -> None:
        self._client = client
        self._repository = repository
        self._blob = blob
        self._position = first
        self._end = end
        self._what = f"GET blob {blob.digest} of {client.registry}/{repository}"
        self._stack = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None
        self._skip = 0
        self._is_front_of_all = False
        self._breaks = 0
        self._forgiven_at = first

    async def open(self) -> None:
        """Ask for the bytes, so that what is wrong with the blob shows before the first one."""
        if self._position < self._end:
            await self._client.retry(self._what, self._open)

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
            while self._position < self._end:
                for piece in _cut(await self._client.retry(self._what, self._next)):
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
                    f"{self._what}: the answer ended at byte {self._position}, before byte {self._end}; try again"
                )
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            wanted = chunk[skipped:]
            if self._position + len(wanted) > self._end:
                if not self._is_front_of_all:
                    raise self._mismatch(f"more than {self._end} bytes came")
                wanted = wanted[: self._end - self._position]
            if wanted:
                self._position += len(wanted)
                return wanted

    async def _open(self) -> None:
        await self.aclose()
        opened = self._client.get_blob(self._repository, self._blob, self._position, self._end)
        answer = await self._stack.enter_async_context(opened)
        try:
            self._skip = self._accept(answer)
        except BaseException:
            await self.aclose()
            raise
        self._chunks = answer.chunks

    def _accept(self, answer: Answer) -> int:
        """How many bytes of an answer come before those that are wanted."""
        length = length_of(answer.headers)
        if answer.status == 206:
            if not is_exact_range(answer.headers, self._position, self._end, self._blob.size):
                raise RegistryError(
                    f"{self._what}: asked for bytes {self._position} to {self._end - 1} of {self._blob.size}, and the "
                    "answer is another range; check whether something between changes answers",
                    status=206,
                    code="RANGE_INVALID",
                )
            self._is_front_of_all = False
            return 0
        if length is not None and length != self._blob.size:
            raise self._mismatch(f"it has {length} bytes")
        # All is sent where a part was asked for: what comes behind that part is not waited for.
        self._is_front_of_all = self._end != self._blob.size
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
