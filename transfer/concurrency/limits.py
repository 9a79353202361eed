"""
Limits of one engine and of each registry: which slots, bytes and rates there are.

The limiters themselves are in `limiters`.
"""

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from transfer.concurrency.limiters import (
    FIRST_WINDOW,
    AimdLimiter,
    BandwidthLimiter,
    ByteBudget,
    TokenBucket,
    WeightedSemaphore,
)
from transfer.concurrency.retry import Sleep, pause
from transfer.concurrency.steps import Steps
from transfer.config import UNPACED, Pace, TransferConfig
from transfer.errors import RateLimited


class RegistryLimits:
    """
    The limits of the requests to one registry.

    Attributes:
        meter: counts the bytes of blobs that come from there or go there; None where nothing limits them.
    """

    def __init__(self, registry: str, pace: Pace, limits: "Limits") -> None:
        self._registry = registry
        self._limits = limits
        self._turns = limits.bucket(pace.max_per_second)
        # Apart, since what is sent may be waiting for what is read: with one gate, all places could go to the former.
        most = pace.max_concurrent or math.inf
        self._gates = {reads: WeightedSemaphore(most) for reads in (True, False)}
        self.meter = limits.meter(limits.bucket(pace.max_bandwidth))

    @property
    def most_writes(self) -> float:
        """The number of uploads that may begin at once."""
        return min(self._gates[False].capacity, FIRST_WINDOW, self._limits.max_concurrent_blobs)

    @asynccontextmanager
    async def slot(self, action: str, *, rate: float | None = None, reads: bool = False) -> AsyncIterator[None]:
        """One request of `action`; as of `Limits.slot`, and within the registry's own pace."""
        if self._turns is not None:
            await self._turns.take()
        async with self._limits.slot(self._registry, action, rate=rate), self._gates[reads].hold():
            yield


class Limits:
    """
    All limits of one engine; the formula for peak memory stands in `TransferConfig`.

    Attributes:
        large_blob_bytes: blobs above this many bytes move in worker threads.
        bytes: of all parts that are read ahead or on the wire.
        fed: bytes that uploads fed from one read will hold before they can go on. They wait for each other, so all of
            them must have room before the first one takes any.
        windows: the requests at once of each registry and action, as far as there were any.
        steps: of uploads, which are let end before a program stops.
    """

    def __init__(
        self, config: TransferConfig, *, sleep: Sleep = pause, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_concurrent_blobs = config.max_concurrent_blobs
        self.large_blob_bytes = config.large_blob_bytes
        self.bytes = WeightedSemaphore(config.max_bytes_in_flight)
        self.fed = WeightedSemaphore(config.max_bytes_in_flight)
        self._shares: dict[str, WeightedSemaphore] = {}
        self._blobs: dict[str, WeightedSemaphore] = {}
        # Apart from the bytes in flight: an upload that holds those may be waiting for what is read ahead.
        self.read_ahead = ByteBudget(config.max_read_ahead_bytes)
        self.steps = Steps()
        self._sleep = sleep
        self._clock = clock
        self.windows: dict[tuple[str, str], AimdLimiter] = {}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._registries: dict[tuple[str, Pace], RegistryLimits] = {}
        self._bandwidth = self.bucket(config.max_bandwidth)

    @property
    def idle(self) -> bool:
        """Whether no slot and no byte is held."""
        gates = [self.bytes, self.fed, *self._shares.values(), *self._blobs.values()]
        return not any(gate.held for gate in (*gates, *(window.gate for window in self.windows.values())))

    def bucket(self, rate: float | None) -> TokenBucket | None:
        """Return a new bucket, where there is a rate."""
        return None if rate is None else TokenBucket(rate, sleep=self._sleep, clock=self._clock)

    def meter(self, own: TokenBucket | None = None) -> BandwidthLimiter | None:
        """Counts bytes of blobs among those of all ends, and in a bucket of their own; None where there is no limit."""
        buckets = [bucket for bucket in (self._bandwidth, own) if bucket is not None]
        return BandwidthLimiter(buckets) if buckets else None

    def registry(self, name: str, pace: Pace = UNPACED) -> RegistryLimits:
        """Return the limits of a registry at this pace; the same object for the same arguments."""
        key = (name, pace)
        if key not in self._registries:
            self._registries[key] = RegistryLimits(name, pace, self)
        return self._registries[key]

    def blobs(self, registry: str) -> WeightedSemaphore:
        """Blobs in work into one registry; each has a gate of its own, so that one that stalls stops no other."""
        return self._blobs.setdefault(registry, WeightedSemaphore(self.max_concurrent_blobs))

    def bytes_for(self, registry: str, *, among: int) -> WeightedSemaphore:
        """Return the share of the bytes in flight of one of several registries, so that none starves the others."""
        gate = self._shares.setdefault(registry, WeightedSemaphore(self.bytes.capacity, inside=self.bytes))
        gate.capacity = min(gate.capacity, self.bytes.capacity / among)
        return gate

    @asynccontextmanager
    async def slot(self, registry: str, action: str, *, rate: float | None = None) -> AsyncIterator[None]:
        """
        One request of `action` to `registry`: first its turn at `rate` a second, then a place in its window.

        RateLimited raised inside halves the window; anything else that returns widens it.
        """
        key = (registry, action)
        if rate is not None:
            if key not in self._buckets:
                self._buckets[key] = TokenBucket(rate, sleep=self._sleep, clock=self._clock)
            await self._buckets[key].take()
        window = self.windows.setdefault(key, AimdLimiter(clock=self._clock))
        async with window.gate.hold():
            begun_at = self._clock()
            try:
                yield
            except RateLimited:
                window.throttled(begun_at)
                raise
            window.succeeded()
