"""Who to be at each end, as the command line takes it."""

from pathlib import Path

import pytest

from tests.command import Command, served
from tests.images import ImageBuilder
from transfer.server import Server


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
