"""
A program that copies an image of a layout into a local target: KIND SOURCE TAG TARGET [SLOW].

With SLOW it says each MiB that was written on its standard output and waits for a line on its standard input before it
goes on, so that a test can kill it in the middle of a blob.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tests.support.copying import copy_image
from transfer.engine.copy import Copied
from transfer.engine.protocols import Target
from transfer.local.archive.target import OciArchiveTarget
from transfer.local.layout.source import LayoutSource
from transfer.local.layout.target import LayoutTarget
from transfer.model.descriptor import Descriptor
from transfer.testing.images import blob_file

MIB = 1024 * 1024


class SlowSource(LayoutSource):
    """A layout that is streamed, a MiB at a time: the next one is asked for when the one before was written."""

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        return super().open_file(descriptor) if descriptor.size <= MIB else cast("BinaryIO", None)

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with aclosing(self._mebibytes(descriptor, offset)) as pieces:
            yield pieces

    async def _mebibytes(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes]:
        content = blob_file(self.path, descriptor.digest).read_bytes()
        for position in range(offset, descriptor.size, MIB):
            if position:
                print(descriptor.digest, position, flush=True)  # noqa: T201 - what the test reads
                sys.stdin.readline()
            yield content[position : position + MIB]


async def copy(kind: str, source: LayoutSource, tag: str, path: Path) -> Copied:
    """Copy one image of a layout into a layout or an archive."""
    async with AsyncExitStack() as stack:
        target: Target = LayoutTarget(path)
        if kind == "archive":
            target = await stack.enter_async_context(OciArchiveTarget(path))
        return await copy_image(source, await source.resolve(tag), target, tag=tag)


if __name__ == "__main__":
    kind_, source_, tag_, target_, *slow_ = sys.argv[1:]
    kind_of_source = SlowSource if slow_ else LayoutSource
    asyncio.run(copy(kind_, kind_of_source(Path(source_)), tag_, Path(target_)))
