"""Endpoints on this machine: layouts and archives."""

from contextlib import AbstractAsyncContextManager

from transfer.endpoints.provider import Shared, TargetPlan
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.engine.protocols import Source, Target
from transfer.local.open import open_local_source, open_local_target
from transfer.local.reference import LocalReference


class LocalProvider:
    """Opens layouts and archives."""

    def __init__(self, shared: Shared) -> None:
        del shared

    def source(
        self, location: LocalReference, observer: CountingObserver, access: RegistryAccess
    ) -> AbstractAsyncContextManager[Source]:
        """Open a location to read from."""
        del observer, access
        return open_local_source(location)

    def target(
        self, location: LocalReference, plan: TargetPlan, observer: CountingObserver
    ) -> AbstractAsyncContextManager[Target]:
        """Open a location to write to."""
        del plan, observer
        return open_local_target(location)
