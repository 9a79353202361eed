"""Processes of the harness: the client that is measured, and services that answer a line with a line of JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.values import MIB, BenchmarkFailed, Link

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What one process, with those that it waited for, took: seconds of wall clock and of CPU, the most memory that one
    of them ever had; and what it wrote to stdout.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str = ""

    @property
    def peak_mib(self) -> float:
        return self.peak_bytes / MIB


def clean_environment(home: Path, registry: Mapping[str, str]) -> dict[str, str]:
    """
    Return the machine's environment with a home of its own, and without what leads a client elsewhere, or makes Python
    compile what an installed program has compiled.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_")
        and not name.lower().endswith("_proxy")
        and name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
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


def measured(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """
    Run a command to its end; the folder gets what was measured.

    Raises:
        BenchmarkFailed: it did not exit with 0; with the last line of its own that it wrote to stderr.
    """
    output = folder / "usage.json"
    # -I -S: the one who starts the command is to be as small as a Python can be.
    launcher = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "clients" / "measure.py"), str(output)]
    done = subprocess.run([*launcher, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        # What is indented are notes on the line before.
        lines = [line for line in done.stderr.splitlines() if line and not line[0].isspace()]
        raise BenchmarkFailed(f"exit code {done.returncode}: {lines[-1][:300] if lines else 'it lines nothing'}")
    return Usage(**json.loads(output.read_text()), output=done.stdout)


class Service:
    """A process that prints a line of JSON when it is ready, and one for each line it reads."""

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
def service(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Start `python -m module`; it ends when its stdin does."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Service(process)
        except BaseException:
            process.kill()
            raise


@contextmanager
def link_before(host: str, port: int, link: Link, *, certificate: Path | None = None) -> Iterator[Service]:
    """A link in front of a server: `ready["port"]` is where, any question tells what it counted."""
    settings = {"host": host, "port": port, "link": link, "certificate": str(certificate or "")}
    with service("benchmarks.network.link", msgspec.json.encode(settings).decode()) as running:
        yield running
