"""
Task groups that raise one error.

A group's failure stays inside: who awaits gets the first error, the others become notes on it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

# More tell nobody anything: when a registry goes away, every layer in work says the same.
_MOST_NOTES = 3


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """An `asyncio.TaskGroup` whose failure is the first error in it, not a group."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        # Python 3.11 and 3.12 leave the group's own cancellation of this task counted when a child fails while the
        # group is being left: a timeout around it would then take the failure for a cancellation from outside.
        while task and task.cancelling() > cancelled:
            task.uncancel()
        raise first_of(errors) from None


async def gather(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the results in order, or the first error after the others are cancelled."""
    async with task_group() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]


def first_of(errors: BaseExceptionGroup) -> BaseException:
    """Return the first error of a group, nested groups included, with what the others said as notes."""
    flat = list(_flatten(errors))
    first, others = flat[0], [str(error) for error in flat[1:]]
    for text in dict.fromkeys(others[:_MOST_NOTES]):
        if text != str(first):
            first.add_note(f"also: {text}")
    return first


def _flatten(errors: BaseExceptionGroup) -> Iterable[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flatten(error)
        else:
            yield error


class Barrier:
    """
    Lets those who are expected begin together; none waits for the others longer than patience allows.

    Args:
        expected: how many there are; each calls `arrive` or `leave`, and `leave` may follow either.
        patience: seconds.
    """

    def __init__(self, expected: int, *, patience: float) -> None:
        self._expected = expected
        self._patience = patience
        self._complete = asyncio.Event()
        self._counted: set[object] = set()

    async def arrive(self, who: object) -> None:
        """Be there, and wait for the others."""
        self.leave(who)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._complete.wait()

    def leave(self, who: object) -> None:
        """Be waited for no longer."""
        self._counted.add(who)
        if len(self._counted) >= self._expected:
            self._complete.set()
