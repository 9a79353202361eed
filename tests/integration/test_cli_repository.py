"""`transfer tags` and `transfer delete`."""

import json

import pytest

from tests.support.command import Command
from transfer.testing.images import ImageBuilder


@pytest.fixture
def tagged(app: str, command: Command, layout: ImageBuilder) -> str:
    """A repository with one image under two tags."""
    image = layout.image()
    for tag in ("v1", "v2"):
        command.ok("push", image.source, f"{app}:{tag}")
    return app


def test_tags_are_listed_one_a_line(tagged: str, command: Command) -> None:
    assert sorted(command.ok("tags", tagged).splitlines()) == ["v1", "v2"]
    reported = json.loads(command.ok("tags", tagged, "--json"))
    assert (reported["repository"], sorted(reported["tags"])) == (tagged, ["v1", "v2"])


def test_a_tag_is_deleted_and_the_others_stay(tagged: str, command: Command) -> None:
    assert command.ok("delete", f"{tagged}:v1") == f"{tagged}:v1\n"
    assert command.ok("tags", tagged) == "v2\n"


def test_an_image_is_deleted_by_digest_with_its_tags(tagged: str, command: Command) -> None:
    digest = json.loads(command.ok("inspect", f"{tagged}:v1", "--json"))["digest"]
    assert json.loads(command.ok("delete", f"{tagged}@{digest}", "--json")) == {
        "version": 1,
        "deleted": f"{tagged}@{digest}",
    }
    assert command.ok("tags", tagged) == ""


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (["delete", "{app}:v9"], 1, "delete v9 of app"),
        (["delete", "{app}"], 2, "name a tag or a digest"),
        (["tags", "{app}:v1"], 2, "without a tag or digest"),
        (["tags", "{app}-none"], 1, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    arguments: list[str], code: int, output: str, tagged: str, command: Command
) -> None:
    ended = command(*(argument.format(app=tagged) for argument in arguments))
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1)
    assert output in ended.err
