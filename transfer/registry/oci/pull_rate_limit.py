"""
Pull rate limits: how many manifests a registry still allows, by its response headers.

Docker Hub counts each GET of a manifest, no HEAD and no blob, and tells with either of the two (Docker documentation,
"Pull usage and limits": RateLimit-Limit, RateLimit-Remaining, Docker-RateLimit-Source).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from transfer.concurrency.retry import Sleep, pause
from transfer.errors import PULLS_RESERVED, RateLimited
from transfer.http.messages import printable

_COUNTED = "GET manifest"
_TOLD = re.compile(r"([0-9]{1,9});w=([0-9]{1,9})")
_LONGEST_SOURCE = 100
# Seconds between looks at the clock, which may be set meanwhile.
_LONGEST_SLEEP = 60.0


class RateLimitHeaders(msgspec.Struct, frozen=True):
    """
    A registry's rate limit headers, parsed.

    Attributes:
        limit: how many in a window.
        remaining: how many were left.
        window_seconds: how long a window is.
        seen_at: when that was said, in seconds since the epoch.
        source: an address or account id that pulls are counted for; empty where it is unknown.
    """

    limit: int
    remaining: int
    window_seconds: int
    seen_at: float
    source: str = ""

    @property
    def renews_at(self) -> float:
        """The time when the current window has passed, in seconds since the epoch."""
        return self.seen_at + self.window_seconds


def read_rate_limit(headers: Mapping[str, str], *, now: float) -> RateLimitHeaders | None:
    """Return the rate limit in some headers; None where there is none that can be read."""
    limit = _TOLD.fullmatch(headers.get("ratelimit-limit", "").strip())
    remaining = _TOLD.fullmatch(headers.get("ratelimit-remaining", "").strip())
    if limit is None or remaining is None:
        return None
    source = printable(headers.get("docker-ratelimit-source", ""))[:_LONGEST_SOURCE]
    return RateLimitHeaders(int(limit[1]), int(remaining[1]), int(remaining[2]), now, source)


class PullRateLimit:
    """
    The pulls from one registry.

    Args:
        reserve: how many are to be left.
        waits: whether a pull waits until more are left, instead of failing.
        sleep, clock: seconds, and those since the epoch.

    Attributes:
        quota: what was said last; None where nothing was.
    """

    def __init__(
        self, reserve: int, *, waits: bool = False, sleep: Sleep = pause, clock: Callable[[], float] = time.time
    ) -> None:
        self.quota: RateLimitHeaders | None = None
        self._reserve = reserve
        self._waits = waits
        self._sleep = sleep
        self._clock = clock
        # When the window ends that was told of.
        self._told = 0.0
        # What was said last may not count them yet.
        self._under_way = 0

    async def available(self, action: str, notify: Callable[[str], None]) -> None:
        """Wait until a pull is allowed, if `action` is one and that is wanted; report it once a window."""
        while self._waits and action == _COUNTED and (quota := self._used_up()) is not None:
            if quota.renews_at > self._told:
                self._told = quota.renews_at
                notify(f"waiting for pulls: {self._state(quota)}")
            await self._sleep(max(0.1, min(_LONGEST_SLEEP, quota.renews_at - self._clock())))

    @contextmanager
    def counted(self, action: str, what: str) -> Iterator[Callable[[Mapping[str, str]], None]]:
        """
        A request of `action`, which counts until its answer does, if it is a pull; gives what the answer is passed to.

        Raises:
            RateLimited: it is one, and no more are left than are reserved; it was not made.
        """
        if action != _COUNTED:
            yield self.note
            return
        self._check(what)
        self._under_way += 1
        under_way = 1

        def answered(headers: Mapping[str, str]) -> None:
            nonlocal under_way
            self.note(headers)
            self._under_way -= under_way
            under_way = 0

        try:
            yield answered
        finally:
            self._under_way -= under_way

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember what an answer says."""
        self.quota = read_rate_limit(headers, now=self._clock()) or self.quota

    def _used_up(self) -> RateLimitHeaders | None:
        """Return what was said last, if no pull is allowed by it."""
        quota = self.quota
        if quota is None or self._clock() >= quota.renews_at or quota.remaining - self._under_way > self._reserve:
            return None
        return quota

    def _state(self, quota: RateLimitHeaders) -> str:
        renewed = datetime.fromtimestamp(quota.renews_at, UTC)
        return (
            f"{quota.remaining} of {quota.limit} pulls are left and {self._reserve} are reserved; "
            f"all are there again by {renewed:%Y-%m-%d %H:%M} UTC"
        )

    def _check(self, what: str) -> None:
        quota = self._used_up()
        if quota is None:
            return
        raise RateLimited(
            f"{what}: not asked for, since {self._state(quota)}: wait with --wait-for-quota, log in, or reserve fewer",
            status=429,
            code=PULLS_RESERVED,
            retry_after=max(0.0, quota.renews_at - self._clock()),
        )
