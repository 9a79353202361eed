"""
Endpoints in a container engine on this machine: images of docker and podman, read and written by their API.

An image is read through an unnamed temporary file, since what the daemon sends can be read but once; it is written as
a stream.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from transfer.endpoints.docker_socket import DockerDaemon, find_daemon, open_daemon
from transfer.endpoints.locations import DaemonLocation
from transfer.endpoints.provider import Shared, TargetPlan
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.engine.protocols import Source, Target
from transfer.errors import TransferError, attributed_to
from transfer.local.archive.catalogue import DockerCatalogue
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.archive.stream_target import StreamTarget
from transfer.local.storage import temporary_files

_PIECE = 256 * 1024


class DaemonProvider:
    """Opens images of a daemon."""

    def __init__(self, shared: Shared) -> None:
        del shared

    @asynccontextmanager
    async def source(
        self, location: DaemonLocation, observer: CountingObserver, access: RegistryAccess
    ) -> AsyncIterator[Source]:
        """Open an image to read from."""
        del observer, access
        with tempfile.TemporaryFile() as file:
            with attributed_to("source"), temporary_files(location.origin):
                async with _daemon() as daemon:
                    await daemon.save(location.name, file)
            file.seek(0)
            async with DockerArchiveSource(file, label=location.origin) as archive:
                yield archive

    @asynccontextmanager
    async def target(
        self, location: DaemonLocation, plan: TargetPlan, observer: CountingObserver
    ) -> AsyncIterator[Target]:
        """Open an image to write to: the daemon loads it while it is written."""
        del plan, observer
        with attributed_to("target"):
            async with _daemon() as daemon, _loading(daemon, location.name) as target:
                yield target


@asynccontextmanager
async def _daemon() -> AsyncIterator[DockerDaemon]:
    address = await asyncio.to_thread(find_daemon, os.environ, Path.home())
    async with open_daemon(address) as daemon:
        yield daemon


@asynccontextmanager
async def _loading(daemon: DockerDaemon, name: str) -> AsyncIterator[Target]:
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader(_PIECE)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    loading = asyncio.create_task(daemon.load(name, _pieces(reader)))
    # Whoever still writes when the daemon has given up is refused, instead of waiting for ever.
    loading.add_done_callback(lambda _: pipe.close())
    try:
        with os.fdopen(write_end, "wb", buffering=0) as stream:
            async with StreamTarget(stream, DockerCatalogue(), label=f"docker-daemon:{name}") as target:
                yield target
        await loading
    except TransferError:
        # The daemon's own words tell more than that a pipe broke.
        await _raise_failure(loading)
        raise
    finally:
        loading.cancel()
        await asyncio.wait([loading])
        pipe.close()


async def _raise_failure(loading: "asyncio.Task[None]") -> None:
    await asyncio.wait([loading], timeout=1)
    if loading.done() and not loading.cancelled() and (error := loading.exception()) is not None:
        raise error


async def _pieces(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while piece := await reader.read(_PIECE):
        yield piece
