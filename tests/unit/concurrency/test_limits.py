"""Gates and flights: what bounds memory, and does the same work once."""

import asyncio
from functools import partial

import pytest

from transfer.concurrency.limiters import Lease, SingleFlight, WeightedSemaphore
from transfer.errors import ConnectionFailed


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_gate_lets_in_first_come_first_served() -> None:
    gate, order = WeightedSemaphore(10), list[str]()

    async def enter(name: str, weight: int) -> None:
        await gate.acquire(weight)
        order.append(name)

    await gate.acquire(8)
    async with asyncio.TaskGroup() as group:
        group.create_task(enter("large", 5))
        group.create_task(enter("small", 1))
        await settle()
        assert order == [], "the small one must not overtake the large one, or the large one starves"
        gate.release(8)
    assert order == ["large", "small"]
    assert gate.held == 6


async def test_who_goes_on_comes_before_who_begins_in_their_own_order_and_in_the_outer_gate_too() -> None:
    outer = WeightedSemaphore(10)
    gate, order = WeightedSemaphore(10, inside=outer), list[str]()

    async def enter(name: str, weight: int, *, goes_on: bool = False) -> None:
        await gate.acquire(weight, goes_on=goes_on)
        order.append(name)

    await gate.acquire(10)
    async with asyncio.TaskGroup() as group:
        group.create_task(enter("begins", 6))
        await settle()
        group.create_task(enter("goes on", 6, goes_on=True))
        group.create_task(enter("goes on too", 4, goes_on=True))
        await settle()
        gate.release(10)
        await settle()
        assert order == ["goes on", "goes on too"]
        gate.release(6)
    assert order == ["goes on", "goes on too", "begins"]
    assert (gate.held, outer.held) == (10, 10)


async def test_one_that_goes_on_and_is_cancelled_blocks_nobody() -> None:
    gate = WeightedSemaphore(10)
    await gate.acquire(9)
    going_on = asyncio.create_task(gate.acquire(5, goes_on=True))
    begins = asyncio.create_task(gate.acquire(1))
    await settle()
    assert not begins.done()
    going_on.cancel()
    await begins
    assert gate.held == 10


async def test_a_weight_above_the_capacity_passes_alone() -> None:
    gate = WeightedSemaphore(10)
    await gate.acquire(1)
    waiting = asyncio.create_task(gate.acquire(50))
    await settle()
    assert not waiting.done()
    gate.release(1)
    await waiting
    assert gate.held == 50


async def test_a_waiter_cancelled_while_waiting_blocks_nobody() -> None:
    gate = WeightedSemaphore(2)
    await gate.acquire(2)
    first, second = asyncio.create_task(gate.acquire(2)), asyncio.create_task(gate.acquire(1))
    await settle()
    first.cancel()
    await settle()
    gate.release(1)
    await second
    assert gate.held == 2
    assert first.cancelled()


async def test_a_waiter_cancelled_just_after_it_was_let_in_gives_back() -> None:
    gate = WeightedSemaphore(1)
    await gate.acquire()
    waiter = asyncio.create_task(gate.acquire())
    await settle()
    gate.release()
    waiter.cancel()
    await settle()
    assert waiter.cancelled()
    assert gate.held == 0


async def test_a_share_gives_back_whole_when_its_holder_fails() -> None:
    gate = WeightedSemaphore(10)

    async def work() -> None:
        with Lease(gate) as share:
            await share.take(4)
            await share.take(3)
            share.give_back(4)
            assert gate.held == 3
            raise ConnectionFailed("reset")

    with pytest.raises(ConnectionFailed):
        await work()
    assert gate.held == 0


async def test_who_comes_during_a_flight_waits_for_it() -> None:
    flights, started = SingleFlight[str](), list[str]()

    async def work(name: str) -> str:
        started.append(name)
        await asyncio.sleep(0.01)
        return name

    results = await asyncio.gather(*(flights.run("key", partial(work, name), "joined") for name in ("a", "b", "c")))
    assert started == ["a"]
    assert results == ["a", "joined", "joined"]


async def test_when_the_first_one_fails_the_next_one_flies_itself() -> None:
    flights, started = SingleFlight[str](), list[str]()

    async def work(name: str) -> str:
        started.append(name)
        await asyncio.sleep(0)
        if name == "a":
            raise ConnectionFailed("a broke")
        return name

    results = await asyncio.gather(
        *(flights.run("key", partial(work, name), "joined") for name in ("a", "b", "c")), return_exceptions=True
    )
    assert started == ["a", "b"]
    assert results[1:] == ["b", "joined"]
    assert isinstance(results[0], ConnectionFailed)


async def test_a_cancelled_flight_does_not_cancel_those_who_wait() -> None:
    flights = SingleFlight[str]()

    async def work(name: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return name

    first = asyncio.create_task(flights.run("key", lambda: work("a", 60), "joined"))
    await settle()
    second = asyncio.create_task(flights.run("key", lambda: work("b", 0), "joined"))
    await settle()
    first.cancel()
    assert await second == "b"
    assert first.cancelled()
