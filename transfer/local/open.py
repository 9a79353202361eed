"""
Open layouts and archives by their references.

The libraries that archives need (compression, locks) are imported when one is opened: most copies have none.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from transfer.engine.protocols import Source, Target
from transfer.errors import InvalidReference
from transfer.local.layout.source import LayoutSource
from transfer.local.reference import LocalReference


@asynccontextmanager
async def open_local_source(reference: LocalReference) -> AsyncIterator[Source]:
    """Open a layout or archive to read from."""
    if reference.kind == "oci" and reference.path is not None:
        yield LayoutSource(reference.path)
        return
    from transfer.local.archive.docker_source import DockerArchiveSource
    from transfer.local.archive.oci_source import OciArchiveSource

    kind = OciArchiveSource if reference.kind == "oci-archive" else DockerArchiveSource
    async with kind(reference.path or sys.stdin.buffer) as archive:
        yield archive


@asynccontextmanager
async def open_local_target(reference: LocalReference) -> AsyncIterator[Target]:
    """
    Open a layout or archive to write to.

    Raises:
        InvalidReference: the reference is the standard input.
    """
    if reference.path is None:
        raise InvalidReference("the standard input cannot be written to", side="target")
    if reference.kind == "oci":
        from transfer.local.layout.target import LayoutTarget

        yield LayoutTarget(reference.path)
        return
    from transfer.local.archive.oci_target import OciArchiveTarget

    async with OciArchiveTarget(reference.path) as archive:
        yield archive
