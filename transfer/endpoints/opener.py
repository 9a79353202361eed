"""
Ends: from a place to a source, a target or a repository that is open.

Holds what the ends of one engine share: connections, clients, limits, the journal, and which blobs are known to be
where. Those in ECR are opened by `ecr_ends`, which is imported with the first of them. Does not know what is done
between two ends.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

import msgspec

from transfer.auth.login_status import LoginStatus
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.endpoints.locations import EcrLocation, Place, RegistryLocation, RemotePlace
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver, Pending
from transfer.engine.protocols import Source, Target
from transfer.errors import TransferError
from transfer.http.transport import Transport
from transfer.local.open import open_local_source, open_local_target
from transfer.local.reference import LocalReference
from transfer.model.digest import Digest
from transfer.model.reference import Reference
from transfer.registry.ecr import upload_decisions as ecr_steps
from transfer.registry.ecr.create_repository import RepositorySettings
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.oci import requests as distribution_steps
from transfer.registry.oci import upload as distribution
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.foreign_layers import ForeignLayers
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
from transfer.registry.oci.registry_http import RegistryHttp
from transfer.registry.oci.repository import DistributionRepository, check_registry
from transfer.registry.oci.source import DistributionSource
from transfer.registry.oci.target import DistributionTarget
from transfer.state.journal import Journal, Memory
from transfer.state.presence_cache import KnownBlobs

if TYPE_CHECKING:
    from transfer.endpoints.ecr import EcrEndpoints

# How ECR is written to: "auto" is "api", whose one call asks for a hundred blobs; only "registry" can mount.
EcrProtocol = Literal["auto", "api", "registry"]


class TargetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    How targets are written to.

    Attributes:
        ecr_protocol: by which of ECR's two.
        create: what a repository of ECR that is missing is created with; None leaves it missing.
        among: how many targets share the bytes in flight.
    """

    ecr_protocol: EcrProtocol = "auto"
    create: RepositorySettings | None = None
    among: int = 1

    def by_ecr_api(self, place: Place) -> bool:
        """Whether a place is written to by ECR's API, which cannot mount."""
        return isinstance(place, EcrLocation) and self.ecr_protocol != "registry"


class RepositoryClient(Protocol):
    """A repository as its owner sees it."""

    def tags(self) -> AsyncIterator[str]:
        """Every tag, over all pages, in the registry's order."""

    async def digests(self, tags: Sequence[str]) -> Mapping[str, Digest | TransferError]:
        """What tags hold, or why that cannot be told, in few requests; those that are not there are left out."""

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """What refers to an image, by digest alone."""

    async def delete(self, name: str) -> None:
        """Delete a tag, or an image by digest."""


class Endpoints:
    """Opens the ends of one engine."""

    def __init__(
        self,
        config: TransferConfig,
        credentials: AwsCredentials | None,
        *,
        limits: Limits,
        journal: Journal,
        memory: Memory,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._limits = limits
        self._journal = journal
        self._retrier = Retrier(config)
        self._transport = Transport(config)
        self._registries: dict[tuple[str, RegistryAccess], DistributionClient] = {}
        self._known = KnownBlobs(memory)
        self._ecr_ends: EcrEndpoints | None = None

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._known.save()
        finally:
            await self._transport.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def source(self, place: Place, tally: CountingObserver, access: RegistryAccess) -> AsyncIterator[Source]:
        """A place to read from."""
        match place:
            case LocalReference():
                async with open_local_source(place) as local:
                    yield local
            case RegistryLocation():
                client = self._registry(place, access).reporting(tally)
                yield DistributionSource(client, place.reference.repository)
            case EcrLocation():
                yield await self._ecr.source(place, tally, access)

    @asynccontextmanager
    async def target(
        self, place: Place, tally: CountingObserver, access: RegistryAccess, options: TargetOptions
    ) -> AsyncIterator[Target]:
        """A place to write to."""
        match place:
            case LocalReference():
                async with open_local_target(place) as local:
                    yield local
            case RegistryLocation(reference=reference):
                yield await self._registry_target(self._registry(place, access), reference, tally, access, options)
            case EcrLocation() if options.by_ecr_api(place):
                yield await self._ecr.target(place, tally, access, among=options.among, create=options.create)
            case EcrLocation(reference=reference):
                client = await self._ecr.registry(place, access, create=options.create)
                yield await self._registry_target(client, reference, tally, access, options)

    def requests_to_push(self, place: Place, options: TargetOptions, pending: Sequence[Pending]) -> Counter[str]:
        """The requests that would write these images to a registry, by kind."""
        sizes = [blob.size for one in pending for blob in one.uploads]
        mounts, manifests = sum(len(one.mounts) for one in pending), sum(one.manifests for one in pending)
        if options.by_ecr_api(place):
            return ecr_steps.requests_to_push(sizes, manifests)
        return distribution_steps.requests_to_push(sizes, mounts, manifests, self._config)

    def with_foreign_layers(self, source: Source, place: Place, tally: CountingObserver) -> Source:
        """The same source, which reads foreign layers where their addresses say if it does not have them."""
        registry = None if isinstance(place, LocalReference) else place.reference.registry
        return ForeignLayers(
            source,
            self._transport,
            self._retrier,
            registry=registry,
            meter=self._limits.meter(),
            observe=tally,
        )

    async def warm_up(self, place: RemotePlace, access: RegistryAccess, *, before_push: bool) -> None:
        """Make ready for questions about a place."""
        if isinstance(place, RegistryLocation):
            await self._asking(place, access, before_push=before_push).warm_up(place.reference.repository)
        else:
            await self._ecr.repository(place, access)

    async def repository(
        self, place: RemotePlace, access: RegistryAccess, *, before_push: bool = False
    ) -> RepositoryClient:
        """A place whose tags are listed, or whose images deleted; `before_push` where images may go there next."""
        if isinstance(place, RegistryLocation):
            client = self._asking(place, access, before_push=before_push)
            return DistributionRepository(client, place.reference.repository)
        return await self._ecr.repository(place, access)

    async def repositories(self, place: RemotePlace, access: RegistryAccess) -> AsyncIterator[str]:
        """Every repository of a place's registry, where that tells."""
        if isinstance(place, RegistryLocation):
            found = self._registry(place, access).repositories()
        else:
            found = self._ecr.repositories(place, access)
        async with aclosing(found) as names:
            async for name in names:
                yield name

    async def check_login(self, place: RemotePlace, access: RegistryAccess) -> LoginStatus:
        """Whether one is let in at a place, as whom, and to do what."""
        if isinstance(place, RegistryLocation):
            return await check_registry(self._registry(place, access), place.reference.repository)
        return await self._ecr.check_login(place, access)

    def pull_quotas(self) -> dict[str, RateLimitHeaders]:
        """What registries have said of how many manifests may be pulled from them, the newest of each, by its name."""
        told = [(client.registry, client.pulls.quota) for client in self._registries.values()]
        known = [(registry, quota) for registry, quota in told if quota is not None]
        return dict(sorted(known, key=lambda one: one[1].seen_at))

    @property
    def _ecr(self) -> "EcrEndpoints":
        if self._ecr_ends is None:
            # botocore takes as long to import as the HTTP client, and 20 MiB.
            from transfer.endpoints.ecr import EcrEndpoints

            self._ecr_ends = EcrEndpoints(
                self._credentials,
                transport=self._transport,
                retrier=self._retrier,
                limits=self._limits,
                journal=self._journal,
                known=self._known,
            )
        return self._ecr_ends

    async def _registry_target(
        self,
        client: DistributionClient,
        reference: Reference,
        tally: CountingObserver,
        access: RegistryAccess,
        options: TargetOptions,
    ) -> DistributionTarget:
        key = f"{client.registry}/{reference.repository}"
        site = distribution.UploadSite(
            key=key,
            client=client.reporting(tally),
            repository=reference.repository,
            journal=self._journal,
            bytes_in_flight=self._limits.bytes_for(client.registry, among=options.among),
            chunk_bytes=self._config.upload_chunk_bytes,
            chunk_threshold=self._config.upload_chunk_threshold,
        )
        known = await self._known.at(key, access.who)
        for digest in known:
            client.holdings.note(reference.repository, digest)
        return DistributionTarget(site, known=known, is_begun=partial(self._known.is_begun, key))

    def _asking(self, place: RegistryLocation, access: RegistryAccess, *, before_push: bool) -> DistributionClient:
        client = self._registry(place, access)
        return client.before_push() if before_push else client

    def _registry(self, place: RegistryLocation, access: RegistryAccess) -> DistributionClient:
        """The client of a registry, as one side reaches it."""
        key = (place.reference.registry, access)
        if key not in self._registries:
            exchange = RegistryHttp(
                place.reference.registry,
                transport=self._transport,
                logins=access.logins(),
                settings=access.settings(),
            )
            self._registries[key] = DistributionClient(
                exchange,
                retrier=self._retrier,
                limits=self._limits,
                pace=access.pace(),
                reserve=self._config.hub_reserve,
            )
        return self._registries[key]
