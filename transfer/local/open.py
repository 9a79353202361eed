"""
Open layouts and archives by their references.

The libraries that archives need (compression, locks) are imported when one is opened: most copies have none.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from transfer.engine.protocols import Source, Target
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
        InvalidLayout: it cannot be written, or the standard output is a terminal.
    """
    if reference.kind == "oci" and reference.path is not None:
        from transfer.local.layout.target import LayoutTarget

        yield LayoutTarget(reference.path)
        return
    from transfer.local.archive.catalogue import DockerCatalogue, OciCatalogue
    from transfer.local.archive.stream_target import StreamTarget
    from transfer.local.archive.target import DockerArchiveTarget, OciArchiveTarget

    is_docker = reference.kind == "docker-archive"
    if reference.path is None:
        async with StreamTarget(sys.stdout.buffer, DockerCatalogue() if is_docker else OciCatalogue()) as stream:
            yield stream
        return
    async with (DockerArchiveTarget if is_docker else OciArchiveTarget)(reference.path) as archive:
        yield archive
