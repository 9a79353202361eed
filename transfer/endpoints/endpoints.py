"""
The composition root: opens the endpoints of one engine.

Each kind of location has a provider, imported with the first location of its kind.
"""

import importlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, cast

from transfer.auth.login_status import LoginStatus
from transfer.endpoints.locations import (
    DaemonLocation,
    EcrLocation,
    FilesLocation,
    ImageLocation,
    RegistryLocation,
    RemoteLocation,
)
from transfer.endpoints.provider import Provider, RegistryProvider, RepositoryClient, Shared, TargetPlan
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver, Pending
from transfer.engine.protocols import Source, Target
from transfer.local.reference import LocalReference
from transfer.registry.oci.foreign_layers import ForeignLayers
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders

# The provider of each kind of location. That of ECR imports botocore, which takes as long as aiohttp, and 20 MiB.
PROVIDERS: dict[type, tuple[str, str]] = {
    LocalReference: ("transfer.endpoints.local", "LocalProvider"),
    FilesLocation: ("transfer.endpoints.files", "FilesProvider"),
    DaemonLocation: ("transfer.endpoints.docker_daemon", "DaemonProvider"),
    RegistryLocation: ("transfer.endpoints.oci", "OciProvider"),
    EcrLocation: ("transfer.endpoints.ecr", "EcrProvider"),
}


class Endpoints:
    """Opens the endpoints of one engine; `shared` is what they share."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._providers: dict[type, Provider[ImageLocation]] = {}

    async def __aenter__(self) -> Self:
        await self._shared.transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._shared.known.save()
        finally:
            await self._shared.transport.__aexit__(kind, error, traceback)

    def source(
        self, location: ImageLocation, observer: CountingObserver, access: RegistryAccess
    ) -> AbstractAsyncContextManager[Source]:
        """Open a location to read from."""
        return self._provider(location).source(location, observer, access)

    def target(self, plan: TargetPlan, observer: CountingObserver) -> AbstractAsyncContextManager[Target]:
        """Open a location to write to."""
        return self._provider(plan.location).target(plan.location, plan, observer)

    def with_foreign_layers(self, source: Source, location: ImageLocation, observer: CountingObserver) -> Source:
        """Return a source that also reads foreign layers, from the addresses in their descriptors."""
        return ForeignLayers(
            source,
            self._shared.transport,
            self._shared.retrier,
            registry=location.origin if isinstance(location, RemoteLocation) else None,
            meter=self._shared.limits.meter(),
            observe=observer,
        )

    async def repository(
        self, location: RemoteLocation, access: RegistryAccess, *, before_push: bool = False
    ) -> RepositoryClient:
        """Open a repository; `before_push` where images may be pushed to it next."""
        return await self._registry(location).repository(location, access, before_push=before_push)

    def repositories(self, location: RemoteLocation, access: RegistryAccess) -> AsyncGenerator[str]:
        """Yield the name of every repository of a registry, where it lists them."""
        return self._registry(location).repositories(location, access)

    async def check_login(self, location: RemoteLocation, access: RegistryAccess) -> LoginStatus:
        """Find out whether the credentials work."""
        return await self._registry(location).check_login(location, access)

    async def warm_up(self, location: RemoteLocation, access: RegistryAccess, *, before_push: bool) -> None:
        """Connect and authenticate, so that the next request need not."""
        await self._registry(location).warm_up(location, access, before_push=before_push)

    def requests_to_push(self, plan: TargetPlan, pending: Sequence[Pending]) -> Counter[str]:
        """Return the number of requests that would push these images, by kind."""
        return self._registry(plan.location).requests_to_push(plan, pending)

    def pull_quotas(self) -> dict[str, RateLimitHeaders]:
        """Return what registries said of how much may be pulled, the newest of each, by its name."""
        found = [
            quota
            for kind, provider in self._providers.items()
            if issubclass(kind, RemoteLocation)
            for quota in cast("RegistryProvider[ImageLocation]", provider).pull_quotas()
        ]
        return dict(sorted(found, key=lambda one: one[1].seen_at))

    def _registry(self, location: ImageLocation) -> RegistryProvider[ImageLocation]:
        return cast("RegistryProvider[ImageLocation]", self._provider(location))

    def _provider(self, location: ImageLocation) -> Provider[ImageLocation]:
        kind = type(location)
        if kind not in self._providers:
            module, name = PROVIDERS[kind]
            self._providers[kind] = getattr(importlib.import_module(module), name)(self._shared)
        return self._providers[kind]
