"""From an error to an exit code and to the lines that tell of it."""

import asyncio
import contextlib
import os
import signal
import time

import click
import pytest

from transfer.cli.event_loop import run
from transfer.cli.main import Terminated, exit_code, explain
from transfer.errors import (
    ConnectionFailed,
    ContentMismatch,
    ContentMissing,
    CredentialsMissing,
    InvalidConfig,
    InvalidDigest,
    InvalidLayout,
    InvalidManifest,
    InvalidReference,
    NotFound,
    RateLimited,
    StorageFull,
    TagImmutable,
    Unauthorized,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidReference("x"), 2),
        (InvalidDigest("x"), 2),
        (InvalidManifest("x"), 2),
        (InvalidConfig("x"), 2),
        (InvalidLayout("x"), 2),
        (StorageFull("x"), 1),
        (ContentMissing("x"), 1),
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (click.ClickException("x"), 1),
        (CredentialsMissing("x"), 4),
        (Unauthorized("x", status=400, code="AccessDeniedException"), 4),
        (NotFound("x", status=400, code="RepositoryNotFoundException"), 1),
        (TagImmutable("x", status=400, code="ImageTagAlreadyExistsException"), 1),
        (RateLimited("x", status=429, code="TooManyRequests"), 1),
        (ConnectionFailed("x"), 1),
        (ContentMismatch("x"), 1),
        (PermissionError(13, "Permission denied", "/data"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_is_one_line_and_its_notes_follow() -> None:
    error = ConnectionFailed("UploadLayerPart to registry.example: timed out")
    error.add_note("also failed: sha256:abc")
    assert list(explain(error)) == [
        "transfer: UploadLayerPart to registry.example: timed out",
        "  also failed: sha256:abc",
    ]


@pytest.mark.attack("terminal-escapes")
def test_control_characters_of_a_foreign_message_do_not_reach_the_terminal() -> None:
    error = NotFound("no such tag: \x1b[31mv1\r\nall done", status=404, code="x")
    error.add_note("\x1b]0;title\x07")
    assert list(explain(error)) == ["transfer: no such tag: [31mv1 all done", "  ]0;title"]


def test_a_refusal_of_the_system_names_the_file_and_the_reason() -> None:
    assert list(explain(PermissionError(13, "Permission denied", "/data"))) == ["transfer: /data: Permission denied"]


def test_an_error_of_our_own_is_called_a_bug_with_its_type() -> None:
    (line,) = explain(KeyError("digest"))
    assert line == "transfer: this is a bug, please report it: KeyError: 'digest' (transfer --debug shows where)"


def test_a_usage_error_ends_with_its_one_line() -> None:
    context = click.Context(click.Command("push"), info_name="push")
    lines = list(explain(click.UsageError("Missing argument 'TARGET'.", context)))
    assert lines == [
        "Usage: push [OPTIONS]",
        "Try 'push --help' for help.",
        "transfer: Missing argument 'TARGET'.",
    ]


def test_a_coroutine_is_run_to_its_result() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert run(answer) == 42


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_cancels_the_coroutine_and_lets_it_clean_up(number: int, raised: type[BaseException]) -> None:
    cleaned: list[str] = []

    async def job() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            cleaned.append("yes")

    with pytest.raises(raised):
        run(job)
    assert cleaned == ["yes"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_is_told_from_a_failure_that_came_before_it() -> None:
    async def job() -> None:
        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ConnectionFailed("x")

    with pytest.raises(KeyboardInterrupt):
        run(job)


def test_a_second_signal_does_not_wait_for_the_cleaning_up() -> None:
    async def job() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(job)
    assert time.monotonic() - began < 10


def test_a_signal_that_the_shell_ignores_stays_ignored() -> None:
    async def job() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
        return 42

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(job) == 42
    finally:
        signal.signal(signal.SIGINT, before)
