"""
Processes of the harness: the client that is measured, and services that answer a line with a line of JSON.

Knows no scenario.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MIB = 1024 * 1024


class BenchmarkFailed(Exception):
    """A benchmark that could not be run, in one line."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took: seconds of wall clock and of all its threads' CPU, and the most memory it ever had."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def peak_mib(self) -> float:
        return self.peak_bytes / MIB


def clean_environment(home: Path, registry: Mapping[str, str]) -> dict[str, str]:
    """The machine's environment without what would lead a client elsewhere, and with a home of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
    }
    nowhere = str(home / "no-such-file")
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        **registry,
    }


def transfer_command(*arguments: str) -> list[str]:
    """This checkout's command line, with the interpreter that runs the harness."""
    return [sys.executable, "-m", "transfer", *arguments]


def measured(command: list[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """
    Run a command to its end.

    Raises:
        BenchmarkFailed: it did not exit with 0; with the last line that it wrote to stderr.
    """
    output = folder / "usage.json"
    # -I -S: the one who starts the command is to be as small as a Python can be.
    launcher = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "measure.py"), str(output)]
    done = subprocess.run([*launcher, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise BenchmarkFailed(f"{' '.join(command[1:4])}: exit code {done.returncode}: {said}")
    return Usage(**json.loads(output.read_text()))


class Service:
    """A process that says a line of JSON when it is ready, and one for each line that it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ready: dict[str, Any] = self._read()

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{self._process.args!r} ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def service(module: str, *arguments: str) -> Iterator[Service]:
    """Start `python -m module`; it ends when its stdin does."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Service(process)
        except BaseException:
            process.kill()
            raise
