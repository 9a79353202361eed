"""What `-v` and `--log-level` log: requests and retries, without a secret."""

import logging
import re
from collections.abc import Iterator

import pytest

from tests.support.command import Command, served
from transfer.server import Server
from transfer.testing.images import ImageBuilder

LINE = re.compile(
    r"[-\d]{10} [:,\d]{12} DEBUG transfer\.http: ([A-Z]+) (127\.\S+(?: \(\w+(?: app)?\))?) (\d{3}) \d+ ms"
)


@pytest.fixture
def server() -> Iterator[Server]:
    with served(secret_key="canary-5ec2e7") as running:
        yield running


def requests(err: str) -> list[tuple[str, str, str]]:
    return [match.groups() for match in map(LINE.fullmatch, err.splitlines()) if match]  # type: ignore[misc]


@pytest.mark.parametrize("by_api", [True, False])
def test_each_request_is_a_line_without_a_query_or_a_password(
    server: Server, by_api: bool, command: Command, layout: ImageBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    image = layout.image([3_000_000, 100], tag="v1")
    host = server.url.removeprefix("http://")
    place = f"{server.registry}/app:v1" if by_api else f"{host}/app:v1"
    login = () if by_api else ("--dest-creds", "transfer:canary-5ec2e7")
    pushed = command(
        "push", image.source, place, *login, "--create-repository" if by_api else "-q", "-v", "--no-journal"
    )
    assert pushed.code == 0, pushed.err
    sent = requests(pushed.err)
    assert len(sent) >= 6
    login = () if by_api else ("--src-creds", "transfer:canary-5ec2e7")
    pulled = command("pull", place, f"oci:{layout.path.parent / 'out'}", *login, "--log-level", "debug", "--no-journal")
    assert any("/layers/" in place or "/blobs/" in place for _, place, _ in requests(pulled.err))
    logged = pushed.err + pulled.err
    assert "canary-5ec2e7" not in logged
    assert "?" not in logged
    assert "ignature" not in logged
    assert not logging.getLogger("transfer").handlers


def test_nothing_is_logged_unless_it_is_wanted(server: Server, command: Command) -> None:
    ended = command("tags", f"{server.url.removeprefix('http://')}/app", "--creds", "transfer:canary-5ec2e7")
    assert not requests(ended.err)
