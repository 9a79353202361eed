"""
Worker threads: blocking work beside the event loop, and its way back to the loop.

asyncio decides, threads carry bytes: a coroutine runs blocking work in a thread of its own and waits for it, and that
work may in turn have the event loop run a coroutine and wait for that. Cancelling the coroutine stops the work at its
next look at `check`, and returns when the thread has ended.
"""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# Seconds between two reports of a worker's progress: observers hear at least twice a second.
_REPORT_SECONDS = 0.25
# Seconds between two looks at whether a coroutine is still to be waited for.
_LOOK_SECONDS = 0.1
# Seconds that the interpreter's exit waits for workers which were told to stop.
_EXIT_SECONDS = 1.0


class Stopped(BaseException):
    """The work is no longer wanted. Not an Exception, so that no handler on the way takes it for a failure."""


class _Worker(threading.Thread, Generic[T]):
    """A thread with one piece of work; everything but `run` happens in the event loop's thread."""

    def __init__(self, work: Callable[[], T]) -> None:
        # A daemon: the interpreter's exit must not wait for a peer that stalls; `_stop_all` asks it to end.
        super().__init__(name="transfer-lane", daemon=True)
        self._work = work
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[T] = self.loop.create_future()
        self.stopped = False
        self.task: asyncio.Task[Any] | None = None

    def run(self) -> None:
        _current.worker = self
        _running.add(self)
        outcome = Future[T]()
        try:
            outcome.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - comes out of `run_in_worker`, whatever it is
            outcome.set_exception(error)
        finally:
            _running.discard(self)
            del self._work
        with suppress(RuntimeError):  # the event loop is closed: nobody waits
            self.loop.call_soon_threadsafe(_settle, self.done, outcome)

    def stop(self) -> None:
        self.stopped = True
        _cancel(self)


_current = threading.local()
_running: set[_Worker[Any]] = set()


def _settle(done: "asyncio.Future[T]", outcome: "Future[T]") -> None:
    if done.cancelled():
        return
    error = outcome.exception()
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(outcome.result())


async def run_in_worker(
    work: Callable[[], T], *, report: Callable[[], None] | None = None, discard: Callable[[T], None] | None = None
) -> T:
    """
    Run blocking work in a worker thread of its own, and return its result.

    Args:
        work: looks at `check` at least every 0.2 seconds while it waits for something.
        report: called in the event loop at least twice a second while the work goes on, and once at its end.
        discard: lets go of a result that came when the coroutine had been cancelled.
    """
    worker = _Worker(work)
    worker.start()
    try:
        while not worker.done.done():
            await asyncio.wait({worker.done}, timeout=None if report is None else _REPORT_SECONDS)
            if report is not None:
                report()
        return worker.done.result()
    except asyncio.CancelledError:
        worker.stop()
        await _ended(worker)
        if discard is not None and worker.done.exception() is None:
            discard(worker.done.result())
        raise
    except Stopped:
        # What the work waited for in the event loop was cancelled there.
        raise asyncio.CancelledError from None
    finally:
        # Its last instruction set the flag.
        worker.join()


async def _ended(worker: _Worker[T]) -> None:
    while not worker.done.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({worker.done})
    # Retrieved, so that asyncio does not report an error that nobody awaited.
    worker.done.exception()


def check() -> None:
    """
    Return when the work of this thread is still wanted.

    Raises:
        Stopped: it is not.
    """
    worker: _Worker[Any] | None = getattr(_current, "worker", None)
    if worker is not None and worker.stopped:
        raise Stopped


def call(work: Callable[[], Coroutine[Any, Any, T]], *, until: Callable[[], bool] | None = None) -> T:
    """
    Have the event loop run a coroutine, and wait for its result in this worker thread.

    Args:
        until: looked at ten times a second; once it is true, the coroutine is cancelled.

    Raises:
        Stopped: the work of this thread is no longer wanted, or the coroutine was cancelled.
    """
    worker: _Worker[Any] = _current.worker
    outcome = Future[T]()
    try:
        worker.loop.call_soon_threadsafe(_begin, worker, work, outcome)
    except RuntimeError:  # the event loop is closed
        raise Stopped from None
    while until is not None and not wait([outcome], _LOOK_SECONDS).done:
        if until():
            worker.loop.call_soon_threadsafe(_cancel, worker)
            break
    return outcome.result()


def _begin(worker: _Worker[Any], work: Callable[[], Coroutine[Any, Any, T]], outcome: "Future[T]") -> None:
    def over(task: "asyncio.Task[T]") -> None:
        worker.task = None
        if task.cancelled():
            outcome.set_exception(Stopped())
        elif (error := task.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    task = worker.task = worker.loop.create_task(work())
    task.add_done_callback(over)
    if worker.stopped:
        task.cancel()


def _cancel(worker: _Worker[Any]) -> None:
    if worker.task is not None:
        worker.task.cancel()


@atexit.register
def _stop_all() -> None:
    """Give workers that are still at work a moment to let go of what they hold."""
    left = list(_running)
    for worker in left:
        worker.stopped = True
    until = time.monotonic() + _EXIT_SECONDS
    for worker in left:
        worker.join(max(0.0, until - time.monotonic()))


if hasattr(os, "register_at_fork"):
    # The threads of the parent are not in the child.
    os.register_at_fork(after_in_child=_running.clear)
