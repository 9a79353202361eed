"""
A program that copies an image of a layout into a local target: KIND SOURCE TAG TARGET [SLOW].

With SLOW it says each confirmed MiB on its standard output and waits for a line on its standard input before it goes
on, so that a test can kill it in the middle of a blob.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.copying import copy_image, ignore
from transfer.engine.content import Target
from transfer.engine.copy import Copied
from transfer.engine.events import BlobProgress, Event
from transfer.local.layout import LayoutSource
from transfer.local.layout_target import LayoutTarget
from transfer.local.oci_archive_target import OciArchiveTarget

MIB = 1024 * 1024


def wait_at_each_mebibyte(event: Event) -> None:
    if isinstance(event, BlobProgress) and event.offset and event.offset % MIB == 0:
        print(event.digest, event.offset, flush=True)  # noqa: T201 - what the test reads
        sys.stdin.readline()


async def copy(kind: str, source: LayoutSource, tag: str, path: Path, *, slow: bool = False) -> Copied:
    """Copy one image of a layout into a layout or an archive."""
    async with AsyncExitStack() as stack:
        target: Target = LayoutTarget(path)
        if kind == "archive":
            target = await stack.enter_async_context(OciArchiveTarget(path))
        notify = wait_at_each_mebibyte if slow else ignore
        return await copy_image(source, await source.resolve(tag), target, tag=tag, notify=notify)


if __name__ == "__main__":
    kind_, source_, tag_, target_, *slow_ = sys.argv[1:]
    asyncio.run(copy(kind_, LayoutSource(Path(source_)), tag_, Path(target_), slow=bool(slow_)))
