"""A source that fails in the middle of a blob, as a network does."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from transfer.errors import ConnectionFailed
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.model.manifest import Manifest


class BreakingSource:
    """
    A layout that is streamed, not read as files.

    Attributes:
        breaks_at: the byte behind which every stream ends with an error; None for none.
        opened_at: the first byte of each stream, in order.
    """

    def __init__(self, path: Path, *, breaks_at: int | None = None) -> None:
        self._layout = LayoutSource(path)
        self.breaks_at = breaks_at
        self.opened_at: list[int] = []

    async def resolve(self, reference: str | None) -> Descriptor:
        return await self._layout.resolve(reference)

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        return await self._layout.manifest(descriptor)

    async def referrers(self, descriptor: Descriptor) -> Sequence[Descriptor]:
        return await self._layout.referrers(descriptor)

    def tags(self) -> AsyncIterator[str]:
        return self._layout.tags()

    def locate(self, descriptor: Descriptor) -> str:
        return self._layout.locate(descriptor)

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        del descriptor
        return None

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opened_at.append(offset)
        async with (
            self._layout.open_blob(descriptor, offset=offset, end=end) as pieces,
            aclosing(self._broken(pieces, offset)) as broken,
        ):
            yield broken

    async def _broken(self, pieces: AsyncIterator[bytes], position: int) -> AsyncGenerator[bytes]:
        async for piece in pieces:
            if self.breaks_at is not None and position + len(piece) > self.breaks_at:
                yield piece[: self.breaks_at - position]
                raise ConnectionFailed("source: the stream broke off", side="source")
            position += len(piece)
            yield piece
