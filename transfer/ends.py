"""
Ends: from a place to a source, a target or a repository that is open.

Holds what the ends of one engine share: connections, clients, limits, the journal, and which blobs are known to be
where. Does not know what is done between two ends.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

from transfer.engine.config import TransferConfig
from transfer.engine.content import Source, Target
from transfer.engine.copy import Pending, Tally
from transfer.engine.journal import Journal, Memory
from transfer.engine.limits import Limits
from transfer.engine.retry import Retrier
from transfer.errors import InvalidConfig, InvalidReference, TransferError
from transfer.local.docker_archive import DockerArchiveSource
from transfer.local.layout import LayoutSource
from transfer.local.layout_target import LayoutTarget
from transfer.local.oci_archive import OciArchiveSource
from transfer.local.oci_archive_target import OciArchiveTarget
from transfer.local.spelling import LocalReference
from transfer.model.digest import Digest
from transfer.model.reference import Reference
from transfer.places import EcrPlace, Place, RegistryPlace, RemotePlace
from transfer.registry.access import RegistryAccess
from transfer.registry.distribution import steps as distribution_steps
from transfer.registry.distribution import upload as distribution
from transfer.registry.distribution.client import DistributionClient
from transfer.registry.distribution.exchange import Exchange, is_loopback
from transfer.registry.distribution.login import check_registry
from transfer.registry.distribution.quota import PullQuota
from transfer.registry.distribution.repository import DistributionRepository
from transfer.registry.distribution.source import DistributionSource
from transfer.registry.distribution.target import DistributionTarget
from transfer.registry.ecr import steps as ecr_steps
from transfer.registry.ecr import upload as ecr
from transfer.registry.ecr.aws import AwsCredentials, AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.creating import RepositoryCreation, RepositorySettings
from transfer.registry.ecr.host import EcrHost, parse_ecr_host
from transfer.registry.ecr.login import EcrLoginCheck
from transfer.registry.ecr.logins import EcrLogins
from transfer.registry.ecr.names import names_of, registry_of
from transfer.registry.ecr.quotas import DOCKER_QUOTAS
from transfer.registry.ecr.repository import EcrRepository
from transfer.registry.ecr.source import EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.foreign import ForeignLayers
from transfer.registry.known import KnownBlobs
from transfer.registry.login_status import LoginStatus
from transfer.registry.transport import Transport

# How ECR is written to: "auto" is "api", whose one call asks for a hundred blobs; only "registry" can mount.
EcrProtocol = Literal["auto", "api", "registry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
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


class Repository(Protocol):
    """A repository as its owner sees it."""

    def tags(self) -> AsyncIterator[str]:
        """Every tag, over all pages, in the registry's order."""

    async def digests(self, tags: Sequence[str]) -> Mapping[str, Digest | TransferError]:
        """What tags hold, or why that cannot be told, in few requests; those that are not there are left out."""

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """What refers to an image, by digest alone."""

    async def delete(self, name: str) -> None:
        """Delete a tag, or an image by digest."""


class Ends:
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
        self._connecting = asyncio.Lock()
        self._clients: dict[tuple[EcrHost, RegistryAccess], EcrClient] = {}
        self._ecr_registries: dict[tuple[str, RegistryAccess], DistributionClient] = {}
        self._registries: dict[tuple[str, RegistryAccess], DistributionClient] = {}
        self._known = KnownBlobs(memory)
        self._creations: dict[tuple[str, RegistryAccess, RepositorySettings], RepositoryCreation] = {}

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
    async def source(self, place: Place, tally: Tally, access: RegistryAccess) -> AsyncIterator[Source]:
        """A place to read from."""
        match place:
            case LocalReference():
                async with _local_source(place) as local:
                    yield local
            case RegistryPlace():
                client = self._registry(place, access).reporting(tally)
                yield DistributionSource(client, place.reference.repository)
            case EcrPlace():
                yield EcrSource(
                    (await self._client(place, access)).reporting(tally),
                    self._transport,
                    self._retrier,
                    registry_id=place.host.account,
                    repository=place.reference.repository,
                    observe=tally,
                )

    @asynccontextmanager
    async def target(
        self, place: Place, tally: Tally, access: RegistryAccess, options: TargetOptions
    ) -> AsyncIterator[Target]:
        """A place to write to."""
        match place:
            case LocalReference():
                async with _local_target(place) as local:
                    yield local
            case RegistryPlace(reference=reference):
                yield await self._registry_target(self._registry(place, access), reference, tally, access, options)
            case EcrPlace(reference=reference) if options.ecr_protocol == "registry":
                if (creation := await self._creation(place, access, options)) is not None:
                    await creation.look()
                client = await self._ecr_registry(place, access)
                yield await self._registry_target(client, reference, tally, access, options)
            case EcrPlace():
                yield await self._ecr_target(place, tally, access, options)

    def requests_to_push(self, place: Place, options: TargetOptions, pending: Sequence[Pending]) -> Counter[str]:
        """The requests that would write these images to a registry, by kind."""
        sizes = [blob.size for one in pending for blob in one.uploads]
        mounts, manifests = sum(len(one.mounts) for one in pending), sum(one.manifests for one in pending)
        if isinstance(place, EcrPlace) and options.ecr_protocol != "registry":
            return ecr_steps.requests_to_push(sizes, manifests)
        return distribution_steps.requests_to_push(sizes, mounts, manifests, self._config)

    def with_foreign_layers(self, source: Source, place: Place, tally: Tally) -> Source:
        """The same source, which reads foreign layers where their addresses say if it does not have them."""
        registry = None if isinstance(place, LocalReference) else place.reference.registry
        return ForeignLayers(
            source, self._transport, self._retrier, registry=registry, meter=self._limits.meter(), observe=tally
        )

    async def repository(self, place: RemotePlace, access: RegistryAccess) -> Repository:
        """A place whose tags are listed, or whose images deleted."""
        name = place.reference.repository
        if isinstance(place, RegistryPlace):
            return DistributionRepository(self._registry(place, access), name)
        client = await self._client(place, access)
        return EcrRepository(client, registry_id=place.host.account, repository=name)

    async def repositories(self, place: RemotePlace, access: RegistryAccess) -> AsyncIterator[str]:
        """Every repository of a place's registry, where that tells."""
        if isinstance(place, RegistryPlace):
            async with aclosing(self._registry(place, access).repositories()) as names:
                async for name in names:
                    yield name
            return
        client = await self._client(place, access)
        async for repository in client.describe_repositories(**registry_of(place.host.account)):
            yield repository["repositoryName"]

    async def check_login(self, place: RemotePlace, access: RegistryAccess) -> LoginStatus:
        """Whether one is let in at a place, as whom, and to do what."""
        name = place.reference.repository
        if isinstance(place, RegistryPlace):
            return await check_registry(self._registry(place, access), name)
        check = EcrLoginCheck(partial(self._client, place, access), place.host, name)
        return await check.run(place.reference.registry)

    def pull_quotas(self) -> dict[str, PullQuota]:
        """What registries have said of how many manifests may be pulled from them, the newest of each, by its name."""
        told = [(client.registry, client.pulls.quota) for client in self._registries.values()]
        known = [(registry, quota) for registry, quota in told if quota is not None]
        return dict(sorted(known, key=lambda one: one[1].seen_at))

    async def _registry_target(
        self,
        client: DistributionClient,
        reference: Reference,
        tally: Tally,
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
        return DistributionTarget(site, known=known)

    async def _ecr_target(
        self, place: EcrPlace, tally: Tally, access: RegistryAccess, options: TargetOptions
    ) -> EcrTarget:
        client = (await self._client(place, access)).reporting(tally)
        key = _ecr_key(client, place)
        site = ecr.UploadSite(
            key=key,
            client=client,
            registry_id=place.host.account,
            repository=place.reference.repository,
            journal=self._journal,
            bytes_in_flight=self._limits.bytes_for(client.url, among=options.among),
        )
        creation = await self._creation(place, access, options)
        return EcrTarget(site, known=await self._known.at(key, access.who), creation=creation)

    async def _creation(
        self, place: EcrPlace, access: RegistryAccess, options: TargetOptions
    ) -> RepositoryCreation | None:
        """How a repository is created, which those share who want it alike."""
        if options.create is None:
            return None
        client = await self._client(place, access)
        key = (_ecr_key(client, place), access, options.create)
        if key not in self._creations:
            names = names_of(place.host.account, place.reference.repository)
            self._creations[key] = RepositoryCreation(client, names, options.create)
        return self._creations[key]

    def _registry(self, place: RegistryPlace, access: RegistryAccess) -> DistributionClient:
        """The client of a registry, as one side reaches it."""
        key = (place.reference.registry, access)
        if key not in self._registries:
            exchange = Exchange(
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

    async def _ecr_registry(self, place: EcrPlace, access: RegistryAccess) -> DistributionClient:
        """ECR's Docker endpoint: the host of the image, or where an endpoint that is not AWS's says that it is."""
        key = (place.reference.registry, access)
        if key not in self._ecr_registries:
            client = await self._client(place, access)
            data = (await client.get_authorization_token())["authorizationData"]
            endpoint = urlsplit(data[0].get("proxyEndpoint", "") if data else "")
            at_aws = not endpoint.netloc or parse_ecr_host(endpoint.netloc) is not None
            exchange = Exchange(
                place.reference.registry if at_aws else endpoint.netloc,
                transport=self._transport,
                logins=EcrLogins(client),
                settings=replace(access.settings(), plain_http=not at_aws and endpoint.scheme == "http"),
            )
            self._ecr_registries[key] = DistributionClient(
                exchange, retrier=self._retrier, limits=self._limits, quotas=DOCKER_QUOTAS, pace=access.pace()
            )
        return self._ecr_registries[key]

    async def _client(self, place: EcrPlace, access: RegistryAccess) -> EcrClient:
        """The client for a host's region and kind of endpoint, as one side reaches it; accounts share it."""
        host = place.host
        key = (replace(host, account=None), access)
        async with self._connecting:
            if key not in self._clients:
                session = await AwsSession.load(
                    _credentials(self._credentials, host, access),
                    region=host.region,
                    fips=host.fips,
                    dual_stack=host.dual_stack,
                )
                self._clients[key] = EcrClient(
                    session,
                    transport=self._transport,
                    retrier=self._retrier,
                    limits=self._limits,
                    pace=access.pace(),
                    tls=access.settings().tls,
                )
        return self._clients[key]


def _ecr_key(client: EcrClient, place: EcrPlace) -> str:
    """Names a repository, and the API that it is reached by."""
    return f"{client.url} {place.host.account or ''}/{place.reference.repository}"


def _credentials(given: AwsCredentials | None, host: EcrHost, access: RegistryAccess) -> AwsCredentials:
    """Whom to be at an ECR API, and where: what is said of the side, and its host spelled out, come before the rest."""
    if access.anonymous:
        raise InvalidConfig("ECR answers nobody without credentials: leave out that there are none")
    wanted = given or AwsCredentials()
    if access.profile is not None:
        wanted = AwsCredentials(profile=access.profile, region=wanted.region, endpoint_url=wanted.endpoint_url)
    if access.role is not None:
        wanted = replace(wanted, role=access.role)
    if access.endpoint_url is not None:
        wanted = replace(wanted, endpoint_url=access.endpoint_url)
    if host.address is None or access.endpoint_url is not None:
        return wanted
    plain = access.plain_http or is_loopback(urlsplit(f"//{host.address}").hostname or "")
    return replace(wanted, endpoint_url=f"{'http' if plain else 'https'}://{host.address}")


@asynccontextmanager
async def _local_source(place: LocalReference) -> AsyncIterator[Source]:
    """A place on this machine to read from."""
    if place.kind == "oci" and place.path is not None:
        yield LayoutSource(place.path)
        return
    kind = OciArchiveSource if place.kind == "oci-archive" else DockerArchiveSource
    async with kind(place.path or sys.stdin.buffer) as archive:
        yield archive


@asynccontextmanager
async def _local_target(place: LocalReference) -> AsyncIterator[Target]:
    """A place on this machine to write to."""
    if place.path is None:
        raise InvalidReference("the standard input cannot be written to", side="target")
    if place.kind == "oci":
        yield LayoutTarget(place.path)
        return
    async with OciArchiveTarget(place.path) as archive:
        yield archive
