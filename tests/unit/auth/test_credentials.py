"""Logins: out of files as Docker and Podman write them, and out of helpers that are real programs."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest

from transfer.auth.credentials import Login, StoredCredentials, credential_files, parse_login
from transfer.errors import CredentialsMissing, InvalidConfig

SECRET = "canary-88d2"
HELPER = """#!/bin/sh
read server
echo "$server" >> "{folder}/asked"
{body}
"""


def auth(user: str, password: str = SECRET) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def stored(tmp_path: Path, content: object) -> StoredCredentials:
    file = tmp_path / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return StoredCredentials((tmp_path / "absent.json", file))


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, name: str = "test") -> None:
    program = tmp_path / f"docker-credential-{name}"
    program.write_text(HELPER.format(folder=tmp_path, body=body))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def says(username: str) -> str:
    return "echo '" + json.dumps({"ServerURL": "x", "Username": username, "Secret": SECRET}) + "'"


@pytest.mark.parametrize(
    ("registry", "repository", "user"),
    [
        ("r.example", "app", "plain"),
        ("r.example", "team/x", "team"),
        ("r.example", "team/app", "app"),
        ("r.example", "team/app/deep", "app"),
        ("r.example", "teamwork", "plain"),
        ("r.example:5000", "app", "port"),
        ("old.example", "app", "old"),
        ("slash.example", "app", "slash"),
        ("docker.io", "library/alpine", "hub"),
        ("members.example", "app", "members"),
    ],
)
async def test_a_file_knows_a_registry_in_every_spelling(
    tmp_path: Path, registry: str, repository: str, user: str
) -> None:
    logins = stored(
        tmp_path,
        {
            "auths": {
                "r.example": {"auth": auth("plain")},
                "r.example/team": {"auth": auth("team")},
                "r.example/team/app": {"auth": auth("app")},
                "r.example:5000": {"auth": auth("port")},
                "https://old.example/v1/": {"auth": auth("old")},
                "https://slash.example/": {"auth": auth("slash")},
                "https://index.docker.io/v1/": {"auth": auth("hub")},
                "members.example": {"username": "members", "password": SECRET},
            }
        },
    )
    assert await logins.find(registry, repository) == Login(user, SECRET)


@pytest.mark.parametrize("registry", ["other.example", "r.example.evil.example", "example", "r.example:443"])
async def test_another_registry_gets_nobodys_login(tmp_path: Path, registry: str) -> None:
    assert await stored(tmp_path, {"auths": {"r.example": {"auth": auth("me")}}}).find(registry, "app") is None


async def test_an_identity_token_is_one(tmp_path: Path) -> None:
    logins = stored(tmp_path, {"auths": {"r.example": {"auth": auth("me", ""), "identitytoken": SECRET}}})
    assert await logins.find("r.example", "app") == Login("me", "", SECRET)


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"email": "me@example"}])
async def test_an_entry_without_a_secret_is_no_login(tmp_path: Path, entry: object) -> None:
    assert await stored(tmp_path, {"auths": {"r.example": entry}}).find("r.example", "app") is None


@pytest.mark.parametrize("value", ["!", "bm9jb2xvbg==", "/w==", 5])
async def test_an_entry_that_cannot_be_read_is_named_without_its_secret(tmp_path: Path, value: object) -> None:
    with pytest.raises(InvalidConfig, match=r"config.json: the entry for r.example cannot be read; log in again"):
        await stored(tmp_path, {"auths": {"r.example": {"auth": value}}}).find("r.example", "app")


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, '{"auths": []}', '{"credHelpers": {"a": 5}}', "\x00"])
async def test_what_is_no_file_of_logins_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidConfig, match=r"config.json: it is no file of logins"):
        await stored(tmp_path, content).find("r.example", "app")


async def test_a_folder_in_a_files_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read: Is a directory"):
        await StoredCredentials((tmp_path,)).find("r.example", "app")


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({}, ["/home/.config/containers/auth.json", "/home/.docker/config.json"]),
        (
            {"XDG_RUNTIME_DIR": "/run/u", "DOCKER_CONFIG": "/dc", "XDG_CONFIG_HOME": "/xc"},
            ["/run/u/containers/auth.json", "/xc/containers/auth.json", "/dc/config.json"],
        ),
        (
            {"REGISTRY_AUTH_FILE": "/my.json", "XDG_RUNTIME_DIR": "/run/u"},
            ["/my.json", "/home/.config/containers/auth.json", "/home/.docker/config.json"],
        ),
    ],
)
def test_files_are_looked_for_where_podman_and_docker_keep_them(environ: dict[str, str], files: list[str]) -> None:
    assert [str(path) for path in credential_files(environ, Path("/home"))] == files


async def test_a_registrys_own_helper_is_asked_by_the_name_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, says("helped"))
    content = {"credHelpers": {"r.example": "test"}, "auths": {"r.example": {"auth": auth("file")}}}
    assert await stored(tmp_path, content).find("r.example", "app") == Login("helped", SECRET)
    assert await stored(tmp_path, content).find("other.example", "app") is None
    assert (tmp_path / "asked").read_text() == "r.example\n"


async def test_the_store_is_asked_for_docker_hub_by_its_old_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, says("hub"))
    assert await stored(tmp_path, {"credsStore": "test"}).find("docker.io", "a/b") == Login("hub", SECRET)
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/\n"


async def test_a_helpers_identity_token_is_told_from_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, says("<token>"))
    assert await stored(tmp_path, {"credsStore": "test"}).find("r.example", "app") == Login(identity_token=SECRET)


async def test_a_store_that_has_nothing_leaves_it_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "echo 'credentials not found in native keychain'; exit 1")
    content = {"credsStore": "test", "auths": {"r.example": {"auth": auth("file")}}}
    assert await stored(tmp_path, content).find("r.example", "app") == Login("file", SECRET)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'the vault is locked'; exit 1", "it failed .'the vault is locked'.; log in again"),
        ("echo nonsense", "its answer cannot be read"),
        ("echo '{}'", "its answer cannot be read"),
        ("exit 3", "it failed"),
    ],
)
async def test_a_helper_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    helper(tmp_path, monkeypatch, body)
    with pytest.raises(CredentialsMissing, match=f"docker-credential-test for r.example: {reason}"):
        await stored(tmp_path, {"credsStore": "test"}).find("r.example", "app")


async def test_a_helper_that_is_not_there_is_named_with_the_file_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match=r"credential-gone, which .*config.json names, is not installed"):
        await stored(tmp_path, {"credsStore": "gone"}).find("r.example", "app")


@pytest.mark.parametrize("name", ["../../bin/sh", "a/b", "x; rm -rf /", "", "a\n", "a b", "\x00", "x" * 200])
@pytest.mark.attack("CVE-2020-5260")
async def test_a_helper_with_a_strange_name_is_not_run(tmp_path: Path, name: str) -> None:
    logins = stored(tmp_path, {"credHelpers": {"r.example": name}})
    with pytest.raises(InvalidConfig, match="is not the name of a credential helper"):
        await logins.find("r.example", "app")


@pytest.mark.parametrize("registry", ["r.example\nhost=evil", "r.example\0", "r.example\r", "r.example b"])
@pytest.mark.attack("CVE-2020-5260")
async def test_a_strange_registry_is_never_handed_to_a_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    helper(tmp_path, monkeypatch, says("me"))
    with pytest.raises(InvalidConfig):
        await stored(tmp_path, {"credsStore": "test"}).find(registry, "app")
    assert not (tmp_path / "asked").exists()


async def test_a_helper_that_hangs_ends_with_who_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    waiting = asyncio.create_task(stored(tmp_path, {"credsStore": "test"}).find("r.example", "app"))
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        await asyncio.sleep(0.01)
    began = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_login_is_read_and_never_shown() -> None:
    login = parse_login(f"me:{SECRET}:x")
    assert (login.username, login.password) == ("me", f"{SECRET}:x")
    assert SECRET not in repr(login)


@pytest.mark.parametrize("text", ["", "me", "me:", f":{SECRET}", f"me\n:{SECRET}", f"me:{SECRET}\r", f"{SECRET}"])
def test_what_is_no_login_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidConfig, match="expected USER:PASSWORD") as caught:
        parse_login(text)
    assert SECRET not in str(caught.value)
