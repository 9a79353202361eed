"""The other end of `processes.Service`: answers lines of stdin with lines of JSON until stdin ends."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def answer_lines(ready: dict[str, Any], answer: Callable[[str], dict[str, Any]]) -> None:
    """Say `ready`, then answer each line, without holding up the event loop while none comes."""
    say(ready)
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(answer(line.strip()))


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on the event loop that the command line runs on."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
