"""index.json after a manifest was stored: tables of before and after."""

import json
from typing import Any

import pytest

from transfer.local.layout.index import EMPTY_INDEX, LAYOUT_DOCUMENT, check_layout, read_entries, with_manifest
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest
from transfer.testing.images import REF_NAME, encode

SIZE = 10


def descriptor(name: str, media_type: str = OCI_MANIFEST, **members: Any) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(name.encode()), size=SIZE, **members)


def image(name: str, **members: Any) -> Manifest:
    return Manifest(descriptor(name, **members), b"", config=descriptor("config", OCI_CONFIG))


def index_of(name: str, *children: str) -> Manifest:
    return Manifest(descriptor(name, OCI_INDEX), b"", manifests=tuple(map(descriptor, children)))


def names(raw: bytes) -> list[tuple[str, str]]:
    """The content's own name, and its tag, of each entry."""
    known = {Digest.of(name.encode()): name for name in ("a", "b", "c", "x")}
    return [(known[entry.digest], entry.name) for entry in read_entries(raw)]


def after(*steps: tuple[Manifest, str | None]) -> bytes:
    raw = EMPTY_INDEX
    for manifest, tag in steps:
        raw = with_manifest(raw, manifest, tag)
    return raw


A, B, X = image("a"), image("b"), index_of("x", "a", "b")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], []),
        ([(A, "v1")], [("a", "v1")]),
        ([(A, "v1"), (A, "v1")], [("a", "v1")]),
        ([(A, "v1"), (B, "v2")], [("a", "v1"), ("b", "v2")]),
        ([(A, "v1"), (A, "v2")], [("a", "v1"), ("a", "v2")]),
        ([(A, "v1"), (B, "v1")], [("b", "v1")]),
        ([(A, "v1"), (A, "v2"), (B, "v1")], [("a", "v2"), ("b", "v1")]),
        ([(A, None)], [("a", "")]),
        ([(A, None), (A, None)], [("a", "")]),
        ([(A, None), (B, None)], [("a", ""), ("b", "")]),
        ([(A, None), (A, "v1")], [("a", "v1")]),
        ([(A, "v1"), (A, None)], [("a", "v1")]),
        ([(A, None), (B, None), (X, "v1")], [("x", "v1")]),
        ([(A, None), (B, None), (X, None)], [("x", "")]),
        ([(A, "v1"), (B, None), (X, "v2")], [("a", "v1"), ("x", "v2")]),
        ([(image("c"), None), (A, None), (X, "v1")], [("c", ""), ("x", "v1")]),
    ],
)
def test_entries_after_manifests_were_stored(
    steps: list[tuple[Manifest, str | None]], expected: list[tuple[str, str]]
) -> None:
    assert names(after(*steps)) == expected


def test_everything_else_in_the_index_stays_as_it_was() -> None:
    other = {"mediaType": "application/x", "digest": Digest.of(b"b"), "size": 1, "data": "eA==", "new": {"x": [1]}}
    before = {"schemaVersion": 2, "manifests": [other], "annotations": {"x": "y"}, "new": True}

    found = json.loads(with_manifest(encode(before), A, "v1"))

    assert found["manifests"].pop() == {
        "mediaType": OCI_MANIFEST,
        "digest": A.digest,
        "size": SIZE,
        "annotations": {REF_NAME: "v1"},
    }
    assert found == json.loads(encode(before))


def test_an_entry_says_what_the_content_is_and_forgets_what_the_source_called_it() -> None:
    platform = Platform(os="linux", architecture="arm64", variant="v8")
    source = {REF_NAME: "old", "io.containerd.image.name": "docker.io/library/old:old"}
    manifest = image("a", platform=platform, annotations=source, artifact_type="application/x", urls=("http://x",))

    entry = json.loads(after((manifest, "v1")))["manifests"][0]

    assert entry["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}
    assert entry["annotations"] == {REF_NAME: "v1"}
    assert entry["artifactType"] == "application/x"
    assert "urls" not in entry


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"schemaVersion": 1, "manifests": []}', b'{"schemaVersion": 2}'])
def test_an_index_that_cannot_be_read_is_not_changed(raw: bytes) -> None:
    with pytest.raises(DocumentError):
        with_manifest(raw, A, "v1")


def test_an_index_does_not_grow_beyond_what_can_be_read() -> None:
    full = json.dumps({"schemaVersion": 2, "manifests": [], "x": "x" * (MAX_DOCUMENT_BYTES - 100)}).encode()

    with pytest.raises(DocumentError, match="1 entries"):
        with_manifest(full, A, "v1")


def test_the_layout_document_is_one() -> None:
    check_layout(LAYOUT_DOCUMENT)
