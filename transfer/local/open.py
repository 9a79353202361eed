"""
Ends on this machine: from a reference to a source or a target that is open.

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
async def open_local_source(place: LocalReference) -> AsyncIterator[Source]:
    """A place on this machine to read from."""
    if place.kind == "oci" and place.path is not None:
        yield LayoutSource(place.path)
        return
    from transfer.local.archive.docker_source import DockerArchiveSource
    from transfer.local.archive.oci_source import OciArchiveSource

    kind = OciArchiveSource if place.kind == "oci-archive" else DockerArchiveSource
    async with kind(place.path or sys.stdin.buffer) as archive:
        yield archive


@asynccontextmanager
async def open_local_target(place: LocalReference) -> AsyncIterator[Target]:
    """
    A place on this machine to write to.

    Raises:
        InvalidReference: it is the standard input.
    """
    if place.path is None:
        raise InvalidReference("the standard input cannot be written to", side="target")
    if place.kind == "oci":
        from transfer.local.layout.target import LayoutTarget

        yield LayoutTarget(place.path)
        return
    from transfer.local.archive.oci_target import OciArchiveTarget

    async with OciArchiveTarget(place.path) as archive:
        yield archive
