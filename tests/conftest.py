"""Fixtures of all tests: a clean environment, images in a layout, the embedded registry."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from transfer.testing.images import ImageBuilder

if TYPE_CHECKING:
    from tests.support.behind_peer import Site
    from transfer.registry.ecr.aws import AwsSession
    from transfer.server import Server


def pytest_configure() -> None:
    """Signals that nohup or a background shell ignores are as in a terminal, also in what a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting of the machine reaches a test, and nothing is written outside its folder; returns the home."""
    proxies = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    for name in list(os.environ):
        if name.startswith("AWS_") or name.upper() in proxies:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home


@pytest_asyncio.fixture
async def left_tasks() -> AsyncIterator[None]:
    """Fails a test that leaves a task behind, after all its other fixtures are torn down."""
    yield
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"the test left {len(left)} tasks: {left}"
    threads = [thread for thread in threading.enumerate() if thread.name == "transfer-lane"]
    assert not threads, f"the test left {len(threads)} worker threads"


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> None:
    """Looks for left tasks, and only where there is a loop to look at."""
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("left_tasks")


@pytest.fixture
def layout(tmp_path: Path) -> ImageBuilder:
    """Builds images into one empty OCI layout."""
    return ImageBuilder(tmp_path / "layout")


@pytest_asyncio.fixture
async def server() -> AsyncIterator["Server"]:
    """The embedded registry on a free port, empty."""
    from transfer.server import Server  # noqa: PLC0415 - most tests need no server, and it takes a while to import

    async with Server() as running:
        yield running


@pytest.fixture(scope="session")
def aws_session() -> "AwsSession":
    """What botocore resolves, once for all tests; a test that changes it changes a copy."""
    from tests.support.behind_peer import KEYS  # noqa: PLC0415 - as above, and botocore takes a while too
    from transfer.registry.ecr.aws import AwsSession  # noqa: PLC0415

    return asyncio.run(AwsSession.load(KEYS))


@pytest_asyncio.fixture
async def site(tmp_path: Path, aws_session: "AwsSession") -> AsyncIterator["Site"]:
    """A repository of the embedded registry behind a peer that can get in the way."""
    from tests.support.behind_peer import opened  # noqa: PLC0415 - as above

    async with opened(tmp_path, aws_session) as opened_site:
        yield opened_site
