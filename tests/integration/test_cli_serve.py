"""`transfer serve`: what it prints on start, and how it stops."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def test_a_command_runs_with_a_registry_of_its_own() -> None:
    code = "import os, urllib.request as r; print(r.urlopen(os.environ['AWS_ENDPOINT_URL_ECR'] + '/v2/').status)"
    with started(
        "serve", "--port", "0", "--no-auth", "--", sys.executable, "-c", f"{code}; raise SystemExit(7)"
    ) as one:
        out, err = one.communicate(timeout=20)
    assert (one.returncode, out, err) == (7, "200\n", "")


def test_a_command_that_is_not_there_is_told() -> None:
    with started("serve", "--port", "0", "/nowhere/command", "-x") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (1, "", "transfer: /nowhere/command: No such file or directory\n")


def test_a_signal_is_the_commands_too() -> None:
    code = "import signal; print('ready', flush=True); signal.pause()"
    with started("serve", "--port", "0", "--", sys.executable, "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


def test_a_file_tells_others_where_the_registry_is(tmp_path: Path, command: Command) -> None:
    file = tmp_path / "registry.env"
    # Of a registry that is gone: nobody answers there.
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    file.write_text(f"export AWS_ENDPOINT_URL_ECR=http://127.0.0.1:{port}\n")
    with started("serve", "--wait", file) as waiting, started("serve", "--port", "0", "--env-file", file) as serving:
        out, err = waiting.communicate(timeout=20)
        assert (waiting.returncode, err) == (0, "")
        assert out == file.read_text()
        assert str(port) not in out.partition("\n")[0]
        assert file.stat().st_mode & 0o777 == 0o600
        serving.send_signal(signal.SIGHUP)
        out, err = serving.communicate(timeout=20)
    assert (serving.returncode, out, err.splitlines()[-1]) == (0, "", "stopped")
    assert not file.exists()


def test_the_folders_of_registries_that_were_killed_are_removed(tmp_path: Path) -> None:
    temporary = {"TMPDIR": str(tmp_path)}
    with started("serve", "--port", "0", environment=temporary) as killed:
        exported(killed)
        killed.kill()
    (left,) = tmp_path.iterdir()
    with started("serve", "--port", "0", environment=temporary) as running:
        exported(running)
        (young,) = set(tmp_path.iterdir()) - {left}
        for folder in (left, young):
            os.utime(folder, (0, 0))
        with started("serve", "--port", "0", environment=temporary) as third:
            exported(third)
            assert not left.exists()
            assert young.exists()
            third.terminate()
            assert third.wait(20) == 0
        running.terminate()
        assert running.wait(20) == 0
    assert list(tmp_path.iterdir()) == []
