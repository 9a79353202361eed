"""A coroutine as a program: its event loop, and what SIGINT and SIGTERM do to it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
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


async def _until_stopped(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Run a job; the first signal cancels it, so that it may clean up, and a second one ends the program.

    `asyncio.Runner` does as much for SIGINT alone, but before Python 3.13 it takes a task that was in a task group
    which failed, and went on, for one that was cancelled by somebody else, and raises CancelledError.
    """
    task = asyncio.current_task()
    stops: list[BaseException] = []

    def stop(error: BaseException) -> None:
        stops.append(error)
        handlers.close()
        if task is not None:
            task.cancel()

    with contextlib.ExitStack() as handlers:
        handle(handlers, signal.SIGTERM, partial(stop, Terminated()))
        handle(handlers, signal.SIGINT, partial(stop, KeyboardInterrupt()))
        try:
            return await job()
        except asyncio.CancelledError:
            if stops:
                raise stops[0] from None
            raise


def handle(handlers: contextlib.ExitStack, number: signal.Signals, action: Callable[[], None]) -> None:
    """Have a signal call something in the running event loop, until `handlers` is closed."""
    loop = asyncio.get_running_loop()
    if signal.getsignal(number) is signal.SIG_IGN:  # as a shell starts a job in the background
        return
    with contextlib.suppress(NotImplementedError):  # an event loop of Windows has no signal handlers
        loop.add_signal_handler(number, action)
        handlers.callback(loop.remove_signal_handler, number)
