"""How a run of a mirror ends early: it begins nothing more, then waits for what is in work, then cuts it off."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from transfer.concurrency.retry import pause
from transfer.concurrency.steps import FINISH_SECONDS


class Stopping:
    """
    The end of one run.

    Args:
        finish: lets the chunks on the wire end, within some seconds.

    Attributes:
        closed: nothing more is begun.
        stopped: `stop` was called.
    """

    def __init__(self, finish: Callable[[float], Awaitable[None]]) -> None:
        self.closed = self.stopped = False
        self._finish = finish
        self._cut = False
        self._working: set[asyncio.Task[object]] = set()
        self._ending: asyncio.Task[None] | None = None

    def stop(self, grace: float) -> None:
        """Begin nothing more; what is in work has some seconds to end, the last of them for the chunks on the wire."""
        self.closed = self.stopped = True
        self._ending = self._ending or asyncio.create_task(self._end(grace))

    async def _end(self, grace: float) -> None:
        finishing = min(grace, FINISH_SECONDS)
        await pause(grace - finishing)
        await self._finish(finishing)
        self._cut = True
        for task in self._working:
            task.cancel()

    @contextmanager
    def until_cut(self, left: Callable[[], None]) -> Iterator[None]:
        """Run something that may be cut off; `left` reports it then."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._working.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._cut:
                raise
            left()
        finally:
            self._working.discard(task)

    async def settle(self) -> None:
        """Leave no task behind, once the run has ended."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])
