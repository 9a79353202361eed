"""`transfer serve`: what it prints on start, and how it stops."""

import signal
import socket
import subprocess
from collections.abc import Iterator

import boto3
import pytest

from tests.support.command import Command, exported, started


@pytest.fixture
def serving() -> Iterator["subprocess.Popen[str]"]:
    with started("serve", "--port", "0", "--verbose") as process:
        yield process


def test_boto3_works_with_what_is_printed(serving: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch) -> None:
    environment = exported(serving)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("ecr")
    client.create_repository(repositoryName="app")
    names = [repository["repositoryName"] for repository in client.describe_repositories()["repositories"]]
    client.close()
    serving.send_signal(signal.SIGINT)
    out, err = serving.communicate(timeout=20)
    assert (names, serving.returncode, out) == (["app"], 0, "")
    url = environment["AWS_ENDPOINT_URL_ECR"]
    assert err.startswith(f"serving 123456789012.dkr.ecr.us-east-1.amazonaws.com at {url}; Ctrl-C stops it\n")
    assert err.splitlines()[-3:] == ["200 CreateRepository app", "200 DescribeRepositories -", "stopped"]


def test_sigterm_stops_it_cleanly_too() -> None:
    with started("serve", "--port", "0", "--access-key", "me:se cret", "--account", "210987654321") as process:
        environment = exported(process)
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err.splitlines()[-1]) == (0, "stopped")
    assert (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) == ("me", "se cret")
    assert "210987654321.dkr.ecr" in err


def test_a_port_in_use_is_one_line_that_says_what_to_do(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command("serve", "--port", port)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"transfer: cannot listen on 127.0.0.1:{port}: address already in use; "
        "choose another with --port, or --port 0 for any free one\n"
    )
