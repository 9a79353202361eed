"""
Limits: slots per registry and action, bytes in flight and read ahead, blobs in work, one flight per key.

Everything that bounds memory and concurrency is here; nothing here knows what is being limited.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

from transfer.concurrency.retry import Sleep, pause
from transfer.config import UNPACED, Pace, TransferConfig
from transfer.errors import RateLimited

T = TypeVar("T")

_WIDEST_WINDOW = 64.0
_FIRST_WINDOW = 32.0

# A weight, and what is done when it has passed.
_Turn = tuple[int, asyncio.Future[None]]


class WeightedSemaphore:
    """
    Lets weight through up to a capacity, first come first served, who goes on with something before who begins.

    A weight above the whole capacity passes alone, so that it is bounded but never stuck. What passes a gate inside
    of another one passes that one too.
    """

    def __init__(self, capacity: float, inside: "WeightedSemaphore | None" = None) -> None:
        self.capacity = capacity
        self.held = 0
        self._outer = inside
        self._beginning: deque[_Turn] = deque()
        self._going_on: deque[_Turn] = deque()

    def __repr__(self) -> str:
        return f"Gate({self.held}/{self.capacity:g} held, {len(self._beginning) + len(self._going_on)} waiting)"

    @property
    def _waiting(self) -> "deque[_Turn]":
        """The queue whose turn it is."""
        return self._going_on or self._beginning

    def _fits(self, weight: int) -> bool:
        return self.held == 0 or self.held + weight <= self.capacity

    async def acquire(self, weight: int = 1, *, goes_on: bool = False) -> None:
        await self._enter(weight, self._going_on if goes_on else self._beginning)
        if self._outer is not None:
            try:
                await self._outer.acquire(weight, goes_on=goes_on)
            except asyncio.CancelledError:
                self._leave(weight)
                raise

    async def _enter(self, weight: int, queue: "deque[_Turn]") -> None:
        if not self._waiting and self._fits(weight):
            self.held += weight
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (weight, turn)
        queue.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(weight)
            elif entry in queue:
                queue.remove(entry)
                self.wake()
            raise

    def release(self, weight: int = 1) -> None:
        if self._outer is not None:
            self._outer.release(weight)
        self._leave(weight)

    def _leave(self, weight: int) -> None:
        self.held -= weight
        self.wake()

    def wake(self) -> None:
        """Let in whoever fits now, in order."""
        while self._waiting and self._fits(self._waiting[0][0]):
            weight, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.held += weight
                turn.set_result(None)

    @asynccontextmanager
    async def hold(self, weight: int = 1) -> AsyncIterator[None]:
        await self.acquire(weight)
        try:
            yield
        finally:
            self.release(weight)


class Lease:
    """What one holder has of a gate: taken piece by piece, given back piece by piece, and whole at the end."""

    def __init__(self, gate: WeightedSemaphore) -> None:
        self._gate = gate
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back(self.held)

    async def take(self, weight: int, *, goes_on: bool = False) -> None:
        """Wait for weight; one that `goes_on` with what it has begun waits for others of that kind only."""
        await self._gate.acquire(weight, goes_on=goes_on)
        self.held += weight

    def give_back(self, weight: int) -> None:
        if weight:
            self.held -= weight
            self._gate.release(weight)


class ByteBudget:
    """Weight that any thread takes where there is room, and gives back."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.held = 0
        self._changed = threading.Condition()

    def has_room(self, weight: int) -> bool:
        """Whether so much is free this moment."""
        return self.held + weight <= self.capacity

    def try_take(self, weight: int, *, patience: float) -> bool:
        """Take weight if there is room within so many seconds; whether it was taken. Blocks."""
        with self._changed:
            has_room = self._changed.wait_for(lambda: self.has_room(weight), patience)
            self.held += weight * has_room
        return has_room

    def give_back(self, weight: int) -> None:
        with self._changed:
            self.held -= weight
            self._changed.notify_all()


class TokenBucket:
    """
    A token bucket: at most `rate` a second, with half a second's worth saved up, and never less than one.

    Whoever counts at the other end sees requests as the network bunches them. Where a whole second's worth is saved up
    there, what was let through here passes, as long as no request is half a second later than another.
    """

    def __init__(self, rate: float, *, sleep: Sleep, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._sleep = sleep
        self._clock = clock
        self._most = max(1.0, rate / 2)
        self._tokens = self._most
        self._filled_at = clock()

    async def take(self, amount: float = 1) -> None:
        """Take tokens that may lie in the future, and wait until then: takers keep their order."""
        now = self._clock()
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= amount
        if self._tokens < 0:
            try:
                await self._sleep(-self._tokens / self._rate)
            except asyncio.CancelledError:
                self._tokens += amount
                raise


class BandwidthLimiter:
    """Counts bytes that pass, in several buckets at once, and has them wait until each of those lets them through."""

    def __init__(self, buckets: Sequence[TokenBucket]) -> None:
        self._buckets = buckets

    async def take(self, amount: float) -> None:
        for bucket in self._buckets:
            await bucket.take(amount)


class AimdLimiter:
    """Additive increase, multiplicative decrease: how many requests of one action may be on their way."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.gate = WeightedSemaphore(_FIRST_WINDOW)
        self._clock = clock
        self._cut_at = -math.inf

    def succeeded(self) -> None:
        self.gate.capacity = min(_WIDEST_WINDOW, self.gate.capacity + 1 / self.gate.capacity)
        self.gate.wake()

    def throttled(self, begun_at: float) -> None:
        """One that began then was throttled: those that were on their way at the last cut say nothing new."""
        if begun_at > self._cut_at:
            self._cut_at = self._clock()
            self.gate.capacity = max(1.0, self.gate.capacity / 2)


class InFlightCall:
    """Work under way under a key: `over` is set at its end, and `landed` where it was done by then."""

    def __init__(self, key: Hashable, in_air: "dict[Hashable, InFlightCall]") -> None:
        self._key = key
        self._in_air = in_air
        self.over = asyncio.Event()
        self.landed = False

    def end(self, *, landed: bool = False) -> None:
        """Let go of the key, and those who wait; once."""
        if not self.over.is_set():
            del self._in_air[self._key]
            self.landed = landed
            self.over.set()


class SingleFlight(Generic[T]):
    """One flight per key: who comes while it is in the air waits for it instead of starting another."""

    def __init__(self) -> None:
        self._in_air: dict[Hashable, InFlightCall] = {}

    def begin(self, key: Hashable) -> InFlightCall:
        """A flight under a key that has none in the air; whoever begins it ends it."""
        flight = self._in_air[key] = InFlightCall(key, self._in_air)
        return flight

    def find(self, key: Hashable) -> InFlightCall | None:
        """The flight that is in the air under a key."""
        return self._in_air.get(key)

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]], joined: T) -> T:
        """
        Do `work`, or wait for the one who is doing it and return `joined`.

        When that one fails or is cancelled, the next in line does the work itself: nobody gets another's error.
        """
        while (other := self.find(key)) is not None:
            await other.over.wait()
            if other.landed:
                return joined
        flight = self.begin(key)
        try:
            result = await work()
            flight.end(landed=True)
        finally:
            flight.end()
        return result


class RegistryLimits:
    """
    What limits the requests to one registry.

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
        """How many uploads may be on their way at first."""
        return min(self._gates[False].capacity, _FIRST_WINDOW, self._limits.max_concurrent_blobs)

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
        self._sleep = sleep
        self._clock = clock
        self._windows: dict[tuple[str, str], AimdLimiter] = {}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._registries: dict[tuple[str, Pace], RegistryLimits] = {}
        self._bandwidth = self.bucket(config.max_bandwidth)

    def bucket(self, rate: float | None) -> TokenBucket | None:
        """A new bucket, where there is a rate."""
        return None if rate is None else TokenBucket(rate, sleep=self._sleep, clock=self._clock)

    def meter(self, own: TokenBucket | None = None) -> BandwidthLimiter | None:
        """Counts bytes of blobs among those of all ends, and in a bucket of their own; None where there is no limit."""
        buckets = [bucket for bucket in (self._bandwidth, own) if bucket is not None]
        return BandwidthLimiter(buckets) if buckets else None

    def registry(self, name: str, pace: Pace = UNPACED) -> RegistryLimits:
        """What limits the requests to a registry that may be asked at this pace; the same for who asks again."""
        key = (name, pace)
        if key not in self._registries:
            self._registries[key] = RegistryLimits(name, pace, self)
        return self._registries[key]

    def blobs(self, registry: str) -> WeightedSemaphore:
        """Blobs in work into one registry; each has a gate of its own, so that one that stalls stops no other."""
        return self._blobs.setdefault(registry, WeightedSemaphore(self.max_concurrent_blobs))

    def bytes_for(self, registry: str, *, among: int) -> WeightedSemaphore:
        """The part of the bytes in flight that uploads into one of several registries may take, for the same reason."""
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
        window = self._windows.setdefault(key, AimdLimiter(clock=self._clock))
        async with window.gate.hold():
            begun_at = self._clock()
            try:
                yield
            except RateLimited:
                window.throttled(begun_at)
                raise
            window.succeeded()
