"""The only retry loop, the only decision whether to retry, and the only sleep."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from transfer import errors
from transfer.config import TransferConfig
from transfer.errors import ConnectionFailed, RateLimited, RegistryError, TransferError
from transfer.events import Retrying

_LOGGER = logging.getLogger("transfer.retry")

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

# A registry that asks for more than this is as good as down for one run; the error then says what it asked for.
_LONGEST_WAIT = 120.0

# For a place that has never answered: enough for one that is just starting, short for one that is misspelled.
_TRIES_UNREACHED = 3
_TRIES_UNRESOLVED = 2
# Statuses of 500 and more that say what a server is not made for, and never will be: RFC 9110, section 15.6.
_NEVER = frozenset({501, 505})


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
            return status == 408 or (status >= 500 and status not in _NEVER)
        case _:
            return False


def most_tries(error: TransferError, config: TransferConfig) -> float:
    """Return how often a failure of this kind is tried at most, whatever time is left."""
    most = math.inf if config.max_attempts is None else config.max_attempts
    match error:
        case ConnectionFailed(reached=False, unresolved=True):
            return min(most, _TRIES_UNRESOLVED)
        case ConnectionFailed(reached=False):
            return min(most, _TRIES_UNREACHED)
        case _:
            return most


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
    """Runs attempts until one succeeds, one fails for good, or none has got further for too long."""

    def __init__(
        self,
        config: TransferConfig,
        *,
        sleep: Sleep = pause,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock

    async def run(
        self,
        action: str,
        attempt: Callable[[], Awaitable[T]],
        *,
        on_retry: Callable[[Retrying], None] | None = None,
        progress: Callable[[], int] = lambda: 0,
    ) -> T:
        """
        Await `attempt()` again and again; the wait lies outside of any slot that the attempt holds.

        Args:
            progress: how far the attempts have got; while it changes, time and tries are counted anew.

        Raises:
            TransferError: the last one, with a note that says how often and how long it was tried.
        """
        tries, since, reached = 0, 0.0, progress()
        while True:
            try:
                return await attempt()
            except TransferError as error:
                now = self._clock()
                if tries == 0 or progress() != reached:
                    tries, since, reached = 0, now, progress()
                tries += 1
                if not retryable(error):
                    raise
                delay = wait_before(tries, error, self._config, self._jitter())
                left = self._config.retry_for - (now - since)
                if tries >= most_tries(error, self._config) or delay > left:
                    error.add_note(f"{action}: gave up after {_tries(tries)} in {now - since:.0f} s")
                    raise
                _LOGGER.info("%s: %s; attempt %d in %.1f s", action, error, tries + 1, delay)
                if on_retry is not None:
                    on_retry(Retrying(action, tries, delay, str(error), now - since, left))
            await self._sleep(delay)


def _tries(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"
