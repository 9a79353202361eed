"""
Ends in ECR: by its API, or by its Docker endpoint with the API's token.

Holds the clients of one engine's ECR ends. This is the way to botocore, so `ends` imports it with the first place that
needs it. Does not know what is done between two ends.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import msgspec

from transfer.auth.login_status import LoginStatus
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.endpoints.locations import EcrLocation
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.errors import InvalidConfig
from transfer.http.transport import Transport
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.create_repository import RepositoryCreation, RepositorySettings
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.ecr.host import EcrHost, names_of, parse_ecr_host, registry_of
from transfer.registry.ecr.login import EcrLoginCheck, EcrLogins
from transfer.registry.ecr.source import EcrRepository, EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.registry.ecr.upload_decisions import DOCKER_QUOTAS
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.registry_http import RegistryHttp, is_loopback
from transfer.state.journal import Journal
from transfer.state.presence_cache import KnownBlobs


class EcrEndpoints:
    """Opens the ends in ECR of one engine, with what that shares."""

    def __init__(
        self,
        credentials: AwsCredentials | None,
        *,
        transport: Transport,
        retrier: Retrier,
        limits: Limits,
        journal: Journal,
        known: KnownBlobs,
    ) -> None:
        self._credentials = credentials
        self._transport = transport
        self._retrier = retrier
        self._limits = limits
        self._journal = journal
        self._known = known
        self._connecting = asyncio.Lock()
        self._clients: dict[tuple[EcrHost, RegistryAccess], EcrClient] = {}
        self._creations: dict[tuple[str, RegistryAccess, RepositorySettings], RepositoryCreation] = {}
        self._registries: dict[tuple[str, RegistryAccess], DistributionClient] = {}

    async def source(self, place: EcrLocation, tally: CountingObserver, access: RegistryAccess) -> EcrSource:
        """The repository, to read from."""
        return EcrSource(
            (await self._client(place, access)).reporting(tally),
            self._transport,
            self._retrier,
            registry_id=place.host.account,
            repository=place.reference.repository,
            observe=tally,
        )

    async def target(
        self,
        place: EcrLocation,
        tally: CountingObserver,
        access: RegistryAccess,
        *,
        among: int,
        create: RepositorySettings | None,
    ) -> EcrTarget:
        """The repository, to write to by the API; `among` targets share the bytes in flight."""
        client = (await self._client(place, access)).reporting(tally)
        key = _ecr_key(client, place)
        site = UploadSite(
            key=key,
            client=client,
            registry_id=place.host.account,
            repository=place.reference.repository,
            journal=self._journal,
            bytes_in_flight=self._limits.bytes_for(client.url, among=among),
        )
        creation = await self._creation(place, access, create)
        return EcrTarget(site, known=await self._known.at(key, access.who), creation=creation)

    async def repository(self, place: EcrLocation, access: RegistryAccess) -> EcrRepository:
        """The repository as its owner sees it."""
        client = await self._client(place, access)
        return EcrRepository(client, registry_id=place.host.account, repository=place.reference.repository)

    async def repositories(self, place: EcrLocation, access: RegistryAccess) -> AsyncGenerator[str]:
        """Every repository of the registry."""
        client = await self._client(place, access)
        async for repository in client.describe_repositories(**registry_of(place.host.account)):
            yield repository["repositoryName"]

    async def check_login(self, place: EcrLocation, access: RegistryAccess) -> LoginStatus:
        """Whether one is let in, as whom, and to do what."""
        check = EcrLoginCheck(partial(self._client, place, access), place.host, place.reference.repository)
        return await check.run(place.reference.registry)

    async def registry(
        self, place: EcrLocation, access: RegistryAccess, *, create: RepositorySettings | None = None
    ) -> DistributionClient:
        """ECR's Docker endpoint: the host of the image, or where an endpoint that is not AWS's says that it is."""
        if (creation := await self._creation(place, access, create)) is not None:
            await creation.look()
        key = (place.reference.registry, access)
        if key not in self._registries:
            client = await self._client(place, access)
            data = (await client.get_authorization_token())["authorizationData"]
            endpoint = urlsplit(data[0].get("proxyEndpoint", "") if data else "")
            at_aws = not endpoint.netloc or parse_ecr_host(endpoint.netloc) is not None
            exchange = RegistryHttp(
                place.reference.registry if at_aws else endpoint.netloc,
                transport=self._transport,
                logins=EcrLogins(client),
                settings=replace(access.settings(), plain_http=not at_aws and endpoint.scheme == "http"),
            )
            self._registries[key] = DistributionClient(
                exchange, retrier=self._retrier, limits=self._limits, quotas=DOCKER_QUOTAS, pace=access.pace()
            )
        return self._registries[key]

    async def _creation(
        self, place: EcrLocation, access: RegistryAccess, create: RepositorySettings | None
    ) -> RepositoryCreation | None:
        """How a repository is created, which those share who want it alike."""
        if create is None:
            return None
        client = await self._client(place, access)
        key = (_ecr_key(client, place), access, create)
        if key not in self._creations:
            names = names_of(place.host.account, place.reference.repository)
            self._creations[key] = RepositoryCreation(client, names, create)
        return self._creations[key]

    async def _client(self, place: EcrLocation, access: RegistryAccess) -> EcrClient:
        """The client for a host's region and kind of endpoint, as one side reaches it; accounts share it."""
        host = place.host
        key = (msgspec.structs.replace(host, account=None), access)
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


def _ecr_key(client: EcrClient, place: EcrLocation) -> str:
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
