"""What is retried, how long it waits, and that one loop does it."""

import asyncio
import math
from collections.abc import Callable

import pytest

from transfer.concurrency.retry import Retrier, most_tries, retryable, wait_before
from transfer.config import TransferConfig
from transfer.errors import (
    PULLS_RESERVED,
    ConnectionFailed,
    ContentMismatch,
    InvalidManifest,
    NotFound,
    RateLimited,
    RegistryError,
    TransferError,
    Unauthorized,
    UploadLost,
)
from transfer.events import Retrying

CONFIG = TransferConfig(max_attempts=4, backoff_base=1.0, backoff_max=10.0)


def refused(kind: type[RegistryError], status: int, retry_after: float | None = None) -> RegistryError:
    return kind("refused", status=status, code="X", retry_after=retry_after)


class Clock:
    """Sleeps without waiting, and remembers how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def retrier(self, config: TransferConfig) -> Retrier:
        return Retrier(config, sleep=self.sleep, jitter=lambda: 1.0, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionFailed("reset"), True),
        (ConnectionFailed("certificate", permanent=True), False),
        (ConnectionFailed("certificate", reached=False, permanent=True), False),
        (refused(RateLimited, 400), True),
        (RateLimited("not asked for", status=429, code=PULLS_RESERVED), False),
        (refused(RegistryError, 500), True),
        (refused(RegistryError, 503), True),
        (refused(RegistryError, 408), True),
        (refused(RegistryError, 501), False),
        (refused(RegistryError, 505), False),
        (refused(RegistryError, 400), False),
        (refused(NotFound, 404), False),
        (refused(Unauthorized, 403), False),
        (refused(UploadLost, 400), False),
        (ContentMismatch("other bytes"), False),
        (InvalidManifest("bad"), False),
    ],
)
def test_only_what_may_pass_by_itself_is_retried(error: TransferError, expected: bool) -> None:
    assert retryable(error) is expected


@pytest.mark.parametrize(
    ("attempt", "retry_after", "jitter", "expected"),
    [
        (1, None, 1.0, 2.0),
        (2, None, 1.0, 4.0),
        (2, None, 0.25, 1.0),
        (9, None, 1.0, 10.0),
        (10_000, None, 1.0, 10.0),
        (1, 7.0, 0.5, 7.0),
        (3, 1.0, 1.0, 8.0),
        (1, 10.0**9, 0.0, 120.0),
    ],
)
def test_wait_is_jittered_capped_and_never_less_than_asked(
    attempt: int, retry_after: float | None, jitter: float, expected: float
) -> None:
    assert wait_before(attempt, refused(RateLimited, 429, retry_after), CONFIG, jitter) == expected


async def test_attempts_go_on_until_one_succeeds() -> None:
    clock, events, failures = Clock(), list[Retrying](), [ConnectionFailed("reset"), refused(RegistryError, 500)]

    async def attempt() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    assert await clock.retrier(CONFIG).run("UploadLayerPart", attempt, on_retry=events.append) == "done"
    assert clock.slept == [2.0, 4.0]
    assert [(event.attempt, event.reason) for event in events] == [(1, "reset"), (2, "refused")]


async def test_the_last_error_says_how_often_it_was_tried() -> None:
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionFailed(f"reset {tries}")

    with pytest.raises(ConnectionFailed, match="reset 4") as caught:
        await Clock().retrier(CONFIG).run("PutImage", attempt)
    assert caught.value.__notes__ == ["PutImage: gave up after 4 tries in 14 s"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionFailed("refused", reached=False), 3),
        (ConnectionFailed("no such name", reached=False, unresolved=True), 2),
        (ConnectionFailed("no such name", unresolved=True), math.inf),
        (refused(RegistryError, 503), math.inf),
    ],
)
def test_a_place_that_never_answered_is_given_up_sooner(error: TransferError, expected: float) -> None:
    assert most_tries(error, TransferConfig()) == expected
    assert most_tries(error, TransferConfig(max_attempts=1)) == 1


async def failing_until(clock: Clock, config: TransferConfig, progress: Callable[[], int] = lambda: 0) -> float:
    """Return after how many seconds of nothing but 503 it is given up."""

    async def attempt() -> None:
        raise refused(RegistryError, 503)

    begun = clock.now
    with pytest.raises(RegistryError):
        await clock.retrier(config).run("PutImage", attempt, progress=progress)
    return clock.now - begun


async def test_an_outage_is_outlasted_for_five_minutes_unless_another_time_is_given() -> None:
    assert 280 <= await failing_until(Clock(), TransferConfig()) <= 300
    assert 3580 <= await failing_until(Clock(), TransferConfig(retry_for=3600)) <= 3600
    assert await failing_until(Clock(), TransferConfig(retry_for=0)) == 0


async def test_a_registry_that_asks_for_more_time_than_there_is_ends_it() -> None:
    clock = Clock()

    async def attempt() -> None:
        raise refused(RateLimited, 429, retry_after=60)

    with pytest.raises(RateLimited):
        await clock.retrier(TransferConfig(retry_for=59)).run("PutImage", attempt)
    assert clock.slept == []


async def test_time_counts_anew_while_attempts_get_further() -> None:
    clock, events, far = Clock(), list[Retrying](), 0

    async def attempt() -> None:
        nonlocal far
        far += clock.now < 1000
        raise ConnectionFailed("reset")

    with pytest.raises(ConnectionFailed):
        await clock.retrier(TransferConfig()).run("PATCH", attempt, progress=lambda: far, on_retry=events.append)
    assert 1280 <= clock.now <= 1310
    assert {event.attempt for event in events if event.failing == 0} == {1}
    assert events[0].left == 300
    assert events[-1].failing + (events[-1].left or 0) == 300


async def test_a_final_error_is_not_tried_again() -> None:
    clock = Clock()

    async def attempt() -> None:
        raise refused(NotFound, 404)

    with pytest.raises(NotFound):
        await Retrier(CONFIG, sleep=clock.sleep).run("PutImage", attempt)
    assert clock.slept == []


async def test_cancellation_ends_the_wait_and_is_not_retried() -> None:
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionFailed("reset")

    task = asyncio.create_task(Retrier(TransferConfig(backoff_base=60.0), jitter=lambda: 1.0).run("X", attempt))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tries == 1
