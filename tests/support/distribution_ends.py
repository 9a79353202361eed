"""Distribution ends for tests: clients and repositories of a registry at some address."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from transfer.auth.credentials import FixedLogin, Login, Logins
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier, Sleep, pause
from transfer.config import UNPACED, Pace, TransferConfig
from transfer.http.settings import RegistrySettings
from transfer.http.transport import Transport
from transfer.model.digest import Digest
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.registry_http import RegistryHttp
from transfer.registry.oci.source import DistributionSource
from transfer.registry.oci.target import DistributionTarget
from transfer.registry.oci.upload import UploadSite
from transfer.state.journal import Journal, NoState

# The embedded registry's own key and secret, which it takes as user and password.
SERVER_LOGIN = FixedLogin(Login("transfer", "transfer"))
ATTEMPTS = 4
CONFIG = TransferConfig(max_attempts=ATTEMPTS, backoff_base=0.001, backoff_max=0.002, read_timeout=5.0)


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry, and ends of its repositories."""

    client: DistributionClient
    limits: Limits
    journal: Journal

    def source(self, repository: str) -> DistributionSource:
        return DistributionSource(self.client, repository)

    def target(self, repository: str, *, chunk: int = 1 << 20, threshold: int = 1 << 20) -> DistributionTarget:
        site = UploadSite(
            key=f"{self.client.registry}/{repository}",
            client=self.client,
            repository=repository,
            journal=self.journal,
            bytes_in_flight=self.limits.bytes,
            steps=self.limits.steps,
            chunk_bytes=chunk,
            chunk_threshold=threshold,
        )
        return DistributionTarget(site, known=set[Digest](), is_begun=_never)


@asynccontextmanager
async def opened(
    registry: str,
    *,
    logins: Logins | None = None,
    settings: RegistrySettings | None = None,
    journal: Journal | None = None,
    config: TransferConfig = CONFIG,
    pace: Pace = UNPACED,
    sleep: Sleep = pause,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Registry]:
    """A client of the registry for as long as the block lasts; retries wait next to nothing."""
    limits = Limits(config, sleep=sleep, clock=clock)
    async with Transport(config) as connections:
        exchange = RegistryHttp(registry, transport=connections, logins=logins, settings=settings)
        client = DistributionClient(exchange, retrier=Retrier(config, sleep=sleep), limits=limits, pace=pace)
        yield Registry(client, limits, journal or NoState())


async def _never() -> bool:
    return False
