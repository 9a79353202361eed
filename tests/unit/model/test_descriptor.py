"""Descriptors: members that must be there, sizes that must fit, media types and what follows from them."""

import json
import pickle
from typing import Any

import msgspec
import pytest

from transfer.model.descriptor import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Platform,
)
from transfer.model.digest import Digest
from transfer.model.document import DocumentError, convert, load

PLAIN: dict[str, Any] = {"mediaType": OCI_LAYER_GZIP, "digest": "sha256:" + "a" * 64, "size": 10}


def read(**members: Any) -> Descriptor:
    return convert(load(json.dumps({**PLAIN, **members}).encode()), Descriptor)


def test_a_descriptor_has_a_checked_digest() -> None:
    descriptor = read()

    assert type(descriptor.digest) is Digest
    assert (descriptor.media_type, descriptor.digest, descriptor.size) == tuple(PLAIN.values())


@pytest.mark.parametrize("size", [0, 1, 2**40, 2**63 - 1])
def test_a_size_may_be_anything_from_nothing_to_the_largest_int64(size: int) -> None:
    assert read(size=size).size == size


@pytest.mark.parametrize(
    "size",
    [-1, -(2**63), 2**63, 2**64, 10**400, 1.0, 1.5, 1e300, "10", "", True, None, [], {}, [10]],
    ids=lambda size: repr(size)[:20],
)
def test_any_other_size_is_refused(size: object) -> None:
    with pytest.raises(DocumentError, match=r"\$\.size"):
        read(size=size)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:abc",
        "sha256:../../x",
        "md5:" + "a" * 32,
        "sha256:" + "A" * 64,
        5,
        1.5,
        None,
        True,
        [],
        {},
        ["sha256"],
    ],
    ids=repr,
)
def test_a_digest_outside_its_grammar_is_refused(digest: object) -> None:
    with pytest.raises(DocumentError, match=r"\$\.digest"):
        read(digest=digest)


@pytest.mark.parametrize("name", PLAIN)
def test_media_type_digest_and_size_must_be_there(name: str) -> None:
    with pytest.raises(DocumentError, match=name):
        convert({key: value for key, value in PLAIN.items() if key != name}, Descriptor)


@pytest.mark.parametrize(
    "members",
    [
        {"mediaType": 1},
        {"mediaType": None},
        {"annotations": {"a": 1}},
        {"annotations": []},
        {"platform": "linux/amd64"},
        {"platform": {"os": "linux"}},
        {"urls": "https://example.invalid"},
        {"urls": [1]},
    ],
    ids=repr,
)
def test_a_member_of_the_wrong_type_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match=r"\$\."):
        read(**members)


def test_members_that_nobody_knows_are_passed_over() -> None:
    assert read(data="e30=", unknown={"a": [1]}) == read()


@pytest.mark.parametrize(
    ("media_type", "is_manifest", "is_index", "is_foreign"),
    [
        (OCI_MANIFEST, True, False, False),
        (DOCKER_MANIFEST, True, False, False),
        (OCI_INDEX, True, True, False),
        (DOCKER_INDEX, True, True, False),
        (OCI_CONFIG, False, False, False),
        (OCI_LAYER_GZIP, False, False, False),
        (OCI_MANIFEST.upper(), False, False, False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", False, False, True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", False, False, True),
    ],
)
def test_the_media_type_says_what_content_is(
    media_type: str, is_manifest: bool, is_index: bool, is_foreign: bool
) -> None:
    descriptor = read(mediaType=media_type)

    assert (descriptor.is_manifest, descriptor.is_index, descriptor.is_foreign) == (is_manifest, is_index, is_foreign)


def test_a_platform_is_shown_as_people_write_it() -> None:
    platform = read(platform={"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"}).platform

    assert platform == Platform(os="linux", architecture="arm", variant="v7", os_version="1")
    assert str(platform) == "linux/arm/v7"


def test_a_descriptor_is_named_by_its_annotation() -> None:
    assert read(annotations={"org.opencontainers.image.ref.name": "v1"}).name == "v1"
    assert read(annotations={}).name == read().name == ""


def test_descriptors_are_values() -> None:
    annotated = read(annotations={"a": "b"})

    assert {annotated, read(annotations={"a": "b"})} == {annotated}
    assert annotated != read()
    assert pickle.loads(pickle.dumps(annotated)) == annotated


def test_a_descriptor_is_written_as_it_was_read() -> None:
    members = {**PLAIN, "annotations": {"a": "b"}, "urls": ["https://example.invalid"], "artifactType": "x/y"}

    assert json.loads(msgspec.json.encode(read(**members), enc_hook=str)) == members
