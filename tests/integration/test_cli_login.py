"""`transfer login` and `logout`: a login that was tried is kept where docker and podman find it."""

import base64
import io
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, Ended, served

HELPER = """
import json, pathlib, sys
kept = pathlib.Path({kept!r})
logins = json.loads(kept.read_text()) if kept.exists() else {{}}
given = sys.stdin.read()
match sys.argv[1]:
    case "store":
        one = json.loads(given)
        logins[one["ServerURL"]] = [one["Username"], one["Secret"]]
    case "erase":
        del logins[given]
    case "get" if given in logins:
        print(json.dumps(dict(zip(("Username", "Secret"), logins[given]), ServerURL=given)))
    case _:
        sys.exit("credentials not found in native keychain")
kept.write_text(json.dumps(logins))
"""


@pytest.fixture
def host() -> Iterator[str]:
    with served() as server:
        yield server.url.removeprefix("http://")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "docker" / "config.json"


def login(command: Command, host: str, password: str, monkeypatch: pytest.MonkeyPatch) -> Ended:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    return command("login", host, "-u", "transfer", "--password-stdin")


def test_a_login_is_kept_in_dockers_file_and_used(
    host: str, file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    file.write_text('{"auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "x"}')
    ended = login(command, host, "transfer", monkeypatch)
    assert (ended.code, ended.out, ended.err) == (0, "", f"logged in at {host} as transfer; kept by {file}\n")
    document = json.loads(file.read_text())
    assert base64.b64decode(document["auths"][host]["auth"]) == b"transfer:transfer"
    assert (document["psFormat"], document["auths"]["other.example"]) == ("x", {"auth": "eDp5"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert command.ok("repos", host) == ""

    assert command("logout", host).err == f"logged out of {host}\n"
    assert list(json.loads(file.read_text())["auths"]) == ["other.example"]
    assert command("repos", host).code == 4
    assert command("logout", host).err == f"{file} has no login for {host}\n"


def test_a_login_that_is_refused_is_not_kept(
    host: str, file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = login(command, host, "canary-5ec2e7", monkeypatch)
    assert (ended.code, ended.out, file.exists()) == (4, "", False)
    assert ended.err.startswith(f"transfer: login at {host} as transfer: ")
    assert "canary" not in ended.err


@pytest.mark.parametrize("named", ["credsStore", "credHelpers"])
def test_a_helper_keeps_the_password(
    named: str, host: str, file: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helper.py").write_text(HELPER.format(kept=str(tmp_path / "kept.json")))
    program = tmp_path / "docker-credential-test"
    # The path of the interpreter may have a space in it.
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "helper.py"}" "$@"\n')
    program.chmod(0o755)
    file.parent.mkdir()
    file.write_text(json.dumps({named: "test" if named == "credsStore" else {host: "test"}}))
    ended = login(command, host, "transfer", monkeypatch)
    assert (ended.code, ended.err) == (0, f"logged in at {host} as transfer; kept by docker-credential-test\n")
    assert json.loads((tmp_path / "kept.json").read_text()) == {host: ["transfer", "transfer"]}
    assert json.loads(file.read_text())["auths"] == {host: {}}
    assert command.ok("repos", host) == ""
    command("logout", host)
    assert json.loads((tmp_path / "kept.json").read_text()) == {}
    assert json.loads(file.read_text())["auths"] == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("[]", "no file of logins"), ("{", "no file of logins"), ('{"credsStore": "../x"}', "is not the name")],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    *, content: str, complaint: str, host: str, file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    file.write_text(content)
    ended = login(command, host, "transfer", monkeypatch)
    assert (ended.code, ended.err.count("\n"), complaint in ended.err) == (2, 1, True)
    assert file.read_text() == content


def test_ecr_and_a_missing_terminal_say_what_to_do(
    host: str, file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        "takes AWS credentials" in login(command, "123456789012.dkr.ecr.us-east-1.amazonaws.com", "x", monkeypatch).err
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ended = command("login", host)
    assert (ended.code, file.exists()) == (2, False)
    assert "give --username USER and --password-stdin" in ended.err
