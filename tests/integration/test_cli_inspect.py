"""`transfer inspect`: what an image is made of, from a layout and from a registry."""

import json

import pytest

from tests.support.command import Command
from transfer import Server
from transfer.model.descriptor import OCI_MANIFEST
from transfer.testing.images import ARTIFACT, BuiltImage, ImageBuilder


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.index(("linux/amd64", "linux/arm64"))


@pytest.mark.parametrize("end", ["layout", "registry"])
def test_manifests_and_blobs_are_listed_once(end: str, image: BuiltImage, app: str, command: Command) -> None:
    command.ok("push", image.source, f"{app}:v1")
    lines = command.ok("inspect", image.source if end == "layout" else f"{app}:v1").splitlines()
    assert [line.split()[0] for line in lines].count("image") == 2
    assert lines[0].split()[:3] == ["index", "-", image.root.digest]
    digests = [line.split()[2] for line in lines]
    assert sorted(digests) == sorted(one.digest for one in (*image.manifests, *image.blobs))
    assert {line.split()[1] for line in lines} == {"-", "linux/amd64", "linux/arm64"}


def test_the_manifest_is_printed_byte_for_byte(image: BuiltImage, command: Command) -> None:
    assert command.ok("inspect", "--raw", image.source).encode() == image.content(image.root)


def test_a_program_reads_platforms_and_sizes(image: BuiltImage, command: Command) -> None:
    reported = json.loads(command.ok("inspect", "--json", image.source))
    assert reported["digest"] == image.root.digest
    assert [one["platform"] for one in reported["manifests"]] == [None, "linux/amd64", "linux/arm64"]
    assert {blob["digest"]: blob["size"] for blob in reported["blobs"]} == {b.digest: b.size for b in image.blobs}


def test_an_image_that_is_not_there_is_an_error(app: str, command: Command) -> None:
    ended = command("inspect", f"{app}:v9")
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("end", ["layout", "ecr", "registry"])
def test_what_refers_to_the_image_is_shown(
    end: str, image: BuiltImage, layout: ImageBuilder, app: str, registry: Server, command: Command
) -> None:
    referrer = layout.referrer(image.root, annotations={"by": "me\x1b[31m"})
    command.ok("push", image.source, f"{app}:v1")
    command.ok("push", referrer.source, f"{app}@{referrer.root.digest}")
    address = registry.url.removeprefix("http://")
    source = {"layout": image.source, "ecr": f"{app}:v1", "registry": f"{address}/app:v1"}[end]
    login = ["--creds", "transfer:transfer"] if end == "registry" else []

    last = command.ok("inspect", source, *login).splitlines()[-1].split()
    reported = json.loads(command.ok("inspect", "--json", source, *login))

    assert last == ["referrer", "-", referrer.root.digest, last[3], ARTIFACT]
    assert reported["referrers"] == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": referrer.root.digest,
            "size": referrer.root.size,
            "artifactType": ARTIFACT,
            "annotations": {"by": "me\x1b[31m"},
        }
    ]


def test_the_bare_manifest_costs_no_question_for_referrers(
    image: BuiltImage, app: str, registry: Server, command: Command
) -> None:
    command.ok("push", image.source, f"{app}:v1")
    registry.requests.clear()
    command.ok("inspect", "--raw", f"{app}:v1")
    assert registry.requests.count("ListImageReferrers") == 0
    command.ok("inspect", f"{app}:v1")
    assert registry.requests.count("ListImageReferrers") == 1
