"""The command line as tests run it: in this process against a registry in another thread, or as a real process."""

import asyncio
import contextlib
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from transfer.cli import main

if TYPE_CHECKING:
    from transfer.server import Server


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """Runs `transfer` in this process, with what it prints caught."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Ended:
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(code, *self._capsys.readouterr())

    def ok(self, *arguments: object) -> str:
        """What a command that must succeed prints on stdout."""
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended.out


@contextmanager
def started(*arguments: object, environment: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """`transfer` as a process with pipes, ended when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "transfer", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    """The environment that a server prints on its stdout, read from the pipe while it runs."""
    assert process.stdout is not None
    environment = {}
    for line in process.stdout:
        word, assignment = shlex.split(line)
        assert word == "export"
        name, _, environment[name] = assignment.partition("=")
        if len(environment) == 5:
            break
    return environment


def on_a_terminal(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout (a pipe) and what a terminal of 100 columns got from a command."""
    main, side = pty.openpty()
    program = [sys.executable, "-m", "transfer", *arguments]
    settings = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment}
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    with subprocess.Popen(
        program, stdin=side, stdout=subprocess.PIPE, stderr=side, text=True, env={**inherited, **settings}
    ) as process:
        os.close(side)
        shown = b"".join(_until_closed(main))
        os.close(main)
        assert process.stdout is not None
        out = process.stdout.read()
    return process.returncode, out, shown.decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            yield data


@contextmanager
def served(**settings: Any) -> Iterator["Server"]:
    """The embedded registry, with these settings of `Server`, in a thread with an event loop of its own."""
    from transfer.server import Server  # noqa: PLC0415 -- most tests need no server

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="registry")
    thread.start()
    server = Server(**settings)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
