"""Endpoints made of files of this machine: an artifact that is pushed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from transfer.endpoints.locations import FilesLocation
from transfer.endpoints.provider import Shared, TargetPlan
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.engine.protocols import Source, Target
from transfer.errors import InvalidReference
from transfer.local.files.source import FilesSource


class FilesProvider:
    """Opens artifacts."""

    def __init__(self, shared: Shared) -> None:
        del shared

    @asynccontextmanager
    async def source(
        self, location: FilesLocation, observer: CountingObserver, access: RegistryAccess
    ) -> AsyncIterator[Source]:
        """Open an artifact to read from."""
        del observer, access
        yield FilesSource(location.artifact)

    def target(
        self, location: FilesLocation, plan: TargetPlan, observer: CountingObserver
    ) -> AbstractAsyncContextManager[Target]:
        """Refuse: nothing is pushed into files."""
        del plan, observer
        raise InvalidReference(f"{location.origin}: it cannot be written to", side="target")
