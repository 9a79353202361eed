"""A command that runs with a registry of its own, and ends with it."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import click

from transfer.cli.event_loop import handle


async def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """
    Run a command and return its exit code, or 128 and the number of the signal that ended it.

    Signals are passed on to it; a terminal sends its own to both.

    Raises:
        ClickException: there is no such command.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    except OSError as error:
        raise click.ClickException(f"{command[0]}: {error.strerror}") from None
    try:
        with ExitStack() as handlers:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                handle(handlers, number, partial(_pass_on, process, number))
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return code if code >= 0 else 128 - code


def _pass_on(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None and (number != signal.SIGINT or not sys.stdin.isatty()):
        process.send_signal(number)
