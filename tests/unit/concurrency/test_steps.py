"""Steps that are let end before a program stops."""

import asyncio

from transfer.concurrency.steps import Steps


async def test_a_step_at_work_ends_and_none_begins() -> None:
    steps, gate, done = Steps(), asyncio.Event(), list[str]()

    async def work(name: str) -> None:
        async with steps.step():
            await gate.wait()
            done.append(name)

    first = asyncio.create_task(work("first"))
    await asyncio.sleep(0)
    assert steps.at_work
    stopping = asyncio.create_task(steps.stop(30))
    await asyncio.sleep(0)
    second = asyncio.create_task(work("second"))
    gate.set()
    await stopping
    assert (done, steps.at_work, steps.cut) == (["first"], False, False)
    second.cancel()
    await asyncio.wait([first, second])
    assert (done, steps.cut) == (["first"], False)


async def test_a_step_that_takes_too_long_is_cut() -> None:
    steps = Steps()

    async def work() -> None:
        async with steps.step():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await steps.stop(0.01)
    assert steps.at_work
    task.cancel()
    await asyncio.wait([task])
    assert (steps.at_work, steps.cut) == (False, True)


async def test_there_is_nothing_to_wait_for_where_nothing_is_at_work() -> None:
    async with asyncio.timeout(0.1):
        await Steps().stop(30)
