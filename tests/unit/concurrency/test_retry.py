"""What is retried, how long it waits, and that one loop does it."""

import asyncio

import pytest

from transfer.concurrency.retry import Retrier, retryable, wait_before
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

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


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

    retrier = Retrier(CONFIG, sleep=clock.sleep, jitter=lambda: 1.0)
    assert await retrier.run("UploadLayerPart", attempt, on_retry=events.append) == "done"
    assert clock.slept == [2.0, 4.0]
    assert [(event.attempt, event.reason) for event in events] == [(1, "reset"), (2, "refused")]


async def test_the_last_error_says_how_often_it_was_tried() -> None:
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionFailed(f"reset {tries}")

    with pytest.raises(ConnectionFailed, match="reset 4") as caught:
        await Retrier(CONFIG, sleep=Clock().sleep).run("PutImage", attempt)
    assert caught.value.__notes__ == ["PutImage: gave up after 4 tries"]


async def test_a_place_that_never_answered_is_given_up_sooner() -> None:
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionFailed("refused", reached=False)

    with pytest.raises(ConnectionFailed):
        await Retrier(TransferConfig(), sleep=Clock().sleep).run("PutImage", attempt)
    assert tries == 3


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
