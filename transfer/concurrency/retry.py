"""The only retry loop, the only decision whether to retry, and the only sleep."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from transfer import errors
from transfer.config import TransferConfig
from transfer.errors import ConnectionFailed, RateLimited, RegistryError, TransferError
from transfer.events import Retrying

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

# A registry that asks for more than this is as good as down for one run; the error then says what it asked for.
_LONGEST_WAIT = 120.0

# For a place that has never answered: enough for one that is just starting, short for one that is misspelled.
_TRIES_UNREACHED = 3


async def pause(seconds: float) -> None:
    """Sleep: every wait that is not for an event goes through here, or through what a test passes instead."""
    await asyncio.sleep(seconds)


def retryable(error: TransferError) -> bool:
    """Return whether the same request may succeed soon: no answer, throttled, or the registry's own fault."""
    match error:
        case RateLimited(code=errors.PULLS_RESERVED) | ConnectionFailed(permanent=True):
            return False
        case ConnectionFailed() | RateLimited():
            return True
        case RegistryError(status=status):
            return status == 408 or status >= 500
        case _:
            return False


def most_tries(error: TransferError, config: TransferConfig) -> int:
    """Return the number of attempts for a failure of this kind."""
    unreached = isinstance(error, ConnectionFailed) and not error.reached
    return min(config.max_attempts, _TRIES_UNREACHED) if unreached else config.max_attempts


def wait_before(attempt: int, error: TransferError, config: TransferConfig, jitter: float) -> float:
    """
    Return seconds to wait before try `attempt + 1`: full jitter, and never less than the registry asked for.

    Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter") spreads the layers that failed together.
    """
    # The exponent is capped because 2.0**1024 overflows, and no configuration waits longer than backoff_max anyway.
    backoff = jitter * min(config.backoff_max, config.backoff_base * 2.0 ** min(attempt, 64))
    asked = error.retry_after if isinstance(error, RegistryError) else None
    return min(_LONGEST_WAIT, max(backoff, asked or 0.0))


class Retrier:
    """Runs attempts until one succeeds, one fails for good, or the tries are used up."""

    def __init__(
        self, config: TransferConfig, *, sleep: Sleep = pause, jitter: Callable[[], float] = random.random
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._jitter = jitter

    async def run(
        self,
        action: str,
        attempt: Callable[[], Awaitable[T]],
        *,
        on_retry: Callable[[Retrying], None] | None = None,
    ) -> T:
        """
        Await `attempt()` again and again; the wait lies outside of any slot that the attempt holds.

        Raises:
            TransferError: the last one, with a note that says how often it was tried.
        """
        tries = 0
        while True:
            try:
                return await attempt()
            except TransferError as error:
                tries += 1
                if not retryable(error):
                    raise
                if tries >= most_tries(error, self._config):
                    error.add_note(f"{action}: gave up after {tries} tries")
                    raise
                delay = wait_before(tries, error, self._config, self._jitter())
                if on_retry is not None:
                    on_retry(Retrying(action, tries, delay, str(error)))
            await self._sleep(delay)
