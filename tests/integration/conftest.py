"""Fixtures of the tests that run the command line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Command, served

if TYPE_CHECKING:
    from transfer.server import Server


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `transfer` in this process; for tests that are not coroutines."""
    return Command(capsys)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, clean_environment: object) -> Iterator["Server"]:
    """The embedded registry in another thread, with its environment exported."""
    with served() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def app(registry: "Server", command: Command) -> str:
    """A repository that is there, as a push names it."""
    command.ok("ecr", "create", "app")
    registry.requests.clear()
    return f"{registry.registry}/app"


@pytest.fixture(params=[5, pytest.param(20, marks=pytest.mark.nightly)])
def kills(request: pytest.FixtureRequest) -> int:
    """How many times a command is killed."""
    assert isinstance(request.param, int)
    return request.param
