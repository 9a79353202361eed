"""
Ends: from a place to a source, a target or a repository that is open.

Holds what the ends of one engine share: connections, clients, limits, the journal, and which blobs are known to be
where. Does not know what is done between two ends.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from transfer.engine.config import TransferConfig
from transfer.engine.content import Source
from transfer.engine.copy import Tally
from transfer.engine.journal import Journal
from transfer.engine.limits import Limits
from transfer.engine.retry import Retrier
from transfer.local.docker_archive import DockerArchiveSource
from transfer.local.layout import LayoutSource
from transfer.local.oci_archive import OciArchiveSource
from transfer.model.digest import Digest
from transfer.places import ArchivePlace, EcrPlace, LayoutPlace, Place
from transfer.registry.ecr.aws import AwsCredentials, AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import EcrHost
from transfer.registry.ecr.repository import EcrRepository
from transfer.registry.ecr.source import EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.registry.transport import Transport


class Ends:
    """Opens the ends of one engine."""

    def __init__(
        self, config: TransferConfig, credentials: AwsCredentials | None, *, limits: Limits, journal: Journal
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._journal = journal
        self._retrier = Retrier(config)
        self._transport = Transport(config)
        self._exit = AsyncExitStack()
        self._connecting = asyncio.Lock()
        self._clients: dict[EcrHost, EcrClient] = {}
        self._known: dict[str, set[Digest]] = {}

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self._transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @asynccontextmanager
    async def source(self, place: Place, tally: Tally) -> AsyncIterator[Source]:
        """A place to read from."""
        match place:
            case LayoutPlace():
                yield LayoutSource(place.path)
            case ArchivePlace(kind="oci"):
                async with OciArchiveSource(place.path or sys.stdin.buffer) as archive:
                    yield archive
            case ArchivePlace():
                async with DockerArchiveSource(place.path or sys.stdin.buffer) as saved:
                    yield saved
            case EcrPlace():
                yield EcrSource(
                    (await self._client(place.host)).reporting(tally),
                    self._transport,
                    self._retrier,
                    registry_id=place.host.account,
                    repository=place.reference.repository,
                    on_retry=tally,
                )

    async def target(self, place: EcrPlace, tally: Tally, *, create_repository: bool) -> EcrTarget:
        """A place to write to."""
        client = (await self._client(place.host)).reporting(tally)
        key = f"{client.url} {place.host.account}/{place.reference.repository}"
        site = UploadSite(
            key=key,
            client=client,
            registry_id=place.host.account,
            repository=place.reference.repository,
            journal=self._journal,
            bytes_in_flight=self._limits.bytes,
        )
        return EcrTarget(site, known=self._known.setdefault(key, set()), create_repository=create_repository)

    async def repository(self, place: EcrPlace) -> EcrRepository:
        """A place whose tags are listed, or whose images deleted."""
        client = await self._client(place.host)
        return EcrRepository(client, registry_id=place.host.account, repository=place.reference.repository)

    async def _client(self, host: EcrHost) -> EcrClient:
        """The client for a host's region and kind of endpoint; accounts share it."""
        place = replace(host, account="")
        async with self._connecting:
            if place not in self._clients:
                session = await AwsSession.load(
                    self._credentials, region=host.region, fips=host.fips, dual_stack=host.dual_stack
                )
                self._clients[place] = EcrClient(
                    session, transport=self._transport, retrier=self._retrier, limits=self._limits
                )
        return self._clients[place]
