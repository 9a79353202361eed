"""What a registry says of its pull quota, and when no more is asked for."""

import asyncio
from contextlib import ExitStack

import pytest

from transfer.errors import PULLS_RESERVED, RateLimited
from transfer.registry.oci.pull_rate_limit import PullRateLimit, RateLimitHeaders, read_rate_limit

GET = "GET manifest"
# 2026-11-24 14:00 UTC.
NOW = 1_795_528_800.0


def reported(remaining: int, limit: int = 100) -> dict[str, str]:
    return {"ratelimit-limit": f"{limit};w=21600", "ratelimit-remaining": f"{remaining};w=21600"}


class Clock:
    """Stands where it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("limit", "remaining", "source", "expected"),
    [
        ("100;w=21600", "76;w=21600", "192.0.2.1", RateLimitHeaders(100, 76, 21600, NOW, "192.0.2.1")),
        (" 200;w=60 ", "0;w=60", None, RateLimitHeaders(200, 0, 60, NOW)),
        (
            "100;w=21600",
            "76;w=21600",
            "a\x1b[2Jb" + "c" * 200,
            RateLimitHeaders(100, 76, 21600, NOW, "a [2Jb" + "c" * 94),
        ),
        ("100;w=21600", None, None, None),
        (None, "76;w=21600", None, None),
        ("100", "76", None, None),
        ("100;w=21600", "-1;w=21600", None, None),
        ("100;w=21600", "76;w=21600, 5;w=60", None, None),
        ("1" * 50 + ";w=1", "1;w=1", None, None),
        ("unlimited", "unlimited", None, None),
    ],
)
def test_a_quota_is_read_as_docker_hub_writes_it(
    limit: str | None, remaining: str | None, source: str | None, expected: RateLimitHeaders | None
) -> None:
    named = {"ratelimit-limit": limit, "ratelimit-remaining": remaining, "docker-ratelimit-source": source}
    headers = {name: value for name, value in named.items() if value is not None}
    assert read_rate_limit(headers, now=NOW) == expected


@pytest.mark.parametrize(
    ("remaining", "reserve", "allowed"),
    [(None, 50, True), (51, 50, True), (50, 50, False), (3, 50, False), (1, 0, True), (0, 0, False)],
)
def test_a_pull_is_made_while_more_are_left_than_are_reserved(
    remaining: int | None, reserve: int, allowed: bool
) -> None:
    pulls = PullRateLimit(reserve, clock=Clock())
    pulls.note({} if remaining is None else reported(remaining))
    made = False
    with ExitStack() as stack:
        if not allowed:
            stack.enter_context(pytest.raises(RateLimited))
        with pulls.counted(GET, "GET manifest"):
            made = True
    assert made is allowed


def test_what_is_refused_says_how_many_are_left_until_when_and_what_to_do() -> None:
    pulls = PullRateLimit(20, clock=Clock())
    pulls.note(reported(20))
    with pytest.raises(RateLimited) as caught, pulls.counted(GET, "GET manifest v1 of docker.io/library/app"):
        pass
    assert str(caught.value) == (
        "GET manifest v1 of docker.io/library/app: not asked for, since 20 of 100 pulls are left and 20 are reserved; "
        "all are there again by 2026-11-24 20:00 UTC: wait with --wait-for-quota, log in, or reserve fewer"
    )
    assert (caught.value.code, caught.value.status, caught.value.retry_after) == (PULLS_RESERVED, 429, 21600.0)


@pytest.mark.parametrize("action", ["HEAD manifest", "GET blob", "PUT manifest"])
def test_only_a_manifest_that_is_fetched_counts(action: str) -> None:
    pulls = PullRateLimit(5, clock=Clock())
    pulls.note(reported(0))
    made = False
    with pulls.counted(action, action):
        made = True
    assert made


def test_pulls_under_way_count_before_the_registry_says_so() -> None:
    pulls = PullRateLimit(5, clock=Clock())
    pulls.note(reported(7))
    with ExitStack() as stack:
        stack.enter_context(pulls.counted(GET, "first"))
        stack.enter_context(pulls.counted(GET, "second"))
        stack.enter_context(pytest.raises(RateLimited))
        stack.enter_context(pulls.counted(GET, "third"))
    with pulls.counted(GET, "fourth") as answered:
        answered(reported(6))
        # Its own answer counts it already.
        with pulls.counted(GET, "fifth"):
            pass
    assert pulls.quota is not None
    assert pulls.quota.remaining == 6


def test_what_was_said_a_window_ago_counts_no_more_and_what_is_not_said_changes_nothing() -> None:
    clock = Clock()
    pulls = PullRateLimit(5, clock=clock)
    pulls.note(reported(5))
    pulls.note({"content-type": "x"})
    with pytest.raises(RateLimited), pulls.counted(GET, "now"):
        pass
    clock.now += 21600
    made = False
    with pulls.counted(GET, "later"):
        made = True
    assert made


async def test_a_pull_waits_until_more_are_allowed_and_tells_it_once() -> None:
    clock, slept, notices = Clock(), list[float](), list[str]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    pulls = PullRateLimit(20, waits=True, sleep=sleep, clock=clock)
    pulls.note({"ratelimit-limit": "100;w=150", "ratelimit-remaining": "20;w=150"})
    for _ in range(2):
        await pulls.available("GET manifest", notices.append)
        with pulls.counted("GET manifest", "GET manifest v1 of docker.io/library/app"):
            pass
    assert slept == [60, 60, 30]
    assert len(notices) == 1
    assert notices[0].startswith(
        "waiting for pulls: 20 of 100 pulls are left and 20 are reserved; all are there again by "
    )


async def test_only_pulls_wait_and_only_where_that_is_wanted() -> None:
    waiting, refusing = PullRateLimit(20, waits=True, clock=Clock()), PullRateLimit(20, clock=Clock())
    for pulls in (waiting, refusing):
        pulls.note({"ratelimit-limit": "100;w=150", "ratelimit-remaining": "20;w=150"})
    async with asyncio.timeout(0.1):
        await waiting.available("HEAD manifest", print)
        await refusing.available("GET manifest", print)
