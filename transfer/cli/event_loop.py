"""A coroutine as a program: its event loop, and what SIGINT and SIGTERM do to it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from transfer.cli.main import Terminated
from transfer.cli.startup import import_http_client

T = TypeVar("T")


def run(job: Callable[[], Coroutine[Any, Any, T]], *, plain: bool = False) -> T:
    """
    Run a coroutine to its end, on uvloop where there is one; SIGINT and SIGTERM cancel it first.

    Args:
        plain: nothing speaks TLS. Then asyncio's own event loop does as well and takes 2 MiB less; of TLS it keeps
            256 KiB for each connection.

    Raises:
        KeyboardInterrupt, Terminated: a signal ended it.
    """
    import_http_client()
    with asyncio.Runner(loop_factory=None if plain else _loop_factory()) as runner:
        return runner.run(_until_stopped(job))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


_Ending = Callable[[], Coroutine[Any, Any, None]]
_endings: ContextVar[list[_Ending]] = ContextVar("endings")


def before_stop(ending: _Ending) -> None:
    """Have the first signal call something before it cancels the job that is running; a second one cancels at once."""
    _endings.get().append(ending)


async def _until_stopped(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Run a job; the first signal cancels it, so that it may clean up, and one after that ends the program.

    `asyncio.Runner` does as much for SIGINT alone, but before Python 3.13 it takes a task that was in a task group
    which failed, and went on, for one that was cancelled by somebody else, and raises CancelledError.
    """
    endings: list[_Ending] = []
    _endings.set(endings)
    with contextlib.ExitStack() as handlers:
        stop = _Stop(endings, handlers)
        handle(handlers, signal.SIGTERM, partial(stop.signalled, Terminated()))
        handle(handlers, signal.SIGINT, partial(stop.signalled, KeyboardInterrupt()))
        try:
            return await job()
        except asyncio.CancelledError:
            if stop.error is not None:
                raise stop.error from None
            raise
        finally:
            await stop.settle()


class _Stop:
    """What signals do to the task that this was made in."""

    def __init__(self, endings: list[_Ending], handlers: contextlib.ExitStack) -> None:
        self._endings = endings
        self._handlers = handlers
        self._task = asyncio.current_task()
        self._ending: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    def signalled(self, error: BaseException) -> None:
        if self.error is None and self._endings:
            self._ending = asyncio.create_task(self._end())
        else:
            self._cancel()
        self.error = self.error or error

    async def _end(self) -> None:
        for ending in self._endings:
            await ending()
        self._cancel()

    def _cancel(self) -> None:
        self._handlers.close()
        if self._task is not None:
            self._task.cancel()

    async def settle(self) -> None:
        """Leave no task behind."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])


def handle(handlers: contextlib.ExitStack, number: signal.Signals, action: Callable[[], None]) -> None:
    """Have a signal call something in the running event loop, until `handlers` is closed."""
    loop = asyncio.get_running_loop()
    if signal.getsignal(number) is signal.SIG_IGN:  # as a shell starts a job in the background
        return
    with contextlib.suppress(NotImplementedError):  # an event loop of Windows has no signal handlers
        loop.add_signal_handler(number, action)
        handlers.callback(loop.remove_signal_handler, number)
