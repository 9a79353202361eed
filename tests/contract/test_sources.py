"""What every Source does, whatever holds the content."""

import gzip
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from random import Random

import msgspec
import pytest
import pytest_asyncio

from tests.support.archives import Saved, docker_archive, expected_image, layer_content, tar_of_folder
from tests.support.distribution_ends import SERVER_LOGIN, opened
from transfer import Server
from transfer.engine.protocols import BlobContext, Source
from transfer.errors import ContentMismatch, InvalidManifest, TransferError
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.registry.oci.source import DistributionSource
from transfer.testing.images import ARTIFACT, BuiltImage, ImageBuilder
from transfer.testing.memory import MemorySource

MIB = 1024 * 1024
# Stands for the size of the large blob, which is more than MIB + 1 everywhere.
END = 1 << 40
UNKNOWN = Digest("sha256:" + "0" * 64)


@dataclass(frozen=True, slots=True)
class Held:
    """
    A source, and what it holds.

    Attributes:
        image: under the tag `v1`.
        name: what the end calls that tag.
        referrer: what refers to the image; None where the end knows no such thing.
    """

    source: Source
    image: BuiltImage
    referrer: BuiltImage | None
    name: str = "v1"


Opened = AbstractAsyncContextManager[Held]


def built(layout: ImageBuilder) -> tuple[BuiltImage, BuiltImage]:
    """An image, and one that refers to it."""
    image = layout.index(sizes=(MIB + 5, 0, 1))
    return image, layout.referrer(image.root, annotations={"by": "me"})


@asynccontextmanager
async def in_layout(layout: ImageBuilder) -> AsyncIterator[Held]:
    image, referrer = built(layout)
    yield Held(LayoutSource(image.path), image, referrer)


@asynccontextmanager
async def in_memory(layout: ImageBuilder) -> AsyncIterator[Held]:
    (image, referrer), source = built(layout), MemorySource()
    for blob in (*image.blobs, *referrer.blobs):
        source.add_blob(image.content(blob), blob.media_type)
    for manifest in (*image.manifests, *referrer.manifests):
        source.add_manifest(image.content(manifest), tag=image.tag if manifest == image.root else None)
    yield Held(source, image, referrer)


@asynccontextmanager
async def in_oci_archive(layout: ImageBuilder) -> AsyncIterator[Held]:
    (image, referrer), path = built(layout), layout.path.with_name("oci.tar")
    path.write_bytes(tar_of_folder(layout.path))
    async with OciArchiveSource(path) as source:
        yield Held(source, image, referrer)


@asynccontextmanager
async def in_gzipped_oci_archive(layout: ImageBuilder) -> AsyncIterator[Held]:
    (image, referrer), path = built(layout), layout.path.with_name("oci.tar.gz")
    path.write_bytes(gzip.compress(tar_of_folder(layout.path), compresslevel=1))
    async with OciArchiveSource(path) as source:
        yield Held(source, image, referrer)


@asynccontextmanager
async def in_docker_archive(layout: ImageBuilder) -> AsyncIterator[Held]:
    saved = Saved(layers=[Random(0).randbytes(MIB + 5), layer_content(1000)])
    path = layout.path.with_name("docker.tar")
    path.write_bytes(docker_archive(saved))
    async with DockerArchiveSource(path) as source:
        await source.resolve(None)
        yield Held(source, expected_image(layout, saved), None, name="app:v1")


@asynccontextmanager
async def in_new_docker_archive(layout: ImageBuilder) -> AsyncIterator[Held]:
    """Of a docker that keeps compressed layers: an OCI layout with a manifest.json beside."""
    (image, referrer), path = built(layout), layout.path.with_name("docker.tar")
    (layout.path / "manifest.json").write_bytes(b"[]")
    path.write_bytes(tar_of_folder(layout.path))
    async with DockerArchiveSource(path) as source:
        yield Held(source, image, referrer)


@asynccontextmanager
async def in_registry(layout: ImageBuilder) -> AsyncIterator[Held]:
    image, referrer = built(layout)
    async with Server() as server, opened(server.url.removeprefix("http://"), logins=SERVER_LOGIN) as registry:
        local, target = LayoutSource(image.path), registry.target("team/app")
        for blob in (*image.blobs, *referrer.blobs):
            await target.push_blob(BlobContext(blob, lambda _: None), local)
        for one in (*image.manifests, *referrer.manifests):
            await target.push_manifest(await local.manifest(one), tag=image.tag if one == image.root else None)
        yield Held(registry.source("team/app"), image, referrer)


ENDS: list[Callable[[ImageBuilder], Opened]] = [
    *(in_layout, in_memory, in_oci_archive, in_gzipped_oci_archive, in_docker_archive, in_new_docker_archive),
    in_registry,
]


@pytest_asyncio.fixture(params=ENDS, ids=lambda end: end.__name__)
async def held(request: pytest.FixtureRequest, layout: ImageBuilder) -> AsyncIterator[Held]:
    """The end under test; a new kind of source is one more function in ENDS."""
    async with request.param(layout) as found:
        yield found


@pytest.fixture
def source(held: Held) -> Source:
    return held.source


@pytest.fixture
def image(held: Held) -> BuiltImage:
    return held.image


@pytest.fixture
def large(image: BuiltImage) -> Descriptor:
    return max(image.blobs, key=lambda blob: blob.size)


def unknown(size: int = 3) -> Descriptor:
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=UNKNOWN, size=size)


async def read(source: Source, blob: Descriptor, offset: int = 0, end: int | None = None) -> bytes:
    async with source.open_blob(blob, offset=offset, end=end) as pieces:
        return b"".join([piece async for piece in pieces])


def in_blob(blob: Descriptor, place: int | None) -> int | None:
    return place if place is None or place < END // 2 else place - END + blob.size


@pytest.mark.parametrize("by", ["tag", "digest", "nothing"])
async def test_the_only_image_is_found_by_tag_by_digest_and_by_nothing(
    source: Source, image: BuiltImage, by: str
) -> None:
    reference = {"tag": image.tag, "digest": str(image.root.digest), "nothing": None}[by]

    found = await source.resolve(reference)

    assert (found.digest, found.size, found.media_type) == (image.root.digest, image.root.size, image.root.media_type)


@pytest.mark.parametrize("reference", ["v2", str(UNKNOWN), "sha256:1", "", "../v1"])
async def test_an_unknown_reference_is_an_error_of_the_source_that_names_it(source: Source, reference: str) -> None:
    with pytest.raises(TransferError) as caught:
        await source.resolve(reference)

    assert caught.value.side == "source"
    assert repr(reference) in str(caught.value)


async def test_manifests_come_byte_for_byte(source: Source, image: BuiltImage) -> None:
    for descriptor in image.manifests:
        manifest = await source.manifest(descriptor)

        assert manifest.raw == image.content(descriptor)
        assert manifest.descriptor == descriptor


async def test_an_unknown_manifest_is_an_error_of_the_source_that_names_it(source: Source, image: BuiltImage) -> None:
    with pytest.raises(TransferError, match=UNKNOWN.encoded) as caught:
        await source.manifest(msgspec.structs.replace(image.root, digest=UNKNOWN))

    assert caught.value.side == "source"


async def test_a_manifest_of_another_media_type_than_its_descriptor_is_refused(
    source: Source, image: BuiltImage
) -> None:
    other = OCI_MANIFEST if image.root.is_index else OCI_INDEX

    with pytest.raises(InvalidManifest, match="declared as") as caught:
        await source.manifest(msgspec.structs.replace(image.root, media_type=other))

    assert caught.value.side == "source"


async def test_every_blob_is_read_whole(source: Source, image: BuiltImage) -> None:
    for blob in image.blobs:
        assert blob.digest.encoded == hashlib.sha256(await read(source, blob)).hexdigest()


@pytest.mark.parametrize(
    ("offset", "end"),
    [
        *((0, 0), (0, 1), (1, 1), (7, 9), (0, MIB), (MIB - 1, MIB + 1), (MIB, END), (0, END)),
        *((5, None), (MIB, None), (END - 1, None), (END, None), (END, END)),
    ],
)
async def test_a_blob_is_read_from_any_offset_to_any_end(
    source: Source, image: BuiltImage, large: Descriptor, offset: int, end: int | None
) -> None:
    first, last = in_blob(large, offset), in_blob(large, end)

    assert await read(source, large, first or 0, last) == image.content(large)[first:last]


@pytest.mark.parametrize(("offset", "end"), [(-1, None), (0, END + 1), (END + 1, None), (5, 4), (0, -1)])
async def test_a_range_outside_the_blob_is_a_mistake_of_the_caller(
    source: Source, large: Descriptor, offset: int, end: int | None
) -> None:
    with pytest.raises(ValueError, match="not inside a blob"):
        await read(source, large, in_blob(large, offset) or 0, in_blob(large, end))


async def test_pieces_are_never_empty_nor_larger_than_a_mebibyte(source: Source, large: Descriptor) -> None:
    async with source.open_blob(large) as pieces:
        sizes = [len(piece) async for piece in pieces]

    assert all(0 < size <= MIB for size in sizes)
    assert sum(sizes) == large.size


async def test_a_reader_may_leave_in_the_middle_and_read_again(
    source: Source, image: BuiltImage, large: Descriptor
) -> None:
    async with source.open_blob(large) as pieces:
        first = await anext(pieces)

    assert image.content(large).startswith(first)
    assert await read(source, large) == image.content(large)


async def test_two_readers_of_one_blob_do_not_disturb_each_other(
    source: Source, image: BuiltImage, large: Descriptor
) -> None:
    found = bytearray(), bytearray()
    async with source.open_blob(large) as left, source.open_blob(large, offset=1) as right:
        while len(found[0]) + len(found[1]) < 2 * large.size - 1:
            found[0].extend(await anext(left, b""))
            found[1].extend(await anext(right, b""))

    assert [bytes(one) for one in found] == [image.content(large), image.content(large)[1:]]


async def test_an_unknown_blob_is_an_error_of_the_source_that_names_it(source: Source) -> None:
    with pytest.raises(TransferError, match=UNKNOWN.encoded) as caught:
        await read(source, unknown())

    assert caught.value.side == "source"


@pytest.mark.parametrize("difference", [-1, 1, 2**62])
async def test_a_blob_of_another_size_is_refused_before_a_byte_is_read(
    source: Source, large: Descriptor, difference: int
) -> None:
    wrong = msgspec.structs.replace(large, size=large.size + difference)

    with pytest.raises(ContentMismatch, match=large.digest.encoded) as caught:
        async with source.open_blob(wrong):
            pytest.fail("opened")

    assert caught.value.side == "source"


async def test_a_file_holds_what_is_streamed_and_is_absent_only_where_there_are_no_files(
    source: Source, large: Descriptor
) -> None:
    content = await read(source, large)
    file = source.open_file(large)

    assert (file is None) == isinstance(source, MemorySource | DistributionSource)
    with file or io.BytesIO(content) as opened:
        assert opened.read() == content
        assert opened.seek(17) == 17
        assert opened.read(5) == content[17:22]


async def test_the_place_of_a_blob_names_its_digest(source: Source, large: Descriptor) -> None:
    assert large.digest.encoded in source.locate(large)


async def test_what_refers_to_a_manifest_is_found_with_its_type_and_annotations(held: Held) -> None:
    found = await held.source.referrers(held.image.root)

    expected = [
        msgspec.structs.replace(one.root, artifact_type=ARTIFACT, annotations={"by": "me"})
        for one in (held.referrer,)
        if one is not None
    ]
    assert list(found) == expected


async def test_what_was_found_to_refer_is_read_as_any_image(held: Held) -> None:
    for found in await held.source.referrers(held.image.root):
        manifest = await held.source.manifest(found)

        assert manifest.subject is not None
        assert manifest.subject.digest == held.image.root.digest
        for blob in manifest.blobs:
            assert blob.digest.encoded == hashlib.sha256(await read(held.source, blob)).hexdigest()


async def test_nothing_refers_to_what_is_not_there_nor_to_what_nobody_signed(held: Held) -> None:
    alone = held.referrer.root if held.referrer else held.image.root

    assert list(await held.source.referrers(alone)) == []
    assert list(await held.source.referrers(msgspec.structs.replace(alone, digest=UNKNOWN))) == []


async def test_every_tag_is_listed_and_can_be_resolved(held: Held) -> None:
    tags = [tag async for tag in held.source.tags()]

    assert tags == [held.name]
    assert (await held.source.resolve(tags[0])).digest == held.image.root.digest
