"""Task groups that raise one error."""

import asyncio

import pytest

from transfer.concurrency.tasks import gather, task_group
from transfer.errors import ConnectionFailed, ContentMismatch


async def fail(error: Exception, after: int = 0) -> None:
    for _ in range(after):
        await asyncio.sleep(0)
    raise error


async def test_the_first_error_comes_out_with_the_others_as_notes() -> None:
    with pytest.raises(ContentMismatch) as caught:
        await gather([fail(ContentMismatch("bytes")), fail(ConnectionFailed("reset")), fail(ConnectionFailed("reset"))])
    assert caught.value.__notes__ == ["also: reset"]


async def test_groups_within_groups_come_out_as_one_error() -> None:
    async def inner() -> None:
        async with task_group() as group:
            group.create_task(fail(ConnectionFailed("inner")))

    with pytest.raises(ConnectionFailed, match="inner"):
        await gather([inner()])


async def fail_and_go_on(after: int) -> None:
    with pytest.raises(ConnectionFailed):
        await gather([fail(ConnectionFailed("reset"), after), asyncio.sleep(60)])
    await asyncio.sleep(60)


@pytest.mark.parametrize("after", range(4))
async def test_a_failed_group_leaves_no_cancellation_behind(after: int) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fail_and_go_on(after), 0.01)


async def test_a_cancellation_from_outside_is_passed_on() -> None:
    task = asyncio.create_task(gather([asyncio.sleep(60)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
