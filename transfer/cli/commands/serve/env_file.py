"""The file that names a running registry: written once it answers, and waited for by those who use it."""

import asyncio
import os
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from transfer.concurrency.retry import pause
from transfer.errors import ConnectionFailed, InvalidConfig

# Where a shell and other programs find the registry.
URL = "AWS_ENDPOINT_URL_ECR"


def exports(environment: Mapping[str, str]) -> str:
    """Return lines that a shell evaluates."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


def write(file: Path, environment: Mapping[str, str]) -> None:
    """
    Write the lines as a whole, readable by their owner alone.

    Raises:
        InvalidConfig: the file cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        with open(part, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as text:
            text.write(exports(environment) + "\n")
        part.replace(file)
    except OSError as error:
        raise InvalidConfig(f"environment {file}: {error.strerror}") from None


def remove(file: Path) -> None:
    """Remove the file, so that nobody takes a registry that is gone for one that runs."""
    with suppress(OSError):
        file.unlink(missing_ok=True)


async def wait(file: Path, seconds: float) -> str:
    """
    Return the lines once the file is there and its registry answers.

    Raises:
        ConnectionFailed: that takes longer.
    """
    end = time.monotonic() + seconds
    while True:
        if text := await asyncio.to_thread(_read, file):
            return text
        if time.monotonic() >= end:
            raise ConnectionFailed(
                f"no registry that wrote {str(file)!r} answers after {seconds:g} s; "
                f"start one: transfer serve --env-file {file}"
            )
        await pause(0.05)


def _read(file: Path) -> str | None:
    """Return the lines of a file whose registry answers."""
    with suppress(OSError):
        text = file.read_text(encoding="utf-8")
        if _answers(text):
            return text.rstrip("\n")
    return None


def _answers(text: str) -> bool:
    url = next((line.partition("=")[2] for line in text.splitlines() if line.startswith(f"export {URL}=")), None)
    if url is None:
        return False
    # Loopback is never reached by a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{shlex.split(url)[0]}/v2/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
