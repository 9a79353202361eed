"""
Pushes as processes of their own, which can be killed, and the environment that this program and they share.

Does not know the story that they are part of.
"""

import asyncio
import contextlib
import os
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

import transfer

# From here `python -m transfer` is this very program, installed or not, whatever folder the user is in.
_HOME = Path(transfer.__file__).parent.parent


def surroundings(current: Mapping[str, str], registry: Mapping[str, str]) -> dict[str, str]:
    """The environment with a registry of this machine in it, and neither the user's AWS settings nor a proxy."""
    kept = {
        name: value
        for name, value in current.items()
        if not name.upper().startswith("AWS_") and not name.upper().endswith("_PROXY")
    }
    no_file = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **no_file, **registry, "NO_PROXY": "*"}


@contextmanager
def surrounded(registry: Mapping[str, str]) -> Iterator[None]:
    """Let this process and those it starts see these surroundings."""
    before = dict(os.environ)
    _replace(surroundings(before, registry))
    try:
        yield
    finally:
        _replace(before)


def _replace(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One `transfer push`, to be run as often as one likes."""

    source: str
    target: str
    state: Path
    quiet: bool

    @property
    def arguments(self) -> list[str]:
        quiet = ["--quiet"] if self.quiet else []
        return ["push", self.source, self.target, "--create-repository", "--state", str(self.state), *quiet]

    def __str__(self) -> str:
        return shlex.join(["transfer", *self.arguments])

    async def run(self) -> str:
        """
        Run it to its end; the reference that it prints.

        Raises:
            ClickException: it failed, and has said on stderr why.
        """
        async with self.start() as process:
            output, _ = await process.communicate()
        if process.returncode:
            raise click.ClickException(f"{self}: exit code {process.returncode}; why stands above")
        return output.decode().strip()

    @asynccontextmanager
    async def start(self) -> AsyncIterator[Process]:
        """Run it for as long as the block lasts. A Ctrl-C of the terminal does not reach it, its end does."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transfer", *self.arguments),
            cwd=_HOME,
            stdin=DEVNULL,
            stdout=PIPE,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
