"""
Limiters: weights, rates, windows that adapt, and one call for each key.

Each bounds memory or concurrency. None of them knows what is being limited.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

from transfer.concurrency.retry import Sleep

T = TypeVar("T")

_WIDEST_WINDOW = 64.0
FIRST_WINDOW = 32.0

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
        waiting = len(self._beginning) + len(self._going_on)
        return f"WeightedSemaphore({self.held}/{self.capacity:g} held, {waiting} waiting)"

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
    """One holder's weight of a semaphore: acquired and released in pieces, all of it released at the end."""

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
        """Return whether so much is free this moment."""
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
        self.gate = WeightedSemaphore(FIRST_WINDOW)
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
        """Return a flight under a key that has none in the air; whoever begins it ends it."""
        flight = self._in_air[key] = InFlightCall(key, self._in_air)
        return flight

    def find(self, key: Hashable) -> InFlightCall | None:
        """Return the flight that is in the air under a key."""
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
