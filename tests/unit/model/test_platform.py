"""A choice of platforms, and the index that is left of it."""

import json

import pytest

from transfer.errors import InvalidConfig, InvalidManifest
from transfer.model.descriptor import OCI_INDEX, OCI_MANIFEST, Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest
from transfer.model.platform import parse_platform, select
from transfer.testing.images import ImageBuilder

AMD, ARM, V7 = (Digest.of(name.encode()) for name in ("amd64", "arm64", "armv7"))
ATTESTATION = Digest.of(b"attestation of arm64")


def entry(digest: Digest, platform: dict[str, str], **members: object) -> dict[str, object]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 10, "platform": platform, **members}


def index() -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            entry(AMD, {"os": "linux", "architecture": "amd64"}),
            entry(ARM, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
            entry(V7, {"os": "linux", "architecture": "arm", "variant": "v7"}),
            entry(
                ATTESTATION,
                {"os": "unknown", "architecture": "unknown"},
                annotations={"vnd.docker.reference.digest": ARM},
            ),
        ],
        "annotations": {"kept": "ü"},
    }
    return parse_manifest(json.dumps(document, indent=3).encode())


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform(os="linux", architecture="amd64")),
        (" linux/arm/v7 ", Platform(os="linux", architecture="arm", variant="v7")),
        # Other names of the same, as containerd's platforms package normalizes them.
        ("linux/x86_64", Platform(os="linux", architecture="amd64")),
        ("linux/x86-64", Platform(os="linux", architecture="amd64")),
        ("linux/amd64/v1", Platform(os="linux", architecture="amd64")),
        ("linux/amd64/v3", Platform(os="linux", architecture="amd64", variant="v3")),
        ("linux/i386", Platform(os="linux", architecture="386")),
        ("linux/aarch64", Platform(os="linux", architecture="arm64")),
        ("linux/arm64/8", Platform(os="linux", architecture="arm64")),
        ("arm64", Platform(os="linux", architecture="arm64")),
        ("aarch64", Platform(os="linux", architecture="arm64")),
        ("linux/arm/7", Platform(os="linux", architecture="arm", variant="v7")),
        ("linux/armhf", Platform(os="linux", architecture="arm", variant="v7")),
        ("linux/armel", Platform(os="linux", architecture="arm", variant="v6")),
        ("Linux/ARM64", Platform(os="linux", architecture="arm64")),
        ("macos/arm64", Platform(os="darwin", architecture="arm64")),
        ("windows(10.0.17763)/amd64", Platform(os="windows", architecture="amd64", os_version="10.0.17763")),
    ],
)
def test_a_platform_is_read(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    "text", ["", "linux", "windows", "linux/", "/amd64", "linux/arm/v7/x", "linux/a\x1bb", "linux/a b"]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="expected os/architecture"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("text", "digest"),
    [("linux/amd64", AMD), ("linux/arm64", ARM), ("linux/arm/v7", V7), ("aarch64", ARM), ("linux/arm64/v8", ARM)],
)
def test_one_platform_is_the_image_itself(text: str, digest: Digest) -> None:
    chosen = select(index(), [parse_platform(text)])
    assert isinstance(chosen, Descriptor)
    assert chosen.digest == digest


def test_several_platforms_are_a_shorter_index_with_their_attestations() -> None:
    whole = index()
    shorter = select(whole, [parse_platform("linux/arm64"), parse_platform("linux/amd64")])
    assert isinstance(shorter, Manifest)
    assert [child.digest for child in shorter.manifests] == [AMD, ARM, ATTESTATION]
    assert shorter.media_type == OCI_INDEX
    left = json.loads(shorter.raw)
    assert left["annotations"] == {"kept": "ü"}
    assert left["manifests"] == [json.loads(whole.raw)["manifests"][number] for number in (0, 1, 3)]
    assert select(whole, [parse_platform("linux/amd64"), parse_platform("linux/arm64")]) == shorter


@pytest.mark.parametrize("text", ["windows/amd64", "linux/arm64/v9"])
def test_a_platform_that_is_not_there_is_told_with_those_that_are(text: str) -> None:
    with pytest.raises(InvalidManifest, match=f"no image for {text}, only for linux/amd64, linux/arm64/v8"):
        select(index(), [parse_platform(text)])


def test_an_index_of_the_builder_has_its_platforms(layout: ImageBuilder) -> None:
    image = layout.index(("linux/amd64", "linux/arm64"))
    chosen = select(parse_manifest(image.content(image.root)), [parse_platform("linux/arm64")])
    assert isinstance(chosen, Descriptor)
    assert chosen.digest == image.manifests[1].digest
