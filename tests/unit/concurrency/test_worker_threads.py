"""Blocking work in worker threads: how it ends, how it is stopped, and its way back to the event loop."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial

import pytest

from transfer.concurrency import worker_threads
from transfer.concurrency.worker_threads import run_in_worker


def threads() -> int:
    return len([thread for thread in threading.enumerate() if thread.name == "transfer-lane"])


def until_stopped() -> None:
    while True:
        worker_threads.check()
        time.sleep(0.01)


async def test_work_runs_in_a_thread_of_its_own_and_its_result_comes_out() -> None:
    assert await run_in_worker(lambda: threading.current_thread().name) == "transfer-lane"
    assert threads() == 0


async def test_an_error_comes_out_as_it_is() -> None:
    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await run_in_worker(fail)
    assert threads() == 0


async def test_many_at_once_leave_no_thread() -> None:
    assert await asyncio.gather(*(run_in_worker(partial(abs, number)) for number in range(200))) == [*range(200)]
    assert threads() == 0


async def test_cancelling_stops_the_work_and_waits_for_its_thread() -> None:
    work = asyncio.create_task(run_in_worker(until_stopped))
    await asyncio.sleep(0.05)
    assert threads() == 1
    work.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert threads() == 0
    assert time.monotonic() - began < 1


async def test_cancelling_again_does_not_leave_the_thread_behind() -> None:
    ended = threading.Event()

    def stubborn() -> None:
        ended.wait(5)

    work = asyncio.create_task(run_in_worker(stubborn))
    await asyncio.sleep(0.02)
    for _ in range(3):
        work.cancel()
        await asyncio.sleep(0.02)
    assert not work.done()
    ended.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert threads() == 0


async def test_a_result_that_came_too_late_is_let_go_of() -> None:
    begun, found = threading.Event(), list[str]()

    def late() -> str:
        begun.set()
        time.sleep(0.1)
        return "connection"

    work = asyncio.create_task(run_in_worker(late, discard=found.append))
    await asyncio.to_thread(begun.wait)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert found == ["connection"]


async def test_progress_is_reported_while_the_work_goes_on_and_at_its_end() -> None:
    moved, reported = [0], list[int]()

    def move() -> None:
        for _ in range(12):
            time.sleep(0.1)
            moved[0] += 1

    await run_in_worker(move, report=lambda: reported.append(moved[0]))
    assert reported[-1] == 12
    assert len(set(reported)) >= 4, "at least twice a second"


async def test_a_worker_calls_a_coroutine_of_the_event_loop() -> None:
    here = threading.get_ident()

    async def there() -> bool:
        await asyncio.sleep(0)
        return threading.get_ident() == here

    assert await run_in_worker(lambda: worker_threads.call(there))


async def test_an_error_of_a_coroutine_comes_out_in_the_worker() -> None:
    async def fail() -> None:
        raise ValueError("in the loop")

    with pytest.raises(ValueError, match="in the loop"):
        await run_in_worker(lambda: worker_threads.call(fail))


async def test_cancelling_cancels_the_coroutine_that_the_worker_waits_for_and_waits_for_its_end() -> None:
    steps = list[str]()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            steps.append("cleaned up")

    work = asyncio.create_task(run_in_worker(lambda: worker_threads.call(slow)))
    await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (steps, threads()) == (["cleaned up"], 0)


async def test_a_coroutine_that_is_cancelled_by_itself_cancels_who_awaits_the_work() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_in_worker(lambda: worker_threads.call(cancelled))


async def test_a_coroutine_is_waited_for_until_something_else_is_true() -> None:
    async def forever() -> None:
        await asyncio.sleep(60)

    def work() -> str:
        began = time.monotonic()
        with pytest.raises(worker_threads.Stopped):
            worker_threads.call(forever, until=lambda: time.monotonic() - began > 0.2)
        worker_threads.check()
        return "went on"

    assert await run_in_worker(work) == "went on"


def test_each_event_loop_has_workers_of_its_own_one_after_the_other() -> None:
    async def there() -> int:
        return id(asyncio.get_running_loop())

    async def work() -> bool:
        return await run_in_worker(lambda: worker_threads.call(there)) == id(asyncio.get_running_loop())

    assert [asyncio.run(work()) for _ in range(3)] == [True] * 3


def program(text: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import asyncio, os, sys, threading, time\nfrom transfer.concurrency import worker_threads\n"
        + textwrap.dedent(text)
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)


def test_the_interpreter_ends_with_a_worker_at_work_that_lets_go_of_what_it_holds() -> None:
    done = program("""
        def work():
            try:
                while True:
                    worker_threads.check()
                    time.sleep(0.01)
            finally:
                print("let go", flush=True)

        async def main():
            asyncio.get_running_loop().create_task(worker_threads.run_in_worker(work))
            await asyncio.sleep(0.1)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("end", flush=True)
        """)
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["end", "let go"]


def test_the_interpreter_ends_with_a_worker_that_never_looks() -> None:
    began = time.monotonic()
    done = program("""
        async def main():
            task = asyncio.get_running_loop().create_task(worker_threads.run_in_worker(lambda: time.sleep(600)))
            await asyncio.sleep(0.1)

        asyncio.new_event_loop().run_until_complete(main())
        """)
    assert done.returncode == 0
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_was_forked_with_a_worker_at_work_has_none_and_can_start_its_own() -> None:
    done = program("""
        import warnings
        warnings.simplefilter("ignore")

        async def main():
            go_on = threading.Event()
            work = asyncio.create_task(worker_threads.run_in_worker(lambda: go_on.wait(20)))
            await asyncio.sleep(0.1)
            child = os.fork()
            if not child:
                asyncio.set_event_loop(None)
                asyncio._set_running_loop(None)
                loop = asyncio.new_event_loop()
                answer = loop.run_until_complete(worker_threads.run_in_worker(lambda: "in the child"))
                print(len(worker_threads._running), answer, flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            go_on.set()
            print(await work, len(worker_threads._running))

        asyncio.run(main())
        """)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["0 in the child", "True 0"]), done.stderr


def test_sigint_ends_a_program_with_a_worker_at_work() -> None:
    code = """
import asyncio, time
from transfer.concurrency import worker_threads

def work():
    print("at work", flush=True)
    while True:
        worker_threads.check()
        time.sleep(0.01)

asyncio.run(worker_threads.run_in_worker(work))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert "KeyboardInterrupt" in errors
