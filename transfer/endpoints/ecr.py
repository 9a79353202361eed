"""
Endpoints in ECR: by its API, or by its Docker endpoint with the API's token.

This module imports botocore, so `endpoints` imports it with the first location in ECR.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import msgspec

from transfer.auth.login_status import LoginStatus
from transfer.endpoints.locations import EcrLocation
from transfer.endpoints.oci import distribution_requests, distribution_target
from transfer.endpoints.provider import RepositoryClient, Shared, TargetPlan, blob_sizes
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver, Pending
from transfer.engine.protocols import Source, Target
from transfer.errors import InvalidConfig
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.create_repository import RepositoryCreation, RepositorySettings
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.ecr.host import EcrHost, names_of, parse_ecr_host, registry_of
from transfer.registry.ecr.login import EcrLoginCheck, EcrLogins
from transfer.registry.ecr.source import EcrRepository, EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.registry.ecr.upload_decisions import DOCKER_QUOTAS, requests_to_push
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
from transfer.registry.oci.registry_http import RegistryHttp, is_loopback


class EcrProvider:
    """Opens repositories of ECR, with one client for each region, kind of endpoint and access."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._connecting = asyncio.Lock()
        self._clients: dict[tuple[EcrHost, RegistryAccess], EcrClient] = {}
        self._creations: dict[tuple[str, RegistryAccess, RepositorySettings], RepositoryCreation] = {}
        self._registries: dict[tuple[str, RegistryAccess], DistributionClient] = {}

    @asynccontextmanager
    async def source(
        self, location: EcrLocation, observer: CountingObserver, access: RegistryAccess
    ) -> AsyncIterator[Source]:
        """Open a location to read from."""
        yield EcrSource(
            (await self._client(location, access)).reporting(observer),
            self._shared.transport,
            self._shared.retrier,
            registry_id=location.host.account,
            repository=location.reference.repository,
            observe=observer,
        )

    @asynccontextmanager
    async def target(
        self, location: EcrLocation, plan: TargetPlan, observer: CountingObserver
    ) -> AsyncIterator[Target]:
        """Open a location to write to, by the API or the Docker endpoint."""
        if plan.by_ecr_api:
            yield await self._api_target(location, plan, observer)
        else:
            client = await self._docker_endpoint(location, plan)
            yield await distribution_target(self._shared, client, location, plan, observer)

    async def repository(self, location: EcrLocation, access: RegistryAccess, *, before_push: bool) -> RepositoryClient:
        """Open a repository."""
        del before_push
        client = await self._client(location, access)
        return EcrRepository(client, registry_id=location.host.account, repository=location.reference.repository)

    async def repositories(self, location: EcrLocation, access: RegistryAccess) -> AsyncGenerator[str]:
        """Yield the name of every repository of a registry."""
        client = await self._client(location, access)
        async for repository in client.describe_repositories(**registry_of(location.host.account)):
            yield repository["repositoryName"]

    async def check_login(self, location: EcrLocation, access: RegistryAccess) -> LoginStatus:
        """Find out whether the credentials work."""
        check = EcrLoginCheck(partial(self._client, location, access), location.host, location.reference.repository)
        return await check.run(location.origin)

    async def warm_up(self, location: EcrLocation, access: RegistryAccess, *, before_push: bool) -> None:
        """Find the credentials, so that the next request need not."""
        await self.repository(location, access, before_push=before_push)

    def requests_to_push(self, plan: TargetPlan, pending: Sequence[Pending]) -> Counter[str]:
        """Return the number of requests that would push these images, by kind."""
        if plan.by_ecr_api:
            return requests_to_push(blob_sizes(pending), sum(one.manifests for one in pending))
        return distribution_requests(self._shared, pending)

    def pull_quotas(self) -> Sequence[tuple[str, RateLimitHeaders]]:
        """Return nothing: ECR counts no pulls."""
        return ()

    async def _api_target(self, location: EcrLocation, plan: TargetPlan, observer: CountingObserver) -> EcrTarget:
        shared = self._shared
        client = (await self._client(location, plan.access)).reporting(observer)
        key = _ecr_key(client, location)
        site = UploadSite(
            key=key,
            client=client,
            registry_id=location.host.account,
            repository=location.reference.repository,
            journal=shared.journal,
            bytes_in_flight=shared.limits.bytes_for(client.url, among=plan.among),
            steps=shared.limits.steps,
        )
        creation = await self._creation(location, plan)
        return EcrTarget(site, known=await shared.known.at(key, plan.access.who), creation=creation)

    async def _docker_endpoint(self, location: EcrLocation, plan: TargetPlan) -> DistributionClient:
        """Return a client of the image's host, or of the host that an API which is not AWS's names."""
        if (creation := await self._creation(location, plan)) is not None:
            await creation.look()
        key = (location.origin, plan.access)
        if key not in self._registries:
            shared = self._shared
            client = await self._client(location, plan.access)
            data = (await client.get_authorization_token())["authorizationData"]
            endpoint = urlsplit(data[0].get("proxyEndpoint", "") if data else "")
            at_aws = not endpoint.netloc or parse_ecr_host(endpoint.netloc) is not None
            http = RegistryHttp(
                location.origin if at_aws else endpoint.netloc,
                transport=shared.transport,
                logins=EcrLogins(client),
                settings=replace(plan.access.settings(), plain_http=not at_aws and endpoint.scheme == "http"),
            )
            self._registries[key] = DistributionClient(
                http, retrier=shared.retrier, limits=shared.limits, quotas=DOCKER_QUOTAS, pace=plan.access.pace()
            )
        return self._registries[key]

    async def _creation(self, location: EcrLocation, plan: TargetPlan) -> RepositoryCreation | None:
        """Return how a missing repository is created; those that want the same share it."""
        if plan.create is None:
            return None
        client = await self._client(location, plan.access)
        key = (_ecr_key(client, location), plan.access, plan.create)
        if key not in self._creations:
            names = names_of(location.host.account, location.reference.repository)
            self._creations[key] = RepositoryCreation(client, names, plan.create)
        return self._creations[key]

    async def _client(self, location: EcrLocation, access: RegistryAccess) -> EcrClient:
        """Return the client of a host's region and kind of endpoint; accounts share it."""
        host, shared = location.host, self._shared
        key = (msgspec.structs.replace(host, account=None), access)
        async with self._connecting:
            if key not in self._clients:
                session = await AwsSession.load(
                    _credentials(shared.credentials, host, access),
                    region=host.region,
                    fips=host.fips,
                    dual_stack=host.dual_stack,
                )
                self._clients[key] = EcrClient(
                    session,
                    transport=shared.transport,
                    retrier=shared.retrier,
                    limits=shared.limits,
                    pace=access.pace(),
                    tls=access.settings().tls,
                )
        return self._clients[key]


def _ecr_key(client: EcrClient, location: EcrLocation) -> str:
    """Return a key for a repository and the API that reaches it."""
    return f"{client.url} {location.host.account or ''}/{location.reference.repository}"


def _credentials(given: AwsCredentials | None, host: EcrHost, access: RegistryAccess) -> AwsCredentials:
    """Return the credentials for an ECR API: those of the side, and its host, come before those of the engine."""
    if access.anonymous:
        raise InvalidConfig("ECR requires credentials: give some, instead of asking for anonymous access")
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
