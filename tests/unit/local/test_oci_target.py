"""An OCI archive as a target: many images in one file, one writer at a time, nothing visible that is not whole."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from tests.support.archives import tar_of_files, tar_of_folder
from transfer.engine.protocols import BlobContext
from transfer.errors import BlobUnknown, ContentMismatch, InvalidLayout
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.local.archive.tar import index_tar
from transfer.local.archive.target import OciArchiveTarget
from transfer.local.layout.source import LayoutSource
from transfer.testing.images import BuiltImage, ImageBuilder

SIZES = (1000, 1_500_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images.tar"


async def push(image: BuiltImage, target: OciArchiveTarget, *, tag: str | None) -> None:
    source = LayoutSource(image.path)
    async with asyncio.TaskGroup() as group:
        for blob in image.blobs:
            group.create_task(target.push_blob(BlobContext(blob, lambda _: None), source))
    for descriptor in image.manifests:
        await target.push_manifest(await source.manifest(descriptor), tag=tag if descriptor == image.root else None)


async def archived(path: Path, reference: str | None) -> dict[str, bytes]:
    """All content of an image in the archive, by digest."""
    async with OciArchiveSource(path) as source:
        found: dict[str, bytes] = {}
        waiting = [await source.resolve(reference)]
        while waiting:
            manifest = await source.manifest(waiting.pop())
            found[manifest.digest] = manifest.raw
            waiting += manifest.manifests
            for blob in manifest.blobs:
                async with source.open_blob(blob) as pieces:
                    found[blob.digest] = b"".join([piece async for piece in pieces])
        return found


def content(image: BuiltImage) -> dict[str, bytes]:
    return {one.digest: image.content(one) for one in (*image.manifests, *image.blobs)}


def names(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [name for name in index_tar(file).members if not name.startswith(".padding/")]


async def test_an_archive_appears_with_its_first_image(path: Path, layout: ImageBuilder) -> None:
    image = layout.index(sizes=SIZES)
    async with OciArchiveTarget(path) as target:
        assert not path.exists()
        await push(image, target, tag="v1")
        assert await archived(path, "v1") == content(image)

    assert await archived(path, None) == content(image)
    assert list(path.parent.glob(".*.part")) == []


async def test_images_are_appended_and_each_blob_is_there_once(path: Path, layout: ImageBuilder) -> None:
    shared = layout.layer(2000, seed=99)
    images = [layout.image(SIZES, seed=number, tag=f"v{number}", layers=(shared,)) for number in range(3)]
    for image in images:
        async with OciArchiveTarget(path) as target:
            await push(image, target, tag=image.tag)

    assert [await archived(path, image.tag) for image in images] == list(map(content, images))
    assert sum(shared.digest.encoded in name for name in names(path)) == 1


async def test_images_pushed_at_once_are_all_there(path: Path, layout: ImageBuilder) -> None:
    images = [layout.image(SIZES, seed=number, tag=f"v{number}") for number in range(4)]
    async with OciArchiveTarget(path) as target, asyncio.TaskGroup() as group:
        for image in images:
            group.create_task(push(image, target, tag=image.tag))

    assert [await archived(path, image.tag) for image in images] == list(map(content, images))


async def test_an_archive_of_another_program_is_appended_to(path: Path, tmp_path: Path) -> None:
    old, new = ImageBuilder(tmp_path / "old").image(SIZES, tag="old"), ImageBuilder(tmp_path / "new").index(sizes=SIZES)
    path.write_bytes(tar_of_folder(old.path))

    async with OciArchiveTarget(path) as target:
        await push(new, target, tag="new")

    assert await archived(path, "old") == content(old)
    assert await archived(path, "new") == content(new)


async def test_an_image_without_a_tag_is_there_when_the_block_ends(path: Path, layout: ImageBuilder) -> None:
    image = layout.index(sizes=SIZES)
    async with OciArchiveTarget(path) as target:
        await push(image, target, tag=None)
        assert not path.exists()

    assert await archived(path, image.root.digest) == content(image)


async def test_a_block_that_ends_in_an_error_leaves_the_archive_as_it_was(path: Path, layout: ImageBuilder) -> None:
    async with OciArchiveTarget(path) as target:
        await push(layout.image(seed=1), target, tag="v1")
    before = path.read_bytes()

    with pytest.raises(RuntimeError):
        await fail_after_pushing(path, layout.image(seed=2, tag="v2"))

    assert path.read_bytes() == before


async def fail_after_pushing(path: Path, image: BuiltImage) -> None:
    async with OciArchiveTarget(path) as target:
        await push(image, target, tag=None)
        raise RuntimeError


async def test_a_block_without_an_image_leaves_no_archive(path: Path, layout: ImageBuilder) -> None:
    image = layout.image()
    async with OciArchiveTarget(path) as target:
        await target.push_blob(BlobContext(image.blobs[0], lambda _: None), LayoutSource(image.path))

    assert sorted(found.name for found in path.parent.iterdir()) == [".images.tar.lock", "layout"]


async def test_a_blob_that_is_not_whole_is_not_in_the_archive(path: Path, layout: ImageBuilder) -> None:
    image, bad = layout.image(seed=1), layout.layer(5000, seed=7)
    (layout.path / "blobs" / "sha256" / bad.digest.encoded).write_bytes(b"x" * 5000)
    async with OciArchiveTarget(path) as target:
        with pytest.raises(ContentMismatch):
            await target.push_blob(BlobContext(bad, lambda _: None), LayoutSource(layout.path))
        assert await target.missing([bad]) == {bad.digest}
        await push(image, target, tag="v1")

    assert await archived(path, "v1") == content(image)
    assert not any(bad.digest.encoded in name for name in names(path))


async def test_a_cancelled_blob_is_not_in_the_archive(path: Path, layout: ImageBuilder) -> None:
    image, other = layout.image(seed=1), layout.layer(3_000_000, seed=7)
    async with OciArchiveTarget(path) as target:
        pushing = asyncio.create_task(target.push_blob(BlobContext(other, lambda _: None), LayoutSource(layout.path)))
        await asyncio.sleep(0.002)
        pushing.cancel()
        await asyncio.wait([pushing])
        await push(image, target, tag="v1")

    assert await archived(path, "v1") == content(image)


async def test_a_second_writer_waits_for_the_first(path: Path, layout: ImageBuilder) -> None:
    images = [layout.image(SIZES, seed=number, tag=f"v{number}") for number in range(3)]

    async def write(image: BuiltImage) -> None:
        async with OciArchiveTarget(path) as target:
            await push(image, target, tag=image.tag)

    async with asyncio.TaskGroup() as group:
        for image in images:
            group.create_task(write(image))

    assert [await archived(path, image.tag) for image in images] == list(map(content, images))


async def test_a_writer_that_is_cancelled_while_it_waits_leaves_nothing(path: Path, layout: ImageBuilder) -> None:
    async with OciArchiveTarget(path) as target:
        waiting = asyncio.create_task(OciArchiveTarget(path).__aenter__())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        await push(layout.image(), target, tag="v1")

    async with OciArchiveTarget(path) as target:
        assert (await target.present([], tag="v1")).tagged is not None


async def test_a_reader_of_the_old_archive_is_not_disturbed(path: Path, layout: ImageBuilder) -> None:
    old, new = layout.image(SIZES, seed=1, tag="old"), layout.image(SIZES, seed=2, tag="new")
    async with OciArchiveTarget(path) as target:
        await push(old, target, tag="old")
    async with OciArchiveSource(path) as source:
        manifest = await source.manifest(await source.resolve("old"))
        async with OciArchiveTarget(path) as target:
            await push(new, target, tag="new")
        for blob in manifest.blobs:
            async with source.open_blob(blob) as pieces:
                assert b"".join([piece async for piece in pieces]) == old.content(blob)


NO_ARCHIVES = {
    "text": b"no tar" * 100,
    "gzip": gzip.compress(tar_of_files({"oci-layout": b"{}"})),
    "a tar of something else": tar_of_files({"a": b"1"}),
    "a docker archive": tar_of_files({"manifest.json": b"[]"}),
    "another version": tar_of_files({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}', "index.json": b"{}"}),
    "a broken index": tar_of_files({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": b"{"}),
}


@pytest.mark.parametrize("case", NO_ARCHIVES)
async def test_what_is_no_oci_archive_is_refused_and_not_touched(path: Path, case: str) -> None:
    path.write_bytes(NO_ARCHIVES[case])

    with pytest.raises(InvalidLayout, match="cannot be appended to") as caught:
        await OciArchiveTarget(path).__aenter__()

    assert caught.value.side == "target"
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == NO_ARCHIVES[case]


async def test_a_folder_in_the_place_of_the_archive_is_refused(path: Path) -> None:
    path.mkdir()

    with pytest.raises(InvalidLayout, match="cannot be written"):
        await OciArchiveTarget(path).__aenter__()


async def test_a_folder_that_is_not_there_is_made(tmp_path: Path, layout: ImageBuilder) -> None:
    path, image = tmp_path / "new" / "x.tar", layout.image()
    async with OciArchiveTarget(path) as target:
        await push(image, target, tag="v1")

    assert await archived(path, "v1") == content(image)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidLayout, match=r"file/x\.tar") as caught:
        await OciArchiveTarget(tmp_path / "file" / "x.tar").__aenter__()

    assert caught.value.side == "target"


async def test_an_empty_file_becomes_an_archive(path: Path, layout: ImageBuilder) -> None:
    path.touch()
    image = layout.image()
    async with OciArchiveTarget(path) as target:
        await push(image, target, tag="v1")

    assert await archived(path, "v1") == content(image)


async def test_a_manifest_without_its_blobs_is_refused_and_the_tag_stays(path: Path, layout: ImageBuilder) -> None:
    old, new = layout.image(seed=1), layout.image(seed=2)
    async with OciArchiveTarget(path) as target:
        await push(old, target, tag="v1")
        with pytest.raises(BlobUnknown):
            await target.push_manifest(await LayoutSource(new.path).manifest(new.root), tag="v1")

    assert await archived(path, "v1") == content(old)


async def test_the_same_images_give_the_same_index(path: Path, layout: ImageBuilder) -> None:
    image = layout.image()
    async with OciArchiveTarget(path) as target:
        for _ in range(3):
            await push(image, target, tag="v1")

    with path.open("rb") as file:
        last = index_tar(file).members["index.json"]
        file.seek(last.start)
        assert len(json.loads(file.read(last.size))["manifests"]) == 1
    assert names(path).count("oci-layout") == 1
