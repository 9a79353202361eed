"""Manifests: exactly one meaning, exactly the bytes that the descriptor names."""

import json
from typing import Any

import msgspec
import pytest

from transfer.errors import InvalidManifest
from transfer.model.descriptor import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)
from transfer.model.digest import Digest
from transfer.model.manifest import MAX_ENTRIES, as_referrer, parse_manifest


def entry(text: str, media_type: str = OCI_LAYER_GZIP, size: int = 10) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": Digest.of(text.encode()), "size": size}


CONFIG = entry("config", OCI_CONFIG)
LAYERS = [entry("one"), entry("two")]
CHILDREN = [entry("child", OCI_MANIFEST)]
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": LAYERS}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": CHILDREN}


def raw(document: dict[str, Any], **members: Any) -> bytes:
    changed = {**document, **members}
    return json.dumps({key: value for key, value in changed.items() if value is not ...}).encode()


def described(content: bytes, media_type: str = OCI_MANIFEST, algorithm: str = "sha256") -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(content, algorithm), size=len(content))


def test_an_image_has_a_config_and_layers_and_the_bytes_it_came_as() -> None:
    content = json.dumps(IMAGE, indent=7).encode() + b"\n\n"

    manifest = parse_manifest(content)

    assert manifest.raw is content
    assert (manifest.digest, manifest.descriptor.size) == (Digest.of(content), len(content))
    assert [blob.digest for blob in manifest.blobs] == [CONFIG["digest"], *(layer["digest"] for layer in LAYERS)]
    assert manifest.manifests == ()


def test_an_index_has_children_and_no_blobs() -> None:
    manifest = parse_manifest(raw(INDEX))

    assert [child.digest for child in manifest.manifests] == [CHILDREN[0]["digest"]]
    assert (manifest.config, manifest.layers, manifest.blobs) == (None, (), ())


@pytest.mark.parametrize(
    ("document", "media_type"),
    [(IMAGE, OCI_MANIFEST), (IMAGE, DOCKER_MANIFEST), (INDEX, OCI_INDEX), (INDEX, DOCKER_INDEX)],
)
def test_the_media_type_is_taken_from_the_document_or_from_what_it_was_declared_as(
    document: dict[str, Any], media_type: str
) -> None:
    assert parse_manifest(raw(document, mediaType=media_type)).media_type == media_type
    assert parse_manifest(raw(document, mediaType=...), media_type=media_type).media_type == media_type
    silent = raw(document, mediaType=...)
    assert parse_manifest(silent, described(silent, media_type)).media_type == media_type


@pytest.mark.parametrize(("document", "media_type"), [(IMAGE, OCI_MANIFEST), (INDEX, OCI_INDEX)])
def test_a_document_that_nothing_names_is_taken_by_what_it_holds(document: dict[str, Any], media_type: str) -> None:
    assert parse_manifest(raw(document, mediaType=...)).media_type == media_type


def test_layers_that_are_null_are_none_as_in_an_image_from_scratch() -> None:
    manifest = parse_manifest(raw(IMAGE, layers=None))
    assert (manifest.layers, len(manifest.blobs)) == ((), 1)


def test_a_layer_named_twice_is_one_blob_and_two_layers() -> None:
    manifest = parse_manifest(raw(IMAGE, layers=[LAYERS[0], LAYERS[0]]))

    assert len(manifest.layers) == 2
    assert len(manifest.blobs) == 2  # the config and the layer


def test_a_foreign_layer_is_no_blob_of_the_registry() -> None:
    foreign = entry("windows", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")

    manifest = parse_manifest(raw(IMAGE, layers=[foreign, *LAYERS]))

    assert len(manifest.layers) == 3
    assert foreign["digest"] not in {blob.digest for blob in manifest.blobs}


def test_a_manifest_may_refer_to_another() -> None:
    subject = parse_manifest(raw(IMAGE, subject=CHILDREN[0])).subject

    assert subject is not None
    assert subject.digest == CHILDREN[0]["digest"]


@pytest.mark.parametrize(
    ("document", "members", "artifact_type", "annotations"),
    [
        (IMAGE, {}, CONFIG["mediaType"], None),
        (IMAGE, {"artifactType": "application/x", "annotations": {"a": "b"}}, "application/x", {"a": "b"}),
        (IMAGE, {"artifactType": "", "annotations": {}}, CONFIG["mediaType"], None),
        (IMAGE, {"artifactType": 1, "annotations": {"a": 1, "b": "c"}}, CONFIG["mediaType"], {"b": "c"}),
        (IMAGE, {"annotations": ["a"]}, CONFIG["mediaType"], None),
        (INDEX, {"artifactType": "application/x"}, "application/x", None),
        (INDEX, {}, None, None),
    ],
)
def test_a_list_of_referrers_names_a_manifest_by_what_it_says_of_itself(
    document: dict[str, Any], members: dict[str, Any], artifact_type: str | None, annotations: dict[str, str] | None
) -> None:
    manifest = parse_manifest(raw(document, **members))

    shown = as_referrer(manifest)

    assert (shown.artifact_type, shown.annotations) == (artifact_type, annotations)
    assert (shown.media_type, shown.digest, shown.size) == (manifest.media_type, manifest.digest, len(manifest.raw))


AMBIGUOUS = {
    "manifests and layers": raw(INDEX, layers=LAYERS),
    "manifests and config": raw(INDEX, config=CONFIG),
    "an image with manifests": raw(IMAGE, manifests=CHILDREN),
    "an image with no manifests": raw(IMAGE, manifests=[]),
    "an index with no layers": raw(INDEX, layers=[]),
    "an image called an index": raw(IMAGE, mediaType=OCI_INDEX),
    "an index called an image": raw(INDEX, mediaType=DOCKER_MANIFEST),
    "an index whose layers are null": raw(INDEX, layers=None),
    "neither": raw(IMAGE, config=..., layers=...),
    "no config": raw(IMAGE, config=...),
    "no layers": raw(IMAGE, layers=...),
    "a layer's media type": raw(IMAGE, mediaType=OCI_LAYER_GZIP),
    "schema 1": raw(IMAGE, schemaVersion=1),
    "schema as text": raw(IMAGE, schemaVersion="2"),
    "no schema": raw(IMAGE, schemaVersion=...),
    "docker schema 1": b'{"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": [], "history": []}',
    "layers twice": raw(IMAGE)[:-1] + b', "layers": []}',
    "two documents": raw(IMAGE) + raw(INDEX),
    "NaN": raw(IMAGE, x=float("nan")),
    "a BOM": b"\xef\xbb\xbf" + raw(IMAGE),
    "UTF-16": json.dumps(IMAGE).encode("utf-16"),
    "trailing data": raw(IMAGE) + b"\0",
    "one digest with two sizes": raw(IMAGE, layers=[LAYERS[0], {**LAYERS[0], "size": 11}]),
    "config and layer differ in size": raw(IMAGE, layers=[{**CONFIG, "size": 11}]),
    "a path for a digest": raw(IMAGE, layers=[{**LAYERS[0], "digest": "sha256:../../x"}]),
    "a number for a digest": raw(IMAGE, layers=[{**LAYERS[0], "digest": 1}]),
    "a size of a million digits": raw(IMAGE).replace(b'"size"', b'"size": 1' + b"0" * 1_000_000 + b', "x"', 1),
    "a size of 2**63": raw(IMAGE, layers=[{**LAYERS[0], "size": 2**63}]),
    "a size that is text": raw(IMAGE, layers=[{**LAYERS[0], "size": "10"}]),
    "a size with a fraction": raw(IMAGE, layers=[{**LAYERS[0], "size": 10.5}]),
    "a negative size": raw(IMAGE, layers=[{**LAYERS[0], "size": -1}]),
    "layers an object": raw(IMAGE, layers={"0": LAYERS[0]}),
    "a layer that is null": raw(IMAGE, layers=[None]),
    "config a list": raw(IMAGE, config=[CONFIG]),
    "too many layers": raw(IMAGE, layers=[LAYERS[0]] * (MAX_ENTRIES + 1)),
    "too many children": raw(INDEX, manifests=CHILDREN * (MAX_ENTRIES + 1)),
    "too large": raw(IMAGE, annotations={"x": "y" * 4_194_304}),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
@pytest.mark.attack("CVE-2021-41190", "CVE-2014-8179", "bad-descriptor-size", "CVE-2024-29903", "CVE-2020-10735")
def test_a_document_with_another_or_a_second_meaning_is_refused_in_one_line(case: str) -> None:
    content = AMBIGUOUS[case]

    with pytest.raises(InvalidManifest, match=Digest.of(content).encoded) as caught:
        parse_manifest(content)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_a_document_that_says_another_media_type_than_it_was_declared_as_is_refused() -> None:
    content = raw(IMAGE)

    with pytest.raises(InvalidManifest, match="declared as"):
        parse_manifest(content, media_type=DOCKER_MANIFEST)
    with pytest.raises(InvalidManifest, match="declared as"):
        parse_manifest(content, described(content, DOCKER_MANIFEST))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_is_what_its_descriptor_says(algorithm: str) -> None:
    content = raw(IMAGE)
    expected = described(content, algorithm=algorithm)

    assert parse_manifest(content, expected).descriptor is expected


@pytest.mark.parametrize(
    "changed",
    [
        {"size": len(raw(IMAGE)) + 1},
        {"size": 0},
        {"digest": Digest.of(b"another")},
        {"digest": Digest.of(raw(INDEX))},
        {"digest": Digest.of(raw(IMAGE) + b"\n")},
    ],
    ids=repr,
)
def test_a_manifest_that_is_not_what_its_descriptor_says_is_refused(changed: dict[str, Any]) -> None:
    content = raw(IMAGE)
    expected = msgspec.structs.replace(described(content), **changed)

    with pytest.raises(InvalidManifest, match=expected.digest.encoded):
        parse_manifest(content, expected)
