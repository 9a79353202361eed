"""`--json`: one document with a version on stdout, an error as an object with its class."""

import json
from typing import Any

import pytest

from tests.support.command import Command
from transfer.testing.images import ImageBuilder


@pytest.fixture
def image(layout: ImageBuilder) -> str:
    return layout.image(tag="v1").source


def document(command: Command, *arguments: object) -> Any:
    return json.loads(command(*arguments).out)


def test_each_document_has_a_version(app: str, image: str, command: Command) -> None:
    documents = [
        document(command, "push", image, f"{app}:v1", "--json"),
        document(command, "inspect", f"{app}:v1", "--json"),
        document(command, "tags", app, "--json"),
        document(command, "mirror", f"{app}:v1", f"{app}-copy", "--json", "--create-repository", "--no-journal"),
        *document(command, "login-check", app, "--json"),
        document(command, "delete", f"{app}:v1", "--json"),
        document(command, "push", image, f"{app}:-", "--json"),
    ]
    assert [one["version"] for one in documents] == [1] * 7


@pytest.mark.parametrize(
    ("arguments", "kind", "side"),
    [
        (["copy", "{app}:none", "oci:out"], "NotFound", "source"),
        (["push", "oci:/nowhere", "{app}:v1"], "InvalidLayout", "source"),
        (["push", "{image}", "{app}-none:v1"], "NotFound", "target"),
        (["tags", "{app}:v1"], "InvalidReference", "target"),
        (["mirror", "{app}"], "UsageError", None),
        (["inspect", "{app}:v1", "--xyzzy"], "NoSuchOption", None),
    ],
)
def test_an_error_is_an_object_with_its_class(
    arguments: list[str], kind: str, side: str | None, app: str, image: str, command: Command
) -> None:
    ended = command(*(one.format(app=app, image=image) for one in arguments), "--json")
    error = json.loads(ended.out)["error"]
    assert (error["class"], error["side"]) == (kind, side)
    assert error["message"] in ended.err
    assert command(*(one.format(app=app, image=image) for one in arguments)).out == ""


def test_an_image_of_a_mirror_that_failed_has_one_too(app: str, command: Command) -> None:
    report = document(command, "mirror", f"{app}:none", f"{app}-copy", "--json", "--no-journal")
    (failed,) = report["images"]
    assert failed["error"]["class"] == "NotFound"
    assert failed["error"]["message"] == failed["message"]
