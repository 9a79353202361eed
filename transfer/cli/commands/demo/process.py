"""Pushes and mirrors as processes of their own, which can be killed, and the environment that all of them share."""

import asyncio
import contextlib
import os
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click

import transfer

# From here `python -m transfer` is this very program, installed or not, whatever folder the user is in.
_HOME = Path(transfer.__file__).parent.parent


def environment_for(current: Mapping[str, str], registry: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a registry of this machine in it, and neither the user's AWS settings nor a proxy."""
    kept = {
        name: value
        for name, value in current.items()
        if not name.upper().startswith("AWS_") and not name.upper().endswith("_PROXY")
    }
    no_file = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **no_file, **registry, "NO_PROXY": "*"}


@contextmanager
def in_environment(registry: Mapping[str, str]) -> Iterator[None]:
    """Let this process and those it starts see these surroundings."""
    before = dict(os.environ)
    _replace(environment_for(before, registry))
    try:
        yield
    finally:
        _replace(before)


def _replace(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One `transfer` command that moves images, to be run as often as one likes."""

    arguments: Sequence[str]

    @classmethod
    def push(cls, source: str, target: str, *, state: Path, quiet: bool) -> Self:
        """Push one image."""
        return cls(arguments=["push", source, target, "--create-repository", *_more(state, quiet)])

    @classmethod
    def mirror(cls, source: str, target: str, *, login: str, state: Path, quiet: bool) -> Self:
        """Mirror every tag of some repositories; it prints its report as JSON."""
        logins = ["--src-creds", login, "--dest-creds", login]
        return cls(arguments=["mirror", source, target, "--all-tags", *logins, "--json", *_more(state, quiet)])

    def __str__(self) -> str:
        return shlex.join(["transfer", *self.arguments])

    async def run(self) -> str:
        """
        Run it to its end; what it prints.

        Raises:
            ClickException: it failed, and has said on stderr why.
        """
        async with self.start() as process:
            output, _ = await process.communicate()
        if process.returncode:
            raise click.ClickException(f"{self}: exit code {process.returncode}; see the error above")
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


def _more(state: Path, quiet: bool) -> list[str]:  # noqa: FBT001 -- of this module alone
    return ["--state", str(state), *(["--quiet"] if quiet else [])]
