"""Endpoints in registries that speak OCI Distribution."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from transfer.auth.credentials import Logins
from transfer.auth.login_status import LoginStatus
from transfer.endpoints.locations import RemoteLocation
from transfer.endpoints.provider import RepositoryClient, Shared, TargetPlan, blob_sizes
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver, Pending
from transfer.engine.protocols import Source, Target
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.pull_rate_limit import PullRateLimit, RateLimitHeaders
from transfer.registry.oci.registry_http import RegistryHttp
from transfer.registry.oci.repository import DistributionRepository, check_registry
from transfer.registry.oci.requests import requests_to_push
from transfer.registry.oci.source import DistributionSource
from transfer.registry.oci.target import DistributionTarget
from transfer.registry.oci.upload import UploadSite


class OciProvider:
    """
    Opens registries that speak OCI Distribution, with one client for each registry and access.

    A vendor with tokens of its own overrides `logins`.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._clients: dict[tuple[str, RegistryAccess], DistributionClient] = {}

    def logins(self, location: RemoteLocation, access: RegistryAccess) -> Logins:  # noqa: ARG002 - for other vendors
        """Return where the credentials for a registry are found."""
        return access.logins()

    @asynccontextmanager
    async def source(
        self, location: RemoteLocation, observer: CountingObserver, access: RegistryAccess
    ) -> AsyncIterator[Source]:
        """Open a location to read from."""
        yield DistributionSource(self._client(location, access).reporting(observer), location.reference.repository)

    @asynccontextmanager
    async def target(
        self, location: RemoteLocation, plan: TargetPlan, observer: CountingObserver
    ) -> AsyncIterator[Target]:
        """Open a location to write to."""
        yield await distribution_target(self._shared, self._client(location, plan.access), location, plan, observer)

    async def repository(
        self, location: RemoteLocation, access: RegistryAccess, *, before_push: bool
    ) -> RepositoryClient:
        """Open a repository; `before_push` where images may be pushed to it next."""
        return DistributionRepository(
            self._asking(location, access, before_push=before_push), location.reference.repository
        )

    def repositories(self, location: RemoteLocation, access: RegistryAccess) -> AsyncGenerator[str]:
        """Yield the name of every repository of a registry, where it lists them."""
        return self._client(location, access).repositories()

    async def check_login(self, location: RemoteLocation, access: RegistryAccess) -> LoginStatus:
        """Find out whether the credentials work."""
        return await check_registry(self._client(location, access), location.reference.repository)

    async def warm_up(self, location: RemoteLocation, access: RegistryAccess, *, before_push: bool) -> None:
        """Connect and authenticate, so that the next request need not."""
        await self._asking(location, access, before_push=before_push).warm_up(location.reference.repository)

    def requests_to_push(self, plan: TargetPlan, pending: Sequence[Pending]) -> Counter[str]:  # noqa: ARG002 - as Provider
        """Return the number of requests that would push these images, by kind."""
        return distribution_requests(self._shared, pending)

    def pull_quotas(self) -> Sequence[tuple[str, RateLimitHeaders]]:
        """Return what registries said of how much may be pulled, with the name of each."""
        found = [(client.registry, client.pulls.quota) for client in self._clients.values()]
        return [(registry, quota) for registry, quota in found if quota is not None]

    def _asking(self, location: RemoteLocation, access: RegistryAccess, *, before_push: bool) -> DistributionClient:
        client = self._client(location, access)
        return client.before_push() if before_push else client

    def _client(self, location: RemoteLocation, access: RegistryAccess) -> DistributionClient:
        key = (location.origin, access)
        if key not in self._clients:
            shared = self._shared
            http = RegistryHttp(
                location.origin,
                transport=shared.transport,
                logins=self.logins(location, access),
                settings=access.settings(),
            )
            self._clients[key] = DistributionClient(
                http,
                retrier=shared.retrier,
                limits=shared.limits,
                pace=access.pace(),
                pulls=PullRateLimit(shared.config.hub_reserve, waits=shared.config.wait_for_quota),
            )
        return self._clients[key]


async def distribution_target(
    shared: Shared, client: DistributionClient, location: RemoteLocation, plan: TargetPlan, observer: CountingObserver
) -> DistributionTarget:
    """Open a repository to write to, over a client of its registry."""
    repository = location.reference.repository
    key = f"{client.registry}/{repository}"
    site = UploadSite(
        key=key,
        client=client.reporting(observer),
        repository=repository,
        journal=shared.journal,
        bytes_in_flight=shared.limits.bytes_for(client.registry, among=plan.among),
        steps=shared.limits.steps,
        chunk_bytes=shared.config.upload_chunk_bytes,
        chunk_threshold=shared.config.upload_chunk_threshold,
    )
    known = await shared.known.at(key, plan.access.who)
    for digest in known:
        client.holdings.note(repository, digest)
    return DistributionTarget(site, known=known, is_begun=partial(shared.known.is_begun, key))


def distribution_requests(shared: Shared, pending: Sequence[Pending]) -> Counter[str]:
    """Return the number of requests that would push these images by OCI Distribution, by kind."""
    mounts, manifests = sum(len(one.mounts) for one in pending), sum(one.manifests for one in pending)
    return requests_to_push(blob_sizes(pending), mounts, manifests, shared.config)
