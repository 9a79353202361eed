"""
How calls to one OCI registry are made: each in the retry loop, in a slot of the limits.

Which calls there are is in `client`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from copy import copy
from types import MappingProxyType
from typing import Self, TypeVar

from msgspec.structs import replace

from transfer.auth.credentials import Login
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import UNPACED, Pace
from transfer.events import Notice, Observer, Requested
from transfer.http.ranges import Ranges
from transfer.registry.oci.pull_rate_limit import PullRateLimit
from transfer.registry.oci.referrers_tag import Lists
from transfer.registry.oci.registry_http import RegistryHttp, RegistryRequest, RegistryResponse
from transfer.registry.oci.registry_state import EmptyRepositories, MountCandidates
from transfer.registry.oci.requests import RegistryCapabilities, RequestFactory

T = TypeVar("T")

OK = frozenset({200})
NO_QUOTAS: Mapping[str, float] = MappingProxyType({})


class RegistryClient:
    """
    One registry.

    Args:
        quotas: requests a second that it is known to take, by their action.
        pace: what else it may be asked.
        pulls: how much it lets one pull, and what is to be left of that.

    Every call raises RegistryError or one of its kinds for what the registry refuses, ConnectionFailed when no answer
    is to be had, and CredentialsMissing or InvalidConfig when no login can be found out.
    """

    def __init__(
        self,
        exchange: RegistryHttp,
        *,
        retrier: Retrier,
        limits: Limits,
        quotas: Mapping[str, float] = NO_QUOTAS,
        pace: Pace = UNPACED,
        pulls: PullRateLimit | None = None,
    ) -> None:
        self.large_blob_bytes = limits.large_blob_bytes
        self._exchange = exchange
        self._retrier = retrier
        self._limits = limits.registry(exchange.registry, pace)
        self._quotas = quotas
        self._calls = RequestFactory(exchange.registry, self._limits.meter)
        self._observe: Observer | None = None
        self._tries_once = False
        self.habits = RegistryCapabilities()
        self.holdings = MountCandidates()
        self.ranges = Ranges(limits.read_ahead)
        self.lists = Lists()
        self.pulls = pulls or PullRateLimit(0)
        self.vacancies = EmptyRepositories()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.registry!r})"

    @property
    def registry(self) -> str:
        """The registry's name."""
        return self._exchange.registry

    def reporting(self, observe: Observer) -> Self:
        """Return the same client, telling somebody of its requests and retries."""
        client = copy(self)
        client._observe = observe  # noqa: SLF001 - of the copy made here
        return client

    def single(self) -> Self:
        """Return the same client without retries, for steps of an attempt that is retried as a whole."""
        client = copy(self)
        client._tries_once = True  # noqa: SLF001 - of the copy made here
        return client

    def before_push(self) -> Self:
        """Return the same client for a repository that is written to: what it asks brings the token for that along."""
        client = copy(self)
        client._calls = replace(self._calls, before_push=True)  # noqa: SLF001 - of the copy made here
        return client

    async def retry(
        self, what: str, attempt: Callable[[], Awaitable[T]], *, progress: Callable[[], int] = lambda: 0
    ) -> T:
        """Run attempts in the one retry loop, with this client's observer; `progress` as there."""
        if self._tries_once:
            return await attempt()
        return await self._retrier.run(what, attempt, on_retry=self._observe, progress=progress)

    def shown_login(self, repository: str) -> Login | None:
        """Return the credentials sent so far for a repository; None where none were."""
        return self._exchange.shown_login(repository)

    async def ping(self, repository: str) -> None:
        """Be let in at all, with what a pull from the repository needs; it may be empty."""
        await self._call(self._base(repository), nothing)

    async def warm_up(self, repository: str) -> None:
        """Reach the registry, so that what all requests need is known by the time of the first; tried once."""
        call = self._base(repository)
        async with self._slot(call):
            await self._exchange.warm_up(call)

    async def connect(self, count: int) -> None:
        """Have connections for so many uploads, or for as many as there may be at once, besides the one in use."""
        most = int(min(count, self._limits.most_writes))
        await self._exchange.connect(most - 1, what=f"connect to {self.registry}")

    def _base(self, repository: str) -> RegistryRequest:
        return RegistryRequest("GET base", "/v2/", f"GET /v2/ of {self.registry}", self._calls.reading(repository), OK)

    def _notice(self, message: str) -> None:
        if self._observe is not None:
            self._observe(Notice(f"{self.registry}: {message}"))

    def _slot(self, call: RegistryRequest) -> AbstractAsyncContextManager[None]:
        if self._observe is not None:
            self._observe(Requested(call.action))
        reads = call.method in {"GET", "HEAD"}
        return self._limits.slot(call.action, rate=self._quotas.get(call.action), reads=reads)

    async def _call(self, call: RegistryRequest, take: Callable[[RegistryResponse], Awaitable[T]]) -> T:
        async def once() -> T:
            await self.pulls.available(call.action, self._notice)
            with self.pulls.counted(call.action, call.what) as answered:
                async with self._slot(call), self._exchange.open(call) as answer:
                    answered(answer.headers)
                    return await take(answer)

        return await self.retry(call.what, once)


async def nothing(answer: RegistryResponse) -> None:
    """Ignore the body of a success."""
