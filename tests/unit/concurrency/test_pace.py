"""Buckets, meters and windows: how fast registries are asked, by a clock that a test sets."""

import asyncio
import random
from contextlib import suppress

import pytest

from tests.support.clock import Time
from transfer.concurrency.limiters import AimdLimiter, BandwidthLimiter, TokenBucket
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import UNPACED, Pace, TransferConfig
from transfer.errors import ConnectionFailed, RateLimited
from transfer.server.throttle import Bucket as ServerBucket


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_bucket_spreads_what_exceeds_the_rate() -> None:
    time = Time()
    bucket = TokenBucket(10.0, sleep=time.sleep, clock=time)
    for _ in range(13):
        await bucket.take()
    assert time.slept == pytest.approx([0.1 * n for n in range(1, 9)]), "half a second's worth passes at once"
    time.now += 1.0
    await bucket.take()
    assert len(time.slept) == 8, "a second pays for the eight, and for two more"


@pytest.mark.parametrize(("rate", "waits"), [(1.0, [1.0, 2.0]), (0.5, [2.0, 4.0])])
async def test_a_slow_bucket_saves_up_one(rate: float, waits: list[float]) -> None:
    time = Time()
    bucket = TokenBucket(rate, sleep=time.sleep, clock=time)
    time.now += 100
    for _ in range(3):
        await bucket.take()
    assert time.slept == waits


async def test_who_is_cancelled_while_waiting_gives_the_tokens_back() -> None:
    time = Time()
    bucket = TokenBucket(2.0, sleep=lambda _: asyncio.sleep(60), clock=time)
    await bucket.take()
    waiting = [asyncio.create_task(bucket.take()) for _ in range(10)]
    await settle()
    for task in waiting:
        task.cancel()
    await settle()
    assert all(task.cancelled() for task in waiting)
    time.now += 0.5
    await asyncio.wait_for(bucket.take(), 5)


@pytest.mark.parametrize("rate", [2.0, 10.0, 100.0])
@pytest.mark.parametrize("latest", [0.0, 0.2, 0.45])
async def test_what_a_bucket_lets_through_passes_one_that_counts_behind_a_network(rate: float, latest: float) -> None:
    time, delays = Time(), random.Random(7)
    bucket = TokenBucket(rate, sleep=time.sleep, clock=time)
    for _ in range(300):
        await bucket.take()
    sent = [0.0] * (300 - len(time.slept)) + time.slept
    arrivals = sorted(when + delays.uniform(0, latest) for when in sent)
    there = ServerBucket(rate * (1 - 1e-4), arrivals[0])
    assert sum(not there.take(when) for when in arrivals) < 3, "under 1 percent, though its clock is slower"
    assert max(sent) <= 300 / rate, "and nothing is left unused"


async def test_throttling_halves_a_window_once_an_epoch_and_success_widens_it() -> None:
    time = Time()
    limits = Limits(TransferConfig(), sleep=time.sleep, clock=time)

    async def throttled() -> None:
        async with limits.slot("ecr", "PutImage"):
            raise RateLimited("slow down", status=400, code="ThrottlingException")

    # Those that were on their way together count once.
    outcomes = await asyncio.gather(*(throttled() for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [RateLimited] * 3
    window = limits.windows["ecr", "PutImage"].gate
    assert window.capacity == 16
    time.now += 1
    with pytest.raises(RateLimited):
        await throttled()
    assert window.capacity == 8
    async with limits.slot("ecr", "PutImage"):
        assert window.held == 1
    assert window.capacity == 8.125
    assert window.held == 0


async def test_a_window_is_halved_once_for_all_that_were_on_their_way_at_the_cut() -> None:
    time = Time()
    limits = Limits(TransferConfig(), sleep=time.sleep, clock=time)
    answers = {name: asyncio.Event() for name in ("first", "late", "later")}

    async def ask(name: str) -> None:
        async with limits.slot("ecr", "PutImage"):
            await answers[name].wait()
            raise RateLimited("slow down", status=400, code="ThrottlingException")

    async def answered(name: str, *, at: float) -> float:
        time.now = at
        answers[name].set()
        await settle()
        return limits.windows["ecr", "PutImage"].gate.capacity

    asked = [asyncio.create_task(ask(name)) for name in ("first", "late")]
    await settle()
    assert await answered("first", at=5.0) == 16
    time.now = 6.0
    asked.append(asyncio.create_task(ask("later")))
    await settle()
    assert await answered("late", at=60.0) == 16, "it was on its way when the window was cut, however long it took"
    assert await answered("later", at=61.0) == 8
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in outcomes] == [RateLimited] * 3


@pytest.mark.parametrize(
    ("answers", "capacity"),
    [
        ("-", 16.0),
        ("-----", 1.0),
        ("-" * 20, 1.0),
        ("-----+", 2.0),
        ("-----+++", 2.9),
        ("+" * 5000, 64.0),
        ("x" * 9, 32.0),
    ],
)
async def test_a_window_stays_within_its_bounds(answers: str, capacity: float) -> None:
    time = Time()
    limits = Limits(TransferConfig(), sleep=time.sleep, clock=time)
    output = {
        "-": RateLimited("slow down", status=400, code="ThrottlingException"),
        "x": ConnectionFailed("reset"),
        "+": None,
    }
    for answer in answers:
        time.now += 1
        with suppress(RateLimited, ConnectionFailed):
            async with limits.slot("ecr", "PutImage"):
                if (error := output[answer]) is not None:
                    raise error
    assert limits.windows["ecr", "PutImage"].gate.capacity == pytest.approx(capacity)


async def test_a_narrow_window_lets_one_at_a_time_through_and_is_empty_while_a_try_waits() -> None:
    time, at_once = Time(), list[float]()
    limits = Limits(TransferConfig(), sleep=time.sleep, clock=time)
    window = limits.windows.setdefault(("ecr", "PutImage"), AimdLimiter(clock=time))
    window.gate.capacity = 1.0
    tries = 0

    async def put() -> None:
        nonlocal tries
        async with limits.slot("ecr", "PutImage"):
            at_once.append(window.gate.held)
            tries += 1
            await asyncio.sleep(0)
            if tries == 1:
                raise RateLimited("slow down", status=400, code="ThrottlingException", retry_after=5.0)

    async def sleep(seconds: float) -> None:
        await settle()
        at_once.append(window.gate.held + 100)
        time.now += seconds

    retrier = Retrier(TransferConfig(), sleep=sleep)
    await asyncio.gather(retrier.run("PutImage", put), *(put() for _ in range(2)))
    assert at_once == [1, 1, 1, 100, 1], "the others went through while the first waited for its next try"
    assert time.now == 5.0


async def test_windows_are_apart_by_registry_and_action() -> None:
    limits = Limits(TransferConfig())
    with pytest.raises(RateLimited):
        async with limits.slot("ecr", "PutImage"):
            raise RateLimited("slow down", status=429, code="X")
    async with limits.slot("ecr", "UploadLayerPart"), limits.slot("other", "PutImage"):
        capacities = {key: window.gate.capacity for key, window in limits.windows.items()}
    assert capacities == {("ecr", "PutImage"): 16, ("ecr", "UploadLayerPart"): 32, ("other", "PutImage"): 32}


async def test_a_meter_waits_until_every_bucket_lets_the_bytes_pass() -> None:
    time = Time(running=True)
    wide, narrow = (TokenBucket(rate, sleep=time.sleep, clock=time) for rate in (1000.0, 100.0))
    for _ in range(10):
        await BandwidthLimiter([wide, narrow]).take(200)
    assert time.now == pytest.approx((2000 - 50) / 100), "the narrow one, less what it had saved up"


async def test_many_that_share_a_meter_take_turns() -> None:
    time, order = Time(), list[str]()
    meter = BandwidthLimiter([TokenBucket(10.0, sleep=time.sleep, clock=time)])
    await meter.take(5)

    async def send(name: str) -> None:
        for _ in range(3):
            await meter.take(5)
            order.append(name)

    await asyncio.gather(send("a"), send("b"))
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert time.slept == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


async def test_bytes_are_metered_only_where_there_is_a_limit() -> None:
    limits = Limits(TransferConfig())
    assert limits.meter() is None
    assert limits.registry("a").meter is None
    assert limits.registry("a", Pace(max_bandwidth=5)).meter is not None
    everywhere = Limits(TransferConfig(max_bandwidth=5))
    assert everywhere.meter() is not None
    assert everywhere.registry("a").meter is not None


async def test_all_registries_share_the_bandwidth_and_each_keeps_its_own() -> None:
    time = Time(running=True)
    limits = Limits(TransferConfig(max_bandwidth=1000), sleep=time.sleep, clock=time)
    slow, fast = limits.registry("slow", Pace(max_bandwidth=100)).meter, limits.registry("fast").meter
    assert slow is not None
    assert fast is not None
    await fast.take(500)
    assert time.now == 0.0
    await fast.take(500)
    assert time.now == 0.5
    await slow.take(150)
    assert time.now == pytest.approx(0.5 + 0.15 + 1.0), "its turn among all, then 50 were saved up and 100 were not"


async def test_a_registry_is_the_same_for_who_asks_again() -> None:
    limits = Limits(TransferConfig())
    assert limits.registry("a") is limits.registry("a", UNPACED)
    assert limits.registry("a") is not limits.registry("b")
    assert limits.registry("a") is not limits.registry("a", Pace(max_concurrent=1))


async def test_a_registry_is_asked_so_often_a_second_whatever_it_is_asked() -> None:
    time = Time()
    registry = Limits(TransferConfig(), sleep=time.sleep, clock=time).registry("a", Pace(max_per_second=2))
    for action in ("GET manifest", "PUT manifest", "GET blob"):
        async with registry.slot(action):
            pass
    assert time.slept == [0.5, 1.0]


async def test_a_registry_is_asked_so_much_at_once_and_reading_never_waits_for_writing() -> None:
    registry = Limits(TransferConfig()).registry("a", Pace(max_concurrent=1))
    inside = list[str]()

    async def ask(action: str, *, reads: bool) -> None:
        async with registry.slot(action, reads=reads):
            inside.append(action)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(ask(action, reads=False)) for action in ("PATCH upload", "PUT manifest")]
    await settle()
    tasks.append(asyncio.create_task(ask("GET blob", reads=True)))
    await settle()
    assert inside == ["PATCH upload", "GET blob"]
    tasks[0].cancel()
    await settle()
    assert inside == ["PATCH upload", "GET blob", "PUT manifest"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with registry.slot("PUT manifest"):
        inside.append("free again")
    assert inside[-1] == "free again"


async def test_who_waits_for_a_turn_holds_no_place() -> None:
    limits = Limits(TransferConfig(), sleep=lambda _: asyncio.sleep(60))
    registry = limits.registry("a", Pace(max_concurrent=1))
    async with registry.slot("PutImage", rate=1):
        pass

    async def put() -> None:
        async with registry.slot("PutImage", rate=1):
            pass

    waiting = asyncio.create_task(put())
    await settle()
    async with registry.slot("InitiateLayerUpload"):
        held = limits.windows["a", "PutImage"].gate.held
    assert (held, waiting.done()) == (0, False)
    waiting.cancel()
    await settle()
    assert waiting.cancelled()
