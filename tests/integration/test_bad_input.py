"""What is wrong with an image or its way, end to end: one line, the right exit code, nothing under the tag."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Command
from transfer.model.descriptor import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transfer.server import Server
from transfer.testing.images import BuiltImage, ImageBuilder, encode

Spoil = Callable[[ImageBuilder, BuiltImage], None]


def rewrite_index(image: BuiltImage, change: Callable[[dict[str, object]], object]) -> None:
    index = json.loads((image.path / "index.json").read_bytes())
    change(index["manifests"][0])
    (image.path / "index.json").write_text(json.dumps(index))


def list_document(layout: ImageBuilder, image: BuiltImage, media_type: str, content: bytes) -> None:
    """Put a document of any content where the image's manifest was."""
    descriptor = layout.blob(content, media_type)
    rewrite_index(image, lambda entry: entry.update(digest=descriptor.digest, size=descriptor.size))


def manifest_too_large(layout: ImageBuilder, image: BuiltImage) -> None:
    list_document(layout, image, OCI_MANIFEST, b'{"schemaVersion": 2, "x": "' + b"x" * 4_200_000 + b'"}')


def manifest_ambiguous(layout: ImageBuilder, image: BuiltImage) -> None:
    document = json.loads(image.content(image.root)) | {"manifests": []}
    list_document(layout, image, OCI_MANIFEST, json.dumps(document).encode())


def manifest_of_wrong_size(layout: ImageBuilder, image: BuiltImage) -> None:
    rewrite_index(image, lambda entry: entry.update(size=image.root.size + 1))


def manifest_of_wrong_media_type(layout: ImageBuilder, image: BuiltImage) -> None:
    rewrite_index(image, lambda entry: entry.update(mediaType=OCI_INDEX))


def manifest_of_unknown_media_type(layout: ImageBuilder, image: BuiltImage) -> None:
    rewrite_index(image, lambda entry: entry.update(mediaType="text/html"))


def manifest_that_is_no_json(layout: ImageBuilder, image: BuiltImage) -> None:
    list_document(layout, image, OCI_MANIFEST, b"<html>")


def layer_digest_that_is_a_path(layout: ImageBuilder, image: BuiltImage) -> None:
    document = json.loads(image.content(image.root))
    document["layers"][0]["digest"] = "sha256:../../../etc/passwd"
    list_document(layout, image, OCI_MANIFEST, encode(document))


def layer_missing(layout: ImageBuilder, image: BuiltImage) -> None:
    image.file(image.blobs[-1]).unlink()


def layer_that_links_out(layout: ImageBuilder, image: BuiltImage) -> None:
    blob = image.file(image.blobs[-1])
    outside = image.path.parent / "outside"
    outside.write_bytes(b"x" * blob.stat().st_size)
    blob.unlink()
    blob.symlink_to(outside)


def layer_that_is_cut(layout: ImageBuilder, image: BuiltImage) -> None:
    blob = image.file(image.blobs[-1])
    blob.write_bytes(blob.read_bytes()[:-1])


def layer_with_other_content(layout: ImageBuilder, image: BuiltImage) -> None:
    blob = image.file(image.blobs[-1])
    blob.write_bytes(bytes(len(blob.read_bytes())))


def index_that_is_no_json(layout: ImageBuilder, image: BuiltImage) -> None:
    (image.path / "index.json").write_text("{")


def layout_of_another_version(layout: ImageBuilder, image: BuiltImage) -> None:
    (image.path / "oci-layout").write_text('{"imageLayoutVersion": "9.0.0"}')


def layout_file_missing(layout: ImageBuilder, image: BuiltImage) -> None:
    (image.path / "oci-layout").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (manifest_too_large, 2, "more than 4194304"),
        (manifest_ambiguous, 2, "ambiguous"),
        (manifest_of_wrong_size, 1, "bytes"),
        (manifest_of_wrong_media_type, 2, "was declared as"),
        (manifest_of_unknown_media_type, 2, "text/html"),
        (manifest_that_is_no_json, 2, "not JSON"),
        (layer_digest_that_is_a_path, 2, "expected sha256:<64 hex digits>"),
        (layer_missing, 1, "is missing"),
        (layer_that_links_out, 2, "symbolic link"),
        (layer_that_is_cut, 1, "bytes"),
        (layer_with_other_content, 1, "its content has digest"),
        (index_that_is_no_json, 2, "index.json"),
        (layout_of_another_version, 2, "9.0.0"),
        (layout_file_missing, 2, "oci-layout"),
    ],
)
def test_a_spoiled_image_is_refused_in_one_line(  # noqa: PLR0917  # a table of values and its fixtures
    spoil: Spoil, code: int, named: str, app: str, registry: Server, command: Command, layout: ImageBuilder
) -> None:
    image = layout.image()
    spoil(layout, image)
    ended = command("push", "--quiet", image.source, f"{app}:v1")
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert ended.err.startswith("transfer: ")
    assert len(ended.err.splitlines()) == 1
    assert named in ended.err
    assert registry.requests.count("PutImage") == 0


def test_an_endpoint_that_nobody_listens_at_is_named(
    command: Command, layout: ImageBuilder, monkeypatch: pytest.MonkeyPatch, app: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:9")
    ended = command("push", "--quiet", layout.image().source, f"{app}:v1")
    assert ended.code == 1
    assert "127.0.0.1:9: no connection" in ended.err.splitlines()[0]


def test_a_layer_that_is_no_regular_file_does_not_hang(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image(layers=[layout.blob(b"x", OCI_LAYER_GZIP)])
    Path(image.file(image.blobs[1])).unlink()
    image.file(image.blobs[1]).mkdir()
    ended = command("push", "--quiet", image.source, f"{app}:v1")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
