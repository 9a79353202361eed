"""Sources and targets in memory: what they count, and what they refuse beyond the contract."""

import json

import pytest
from msgspec.structs import replace

from transfer.engine.protocols import BlobContext
from transfer.errors import BlobUnknown, ContentMismatch, InvalidManifest, NotFound
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.manifest import parse_manifest
from transfer.testing.images import BuiltImage, ImageBuilder
from transfer.testing.memory import MemorySource, MemoryTarget


def context(blob: Descriptor) -> BlobContext:
    return BlobContext(blob, lambda _: None)


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image()


@pytest.mark.parametrize("content", [b"other bytes of the same size", b""])
async def test_a_source_that_sends_other_bytes_leaves_nothing_at_the_target(content: bytes) -> None:
    source, target = MemorySource(), MemoryTarget()
    blob = source.add_blob(b"these bytes, twenty-eight ..", OCI_LAYER_GZIP)
    source.blobs[blob.digest] = content

    with pytest.raises(ContentMismatch, match=blob.digest) as caught:
        await target.push_blob(context(blob), source)

    assert caught.value.side == "source"
    assert target.blobs == {}


async def test_a_refused_manifest_names_all_that_is_missing(image: BuiltImage) -> None:
    target = MemoryTarget("registry.example/app")

    with pytest.raises(BlobUnknown, match=r"registry\.example/app") as caught:
        await target.push_manifest(parse_manifest(image.content(image.root)), tag="v1")

    assert caught.value.code == "MANIFEST_BLOB_UNKNOWN"
    assert caught.value.details["missing"] == tuple(blob.digest for blob in image.blobs)


async def test_a_manifest_that_was_encoded_again_is_refused(image: BuiltImage) -> None:
    manifest = parse_manifest(image.content(image.root))
    target = MemoryTarget()
    target.blobs = {blob.digest: image.content(blob) for blob in image.blobs}
    again = json.dumps(json.loads(manifest.raw), indent=1).encode()

    with pytest.raises(InvalidManifest):
        await target.push_manifest(replace(manifest, raw=again), tag="v1")

    assert (target.manifests, target.tags) == ({}, {})


async def test_no_reference_is_refused_where_several_images_are_tagged(layout: ImageBuilder) -> None:
    source = MemorySource()
    for number in range(2):
        image = layout.image(seed=number)
        source.add_manifest(image.content(image.root), tag=f"v{number}")

    with pytest.raises(NotFound, match="2 images are tagged"):
        await source.resolve(None)


async def test_both_ends_count_their_calls(image: BuiltImage) -> None:
    source, target = MemorySource(), MemoryTarget()
    for blob in image.blobs:
        source.add_blob(image.content(blob), blob.media_type)
        await target.missing([blob])
        await target.push_blob(context(blob), source)
    root = source.add_manifest(image.content(image.root), tag="v1")
    await target.push_manifest(await source.manifest(await source.resolve("v1")), tag="v1")
    await target.present([root], tag="v1")
    await target.check_tag("v1", root.digest, root.digest)

    blobs = len(image.blobs)
    assert source.calls == {"open_blob": blobs, "manifest": 1, "resolve": 1}
    assert target.calls == {"missing": blobs, "push_blob": blobs, "push_manifest": 1, "present": 1, "check_tag": 1}
