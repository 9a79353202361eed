"""Who to be at each end, as the command line takes it."""

import base64
import json
from pathlib import Path

import pytest

from tests.support.command import Command, served
from transfer.server import Server
from transfer.testing.images import ImageBuilder


@pytest.fixture
def profile(registry: Server, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A profile with the registry's keys; those of the environment are somebody else's."""
    config = clean_environment / "config"
    config.write_text(
        "[profile theirs]\nregion = us-east-1\naws_access_key_id = transfer\naws_secret_access_key = transfer\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
    return "theirs"


def test_a_side_takes_a_profile_of_its_own(
    registry: Server, profile: str, command: Command, layout: ImageBuilder
) -> None:
    source, app = layout.image([10]).source, f"{registry.registry}/app:v1"
    assert command("push", source, app, "--create-repository").code == 4
    command.ok("push", source, app, "--create-repository", "--dest-profile", profile)
    with served() as other:
        here = f"ecr://{other.url.partition('//')[2]}/app:v1"
        copied = command.ok(
            "copy", app, here, "--src-profile", profile, "--dest-profile", profile, "--create-repository"
        )
        assert command.ok("tags", here.removesuffix(":v1"), "--profile", profile) == "v1\n"
    assert copied.startswith(here.removesuffix(":v1") + "@sha256:")


@pytest.mark.attack("GHSA-9m43-p3cx-w8j5")
def test_nobody_is_somebody_where_no_login_is_sent(
    registry: Server, command: Command, layout: ImageBuilder, clean_environment: Path
) -> None:
    host = registry.url.partition("//")[2]
    login = base64.b64encode(b"transfer:transfer").decode()
    (clean_environment / ".docker").mkdir()
    (clean_environment / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
    command.ok("push", layout.image([10]).source, f"{host}/app:v1")
    assert command("tags", f"{host}/app", "--no-creds").code == 4
    for flag in ("--src-no-creds", "--dest-no-creds"):
        assert command("copy", f"{host}/app:v1", f"{host}/app:v2", flag).code == 4
    assert command.ok("tags", f"{host}/app") == "v1\n"


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("tags", "a.example/x", "--no-creds", "--creds", "me:canary-77"), "exclude each other"),
        (("copy", "a.example/x", "b.example/x", "--src-no-creds", "--src-profile", "p"), "exclude each other"),
        (("tags", "ecr://a.example/x", "--no-creds"), "ECR requires credentials"),
        (("copy", "a.example/x", "b.example/x", "--dest-token-host", "https://c.example"), "a host name"),
    ],
)
def test_what_contradicts_itself_is_bad_input(command: Command, arguments: tuple[str, ...], output: str) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert output in ended.err
    assert "canary-77" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("copy", "a.example/x", "b.example/x", "--src-role", "pusher"),
        ("copy", "ecr://a.example/x", "b.example/x", "--src-role", "pusher"),
        ("tags", "ecr://a.example/x", "--role", "pusher"),
        ("ecr", "repos", "--role", "pusher"),
    ],
)
def test_what_is_no_role_is_bad_input(command: Command, arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")


def test_logins_are_checked_one_a_line(registry: Server, command: Command) -> None:
    host = registry.url.partition("//")[2]
    fine = command("login-check", host, f"{host}/app", "--creds", "transfer:transfer")
    assert (fine.code, fine.err) == (0, "")
    assert [line.split() for line in fine.out.splitlines()] == [
        [host, "ok", "transfer", "given", "login", "-"],
        [f"{host}/app", "ok", "transfer", "given", "pull", "-"],
    ]
    refused = command("login-check", host, registry.registry, "127.0.0.1:1", "--creds", "transfer:canary-77", "--json")
    reported = json.loads(refused.out)
    assert (refused.code, [one["state"] for one in reported]) == (4, ["refused", "ok", "failed"])
    assert (reported[1]["user"], reported[1]["source"], reported[1]["expires_at"][:2]) == (
        "123456789012",
        "AWS (env)",
        "20",
    )
    assert len(refused.err.splitlines()) == 2
    assert "canary-77" not in refused.out + refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (("127.0.0.1:1",), 1, "127.0.0.1:1"),
        (("{host}", "127.0.0.1:1"), 4, "requires credentials"),
        (("{host}", "--no-creds"), 4, "requires credentials"),
        (("{host}/app:v1",), 2, "without a tag"),
        ((), 2, "Missing argument"),
    ],
)
def test_a_login_check_ends_with_the_worst_of_them(
    registry: Server, command: Command, arguments: tuple[str, ...], code: int, output: str
) -> None:
    ended = command("login-check", *(one.format(host=registry.url.partition("//")[2]) for one in arguments))
    assert ended.code == code
    assert output in ended.err
