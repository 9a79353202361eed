"""`transfer ecr` against the embedded registry: what is printed, what is asked, and the exit code."""

import base64
import io
import json
import sys
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.command import Command
from transfer.model.digest import Digest
from transfer.server import Server
from transfer.testing.images import BuiltImage, ImageBuilder

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]}
)
ABSENT = Digest.of(b"absent")


def uri(registry: Server, repository: str = "app") -> str:
    return f"{registry.registry}/{repository}"


@pytest.fixture
def pushed(registry: Server, command: Command, layout: ImageBuilder) -> BuiltImage:
    """An image in the repository `app`, under the tag v1."""
    image = layout.image()
    command.ok("push", "-q", image.source, f"{uri(registry)}:v1", "--create-repository")
    registry.requests.clear()
    return image


def as_boto3_says(operation: str, **request: Any) -> Any:
    """The answer that boto3 gives a program, with times as text."""
    client = boto3.client("ecr", region_name="us-east-1")
    try:
        answer = getattr(client, operation)(**request)
    finally:
        client.close()
    del answer["ResponseMetadata"]
    return json.loads(json.dumps(answer, default=datetime.isoformat))


def without_zone(document: Any) -> Any:
    """Times of a document as moments, since boto3 gives them in the zone of this machine."""
    match document:
        case dict():
            return {name: without_zone(value) for name, value in document.items()}
        case list():
            return [without_zone(value) for value in document]
        case str() if document[:3] == "202" and "T" in document:
            return datetime.fromisoformat(document).timestamp()
        case _:
            return document


def test_a_repository_is_created_listed_and_deleted(registry: Server, command: Command) -> None:
    assert command.ok("ecr", "create", "team/app") == f"{uri(registry, 'team/app')}\n"
    assert command.ok("ecr", "create", uri(registry)) == f"{uri(registry)}\n"
    assert command.ok("ecr", "repos").splitlines() == [uri(registry), uri(registry, "team/app")]
    assert command.ok("ecr", "repos", "team/app") == f"{uri(registry, 'team/app')}\n"
    assert command.ok("ecr", "delete", uri(registry)) == f"deleted {uri(registry)}\n"
    assert command.ok("ecr", "repos").splitlines() == [uri(registry, "team/app")]


def test_the_settings_of_a_new_repository_reach_the_registry(registry: Server, command: Command) -> None:
    answer = json.loads(command.ok("ecr", "create", "app", "--immutable", "--scan-on-push", "--tag", "a=b", "--json"))
    assert answer["repository"]["imageTagMutability"] == "IMMUTABLE"
    assert answer["repository"]["imageScanningConfiguration"] == {"scanOnPush": True}
    assert command.ok("ecr", "create", "bb", "--image-tag-mutability", "IMMUTABLE_WITH_EXCLUSION", "--exclude", "dev-*")


def test_answers_as_json_are_those_boto3_gives(registry: Server, command: Command, pushed: BuiltImage) -> None:
    command.ok("ecr", "create", "second")
    digest = pushed.blobs[0].digest
    for arguments, operation, request in (
        (["repos"], "describe_repositories", {}),
        (["repos", "app"], "describe_repositories", {"repositoryNames": ["app"]}),
        (["images", "app"], "describe_images", {"repositoryName": "app"}),
        (
            ["check", "app", digest],
            "batch_check_layer_availability",
            {"repositoryName": "app", "layerDigests": [digest]},
        ),
    ):
        printed = json.loads(command.ok("ecr", *arguments, "--json"))
        assert without_zone(printed) == without_zone(as_boto3_says(operation, **request))


def test_a_policy_is_set_from_a_file_or_stdin_read_and_deleted(
    registry: Server, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.ok("ecr", "create", "app")
    (tmp_path / "policy.json").write_text(POLICY)
    assert command.ok("ecr", "policy", "set", "app", tmp_path / "policy.json") == "set the policy of app\n"
    assert json.loads(command.ok("ecr", "policy", "get", "app")) == json.loads(POLICY)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POLICY.encode())))
    assert json.loads(command.ok("ecr", "policy", "set", "app", "-", "--json"))["repositoryName"] == "app"
    assert command.ok("ecr", "policy", "delete", "app") == "deleted the policy of app\n"
    assert command("ecr", "policy", "get", "app").code == 1


def test_images_are_lines_of_digest_tags_size_and_time(registry: Server, command: Command, pushed: BuiltImage) -> None:
    command.ok("push", "-q", pushed.source, f"{uri(registry)}@{pushed.root.digest}")
    command.ok("push", "-q", pushed.source, f"{uri(registry)}:v2")
    (line,) = command.ok("ecr", "images", uri(registry)).splitlines()
    digest, tags, size, time = line.split()
    assert (digest, set(tags.split(",")), size) == (pushed.root.digest, {"v1", "v2"}, "3.27kB")
    assert datetime.fromisoformat(time).tzinfo is not None


def test_images_can_be_those_with_or_without_a_tag(
    registry: Server, command: Command, pushed: BuiltImage, layout: ImageBuilder
) -> None:
    untagged = layout.image([500], seed=7, tag="other")
    command.ok("push", "-q", untagged.source, f"{uri(registry)}@{untagged.root.digest}")
    assert command.ok("ecr", "images", "app", "--tagged").split()[0] == pushed.root.digest
    assert command.ok("ecr", "images", "app", "--untagged").split()[:2] == [untagged.root.digest, "-"]
    assert len(command.ok("ecr", "images", "app").splitlines()) == 2


def test_what_could_not_be_removed_is_shown_and_ends_with_1(
    registry: Server, command: Command, pushed: BuiltImage
) -> None:
    ended = command("ecr", "rm", "app", "v1", "v9")
    assert (ended.code, ended.out) == (1, f"removed v1 {pushed.root.digest}\n")
    assert ended.err.startswith("not removed v9: ImageNotFound: ")
    answer = command("ecr", "rm", "app", "v1", "--json")
    assert (answer.code, json.loads(answer.out)["failures"][0]["failureCode"]) == (1, "ImageNotFound")


def test_removing_all_that_was_named_ends_with_0(registry: Server, command: Command, pushed: BuiltImage) -> None:
    assert command.ok("ecr", "rm", "app", pushed.root.digest).startswith("removed ")
    assert command.ok("ecr", "images", "app") == ""


def test_a_missing_layer_makes_the_check_end_with_1(registry: Server, command: Command, pushed: BuiltImage) -> None:
    there = pushed.blobs[0].digest
    assert command.ok("ecr", "check", "app", there).split()[:2] == [there, "AVAILABLE"]
    ended = command("ecr", "check", "app", ABSENT, there)
    assert (ended.code, [line.split()[:2] for line in ended.out.splitlines()]) == (
        1,
        [[ABSENT, "UNAVAILABLE"], [there, "AVAILABLE"]],
    )


def test_more_than_a_hundred_go_in_batches(registry: Server, command: Command) -> None:
    command.ok("ecr", "create", "app")
    digests = [Digest.of(str(number).encode()) for number in range(101)]
    assert len(command("ecr", "check", "app", *digests).out.splitlines()) == 101
    assert len(command("ecr", "rm", "app", *digests).err.splitlines()) == 101
    assert registry.requests.count("BatchCheckLayerAvailability") == 2
    assert registry.requests.count("BatchDeleteImage") == 2


def test_all_pages_are_one_answer(registry: Server, command: Command) -> None:
    client = boto3.client("ecr", region_name="us-east-1")
    for number in range(101):
        client.create_repository(repositoryName=f"app-{number:03}")
    client.close()
    registry.requests.clear()
    assert len(command.ok("ecr", "repos").splitlines()) == 101
    assert registry.requests.count("DescribeRepositories") == 2
    assert set(json.loads(command.ok("ecr", "repos", "--json"))) == {"repositories"}


def test_a_layer_can_be_downloaded_from_its_url(registry: Server, command: Command, pushed: BuiltImage) -> None:
    layer = pushed.blobs[-1]
    url = command.ok("ecr", "layer-url", "app", layer.digest).strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == pushed.content(layer)


def test_the_password_and_the_token_stand_alone_on_stdout(registry: Server, command: Command) -> None:
    password = command.ok("ecr", "login-password")
    assert password.count("\n") == 1
    token = command("ecr", "token")
    assert base64.b64decode(token.out).decode().startswith("AWS:")
    assert f"for {registry.url}, expires " in token.err
    (data,) = json.loads(command.ok("ecr", "token", "--json"))["authorizationData"]
    assert set(data) == {"authorizationToken", "expiresAt", "proxyEndpoint"}


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["images", "nowhere"], 1, "repository with name 'nowhere' does not exist"),
        (["repos", "nowhere"], 1, "repository with name 'nowhere' does not exist"),
        (["policy", "get", "app"], 1, "policy does not exist"),
        (["create", "app"], 1, "already exists"),
        (["layer-url", "app", ABSENT], 1, str(ABSENT)),
        (["images", "UPPER"], 2, "'UPPER' is not a repository name"),
        (["check", "app", "sha256:1"], 2, "digest 'sha256:1'"),
        (["repos", "--endpoint-url", "nonsense"], 2, "nonsense"),
        (["repos", "--profile", "nobody"], 4, "nobody"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_thing(
    arguments: list[str], code: int, complaint: str, registry: Server, command: Command
) -> None:
    command.ok("ecr", "create", "app")
    ended = command("ecr", *arguments)
    assert (ended.code, ended.out) == (code, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("transfer: ")
    assert complaint in line


def test_a_refused_signature_ends_with_4(registry: Server, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ended = command("ecr", "repos")
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (4, "", 1)


def test_debug_shows_where_an_error_came_from(registry: Server, command: Command) -> None:
    ended = command("--debug", "ecr", "images", "nowhere")
    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("transfer: ")
