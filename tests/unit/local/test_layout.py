"""Choosing an image in an OCI layout: references, names, and documents that cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from transfer.errors import InvalidLayout, InvalidReference
from transfer.local.layout.source import LayoutSource, parse_layout_reference
from transfer.model.descriptor import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.testing.images import REF_NAME, BuiltImage, ImageBuilder, encode

DIGEST = "sha256:" + "a" * 64
CONTAINERD_NAME = "io.containerd.image.name"


def write_index(path: Path, entries: list[Descriptor], **members: Any) -> LayoutSource:
    (path / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": entries, **members}))
    return LayoutSource(path)


def named(descriptor: Descriptor, **annotations: str) -> Descriptor:
    keys = {"ref": REF_NAME, "containerd": CONTAINERD_NAME}
    return msgspec.structs.replace(descriptor, annotations={keys[key]: text for key, text in annotations.items()})


@pytest.mark.parametrize(
    ("text", "path", "choice"),
    [
        ("image", "image", None),
        ("image:v1", "image", "v1"),
        ("./out/image:v1.2_3-x", "out/image", "v1.2_3-x"),
        ("/tmp/a:b/image", "/tmp/a:b/image", None),
        ("/tmp/a:b/image:v1", "/tmp/a:b/image", "v1"),
        ("image@" + DIGEST, "image", DIGEST),
        ("a@b/image@" + DIGEST, "a@b/image", DIGEST),
        ("a@b:v1", "a@b", "v1"),
        ("with space:v1", "with space", "v1"),
        ("..", "..", None),
        ("image@sha256:../../x", "image@sha256:../../x", None),
        ("image:docker.io/library/app:v1", "image", "docker.io/library/app:v1"),
        ("./out:localhost:5000/app:v1", "out", "localhost:5000/app:v1"),
        ("/a:b/c:ghcr.io/team/app", "/a:b/c", "ghcr.io/team/app"),
    ],
)
def test_a_layout_reference_is_a_folder_and_a_tag_or_digest(text: str, path: str, choice: str | None) -> None:
    assert parse_layout_reference(text) == (Path(path), choice)


@pytest.mark.parametrize("name", ["image:v1", "image@" + DIGEST, "a:b:c"])
def test_a_text_that_is_an_existing_folder_has_no_tag(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    assert parse_layout_reference(str(tmp_path / name)) == (tmp_path / name, None)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("image", "docker.io/library/app:1.0"),
        ("image", "library/app:1.0"),
        ("image", "app:1.0"),
        ("image:app", "1.0"),
        ("a:b:c", "host:5000/d:e"),
        ("image", "1.0@rc"),
    ],
)
def test_the_longest_folder_that_exists_is_the_layout(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder.partition(":")[0]).mkdir(exist_ok=True)

    assert parse_layout_reference(f"{tmp_path / folder}:{name}") == (tmp_path / folder, name)


@pytest.mark.parametrize(
    ("annotations", "references"),
    [
        ({"ref": "docker.io/library/app:1.0"}, ["docker.io/library/app:1.0", "app:1.0", "1.0"]),
        ({"ref": "ghcr.io/team/app:1.0"}, ["ghcr.io/team/app:1.0", "1.0"]),
        ({"ref": "1.0", "containerd": "docker.io/library/app:1.0"}, ["1.0", "docker.io/library/app:1.0", "app:1.0"]),
        ({"ref": "localhost/app"}, ["localhost/app", "localhost/app:latest"]),
    ],
)
async def test_an_image_is_found_by_every_name_that_it_has(
    layout: ImageBuilder, annotations: dict[str, str], references: list[str]
) -> None:
    image, other = layout.image(seed=1, tag=None), layout.image(seed=2, tag=None)
    source = write_index(layout.path, [named(image.root, **annotations), named(other.root, ref="other.io/app:2.0")])

    for reference in references:
        assert (await source.resolve(reference)).digest == image.root.digest
    with pytest.raises(InvalidLayout, match="has no image"):
        await source.resolve("app:3.0")


@pytest.mark.parametrize(
    "text",
    [
        *("", ":v1", ":", "image:", "image\0:v1"),
        *("@" + DIGEST, "image@sha256:abc", "image@sha256:", "image@sha1:" + "a" * 40, "image@sha256:" + "A" * 64),
    ],
)
def test_a_malformed_layout_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_layout_reference(text)

    assert caught.value.side == "source"
    assert "\n" not in str(caught.value)


async def test_none_among_several_images_lists_them_and_says_how_to_choose(layout: ImageBuilder) -> None:
    images = [layout.image(seed=number, tag=f"v{number}") for number in range(2)]

    with pytest.raises(InvalidLayout) as caught:
        await LayoutSource(layout.path).resolve(None)

    message = str(caught.value)
    assert "oci:DIR:TAG or oci:DIR@sha256:…" in message
    assert all(repr(image.tag) in message and image.root.digest in message for image in images)


async def test_a_long_list_of_images_is_cut_short(layout: ImageBuilder) -> None:
    entry = layout.image().root
    source = write_index(layout.path, [named(entry, ref=f"v{number}") for number in range(500)])

    with pytest.raises(InvalidLayout, match="and 490 more") as caught:
        await source.resolve("w")

    assert len(str(caught.value)) < 2000


async def test_none_takes_the_image_that_has_several_names(layout: ImageBuilder) -> None:
    root = layout.image().root
    source = write_index(layout.path, [named(root, ref="v1"), named(root, ref="latest")])

    assert (await source.resolve(None)).digest == root.digest


async def test_an_empty_layout_has_no_image(layout: ImageBuilder) -> None:
    with pytest.raises(InvalidLayout, match="names no image"):
        await LayoutSource(layout.path).resolve("v1")


@pytest.mark.parametrize(
    "annotations",
    [
        {"ref": "v1"},
        {"ref": "registry.example/app:v1"},
        {"ref": "1.0", "containerd": "docker.io/library/app:v1"},
        {"containerd": "docker.io/library/app:v1"},
    ],
)
async def test_a_tag_is_found_in_every_form_that_builders_write(
    layout: ImageBuilder, annotations: dict[str, str]
) -> None:
    root, other = layout.image(seed=1).root, layout.image(seed=2).root
    entry = named(root, **annotations)
    source = write_index(layout.path, [named(other, ref="v11", containerd="docker.io/library/app:latest"), entry])

    assert await source.resolve("v1") == entry


async def test_an_exact_name_goes_before_one_that_only_ends_in_the_tag(layout: ImageBuilder) -> None:
    root, other = layout.image(seed=1).root, layout.image(seed=2).root
    source = write_index(layout.path, [named(other, ref="registry.example/other:v1"), named(root, ref="v1")])

    assert (await source.resolve("v1")).digest == root.digest
    assert (await source.resolve("registry.example/other:v1")).digest == other.digest


async def test_one_tag_on_two_images_is_refused_and_either_digest_is_taken(layout: ImageBuilder) -> None:
    images = [layout.image(seed=1), layout.image(seed=2)]

    with pytest.raises(InvalidLayout, match="2 different images"):
        await LayoutSource(layout.path).resolve("v1")

    for image in images:
        assert await LayoutSource(layout.path).resolve(image.root.digest) == image.root


@pytest.mark.parametrize("media_type", [OCI_LAYER_GZIP, "application/vnd.docker.distribution.manifest.v1+json", ""])
async def test_an_entry_that_is_no_manifest_is_refused(layout: ImageBuilder, media_type: str) -> None:
    root = msgspec.structs.replace(layout.image().root, media_type=media_type)

    with pytest.raises(InvalidLayout, match="not an image"):
        await write_index(layout.path, [root]).resolve(None)


async def test_docker_media_types_are_images_too(tmp_path: Path) -> None:
    built = ImageBuilder(tmp_path / "docker", docker=True).index()
    source = LayoutSource(built.path)

    manifest = await source.manifest(await source.resolve("v1"))

    assert [child.digest for child in manifest.manifests] == [child.digest for child in built.manifests[:-1]]


def valid(image: BuiltImage) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((image.path / "index.json").read_bytes())
    return document


def with_entry(**members: Any) -> Callable[[BuiltImage], bytes]:
    def change(image: BuiltImage) -> bytes:
        document = valid(image)
        document["manifests"][0].update(members)
        return json.dumps(document).encode()

    return change


def with_member(**members: Any) -> Callable[[BuiltImage], bytes]:
    return lambda image: json.dumps({**valid(image), **members}).encode()


BAD_INDEXES: dict[str, Callable[[BuiltImage], bytes]] = {
    "empty file": lambda _: b"",
    "not JSON": lambda _: b"{",
    "a list": lambda _: b"[]",
    "not UTF-8": lambda _: b'{"schemaVersion": 2, "manifests": [], "x": "\xff"}',
    "a BOM": lambda image: b"\xef\xbb\xbf" + json.dumps(valid(image)).encode(),
    "UTF-16": lambda image: json.dumps(valid(image)).encode("utf-16"),
    "two documents": lambda image: json.dumps(valid(image)).encode() * 2,
    "a key twice": lambda image: json.dumps(valid(image)).encode()[:-1] + b', "manifests": []}',
    "nested too deep": lambda _: b'{"manifests": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "five MiB": lambda image: json.dumps({**valid(image), "x": " " * 5 * 1024 * 1024}).encode(),
    "a huge number": lambda _: b'{"schemaVersion": ' + b"9" * 1_000_000 + b', "manifests": []}',
    "no manifests": lambda _: b'{"schemaVersion": 2}',
    "manifests null": with_member(manifests=None),
    "schema version 1": with_member(schemaVersion=1),
    "schema version text": with_member(schemaVersion="2"),
    "an image's media type": with_member(mediaType=OCI_MANIFEST),
    "a digest that is a path": with_entry(digest="sha256:../../../../etc/passwd"),
    "an absolute digest": with_entry(digest="/etc/passwd"),
    "an empty digest": with_entry(digest=""),
    "an unknown algorithm": with_entry(digest="md5:" + "a" * 32),
    "a negative size": with_entry(size=-1),
    "a size of 2^63": with_entry(size=2**63),
    "a float size": with_entry(size=1.5),
    "a size as text": with_entry(size="557"),
    "no size": with_entry(size=None),
    "annotations a list": with_entry(annotations=["v1"]),
    "an annotation a number": with_entry(annotations={REF_NAME: 1}),
}


@pytest.mark.parametrize("case", BAD_INDEXES)
async def test_an_index_that_cannot_be_used_is_refused_in_one_line(layout: ImageBuilder, case: str) -> None:
    image = layout.image()
    (image.path / "index.json").write_bytes(BAD_INDEXES[case](image))

    with pytest.raises(InvalidLayout, match=r"index\.json") as caught:
        await LayoutSource(image.path).resolve(None)

    message = str(caught.value)
    assert caught.value.side == "source"
    assert str(image.path) in message
    assert "\n" not in message
    assert len(message) < 1000


async def test_an_index_without_a_media_type_is_taken(layout: ImageBuilder) -> None:
    root = layout.image().root

    assert await write_index(layout.path, [root]).resolve(None) == root
    assert await write_index(layout.path, [root], mediaType=OCI_INDEX).resolve(None) == root


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b'{"imageLayoutVersion": "2.0.0"}',
        b'{"imageLayoutVersion": 1}',
        b'{"imageLayoutVersion": ""}',
        b'{"imageLayoutVersion": "1.0.0", "imageLayoutVersion": "1.0.0"}',
    ],
)
async def test_a_layout_of_another_version_is_refused(layout: ImageBuilder, content: bytes) -> None:
    layout.image()
    (layout.path / "oci-layout").write_bytes(content)

    with pytest.raises(InvalidLayout, match="oci-layout"):
        await LayoutSource(layout.path).resolve(None)


async def test_a_name_with_control_characters_is_shown_harmless(layout: ImageBuilder) -> None:
    entry = named(layout.image().root, ref="v1\n\x1b[31mred\r")

    with pytest.raises(InvalidLayout) as caught:
        await write_index(layout.path, [entry]).resolve("v2")

    assert str(caught.value).isprintable()


async def test_a_manifest_larger_than_any_registry_takes_is_refused_unread(layout: ImageBuilder) -> None:
    huge = Descriptor(media_type=OCI_MANIFEST, digest=Digest(DIGEST), size=2**40)

    with pytest.raises(ValueError, match="more than 4194304"):
        await LayoutSource(layout.path).manifest(huge)
