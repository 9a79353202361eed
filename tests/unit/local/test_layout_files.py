"""Files of an OCI layout that are not what they should be: links, other kinds of file, absent, changed."""

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from transfer.errors import ContentMismatch, InvalidLayout, InvalidManifest
from transfer.local.layout.files import FileReader
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.testing.images import BuiltImage, ImageBuilder

SECRET = b"not yours"


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image(sizes=(100,))


@pytest.fixture
def blob(image: BuiltImage) -> Descriptor:
    return image.blobs[-1]


def message_of(source: LayoutSource, blob: Descriptor) -> str:
    with pytest.raises(InvalidLayout) as caught:
        source.open_file(blob)
    assert caught.value.side == "source"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("linked", ["blobs", "blobs/sha256"])
@pytest.mark.attack("CVE-2021-29136")
async def test_a_link_below_the_root_is_not_followed(
    image: BuiltImage, blob: Descriptor, tmp_path: Path, linked: str
) -> None:
    path = image.path / linked
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    source = LayoutSource(image.path)

    assert "links are not followed" in message_of(source, blob)
    with pytest.raises(InvalidLayout, match="links are not followed"):
        async with source.open_blob(blob):
            pytest.fail("opened")


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
async def test_a_document_that_is_a_link_is_not_followed(image: BuiltImage, tmp_path: Path, name: str) -> None:
    (image.path / name).rename(tmp_path / "elsewhere")
    (image.path / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidLayout, match=f"{name} is a symbolic link"):
        await LayoutSource(image.path).resolve(None)


@pytest.mark.parametrize("where", ["../../../store/content", "beside"])
async def test_a_blob_may_be_a_link_to_its_content_as_bazel_and_nix_write_it(image: BuiltImage, where: str) -> None:
    (image.path.parent / "store").mkdir()
    for blob in (image.root, *image.blobs):
        file = image.file(blob)
        content = file.parent / f"{where}-{blob.digest.encoded}"
        file.rename(content)
        file.symlink_to(content if where == "beside" else f"{where}-{blob.digest.encoded}")
    source = LayoutSource(image.path)

    manifest = await source.manifest(await source.resolve("v1"))
    for blob in manifest.blobs:
        async with source.open_blob(blob) as pieces:
            assert Digest.of(b"".join([piece async for piece in pieces])) == blob.digest


@pytest.mark.parametrize("elsewhere", ["a file", "a folder", "a FIFO", "nothing", "itself"])
@pytest.mark.attack("CVE-2021-29136")
def test_of_what_a_link_leads_to_besides_its_content_no_byte_is_read_out(
    image: BuiltImage, blob: Descriptor, tmp_path: Path, elsewhere: str
) -> None:
    secret = tmp_path / "secret"
    match elsewhere:
        case "a file":
            secret.write_bytes(b"s" * blob.size)
        case "a folder":
            secret.mkdir()
        case "a FIFO":
            os.mkfifo(secret)
        case _:
            pass
    image.file(blob).unlink()
    image.file(blob).symlink_to(image.file(blob) if elsewhere == "itself" else secret)

    message = message_of(LayoutSource(image.path), blob)

    assert str(image.path) in message
    assert ("other content" in message) is (elsewhere == "a file")


async def test_the_root_itself_may_be_a_link(image: BuiltImage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(image.path)
    source = LayoutSource(tmp_path / "link")

    manifest = await source.manifest(await source.resolve("v1"))

    assert manifest.digest == image.root.digest


def test_a_missing_blob_is_named_with_what_to_do(image: BuiltImage, blob: Descriptor) -> None:
    image.file(blob).unlink()

    message = message_of(LayoutSource(image.path), blob)

    assert str(image.path) in message
    assert f"blobs/sha256/{blob.digest.encoded} is missing: check the path" in message


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
async def test_a_missing_document_is_named(image: BuiltImage, name: str) -> None:
    (image.path / name).unlink()

    with pytest.raises(InvalidLayout, match=f"{name} is missing"):
        await LayoutSource(image.path).resolve(None)


@pytest.mark.parametrize("name", ["nowhere", "image.tar", "image.tar/inside", "dangling"])
async def test_a_path_that_is_no_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "image.tar").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")

    with pytest.raises(InvalidLayout, match=f"{name}': no such folder") as caught:
        await LayoutSource(tmp_path / name).resolve(None)

    assert caught.value.side == "source"


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte"])
async def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidLayout, match="cannot be read"):
        await LayoutSource(tmp_path / name).resolve(None)


def test_a_folder_in_place_of_a_blob_is_refused(image: BuiltImage, blob: Descriptor) -> None:
    image.file(blob).unlink()
    image.file(blob).mkdir()

    assert "is a folder, not a file" in message_of(LayoutSource(image.path), blob)


@pytest.mark.timeout(5)
def test_a_fifo_in_place_of_a_blob_is_refused_without_waiting(image: BuiltImage, blob: Descriptor) -> None:
    image.file(blob).unlink()
    os.mkfifo(image.file(blob))

    assert "is not a regular file" in message_of(LayoutSource(image.path), blob)


def test_a_socket_in_place_of_a_blob_is_refused(
    image: BuiltImage, blob: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.file(blob).unlink()
    monkeypatch.chdir(image.file(blob).parent)  # The address of a socket is short.
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(blob.digest.encoded)

    assert "cannot be read" in message_of(LayoutSource(image.path), blob)


@pytest.mark.parametrize("path", ["the blob", "blobs/sha256", "blobs", "."])
def test_what_may_not_be_read_is_named(image: BuiltImage, blob: Descriptor, path: str) -> None:
    closed = image.file(blob) if path == "the blob" else image.path / path
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user may read everything")
    try:
        message = message_of(LayoutSource(image.path), blob)
    finally:
        closed.chmod(0o755)

    assert "cannot be read: Permission denied" in message


@pytest.mark.parametrize("content", [b"", SECRET, b"x" * 101])
async def test_a_blob_of_another_size_is_named_before_a_byte_is_read(
    image: BuiltImage, blob: Descriptor, content: bytes
) -> None:
    image.file(blob).write_bytes(content)
    source = LayoutSource(image.path)

    with pytest.raises(ContentMismatch, match=f"{blob.digest.encoded} has {len(content)} bytes where 100") as caught:
        source.open_file(blob)

    assert str(image.path) in str(caught.value)


async def test_a_blob_that_shrinks_while_it_is_read_is_not_taken_for_whole(layout: ImageBuilder) -> None:
    image = layout.image(sizes=(3 * 1024 * 1024,))
    blob = image.blobs[-1]
    async with LayoutSource(image.path).open_blob(blob) as pieces:
        first = await anext(pieces)
        os.truncate(image.file(blob), len(first) + 10)

        with pytest.raises(ContentMismatch, match=f"has {len(first) + 10} bytes"):
            [piece async for piece in pieces]


async def test_a_manifest_whose_bytes_changed_is_refused(image: BuiltImage) -> None:
    image.file(image.root).write_bytes(image.content(image.root).replace(b"linux", b"linuy").replace(b"2,", b"3,", 1))

    with pytest.raises(InvalidManifest, match=image.root.digest) as caught:
        await LayoutSource(image.path).manifest(image.root)

    assert caught.value.side == "source"
    assert str(image.path) in str(caught.value)


async def test_a_manifest_of_another_size_is_refused(image: BuiltImage) -> None:
    longer = msgspec.structs.replace(image.root, size=image.root.size + 1)

    with pytest.raises(ContentMismatch, match="write the image into the layout again"):
        await LayoutSource(image.path).manifest(longer)


def test_an_open_file_knows_its_full_path(image: BuiltImage, blob: Descriptor) -> None:
    source = LayoutSource(image.path)
    with source.open_file(blob) as file:
        assert file.name == str(image.file(blob)) == source.locate(blob)


def test_a_sha512_blob_lies_in_its_own_folder(layout: ImageBuilder) -> None:
    blob = layout.blob(b"content", "application/octet-stream", algorithm="sha512")

    with LayoutSource(layout.path).open_file(blob) as file:
        assert file.read() == b"content"
    assert "/blobs/sha512/" in LayoutSource(layout.path).locate(blob)


def descriptors_open() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def make_link(path: Path) -> None:
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo, make_link, Path.exists])
def test_a_refused_file_leaves_no_descriptor_open(
    image: BuiltImage, blob: Descriptor, make: Callable[[Path], object]
) -> None:
    image.file(blob).unlink()
    make(image.file(blob))
    before = descriptors_open()

    with pytest.raises((InvalidLayout, ContentMismatch)):
        LayoutSource(image.path).open_file(blob)

    assert descriptors_open() == before


async def test_a_cancelled_reader_leaves_no_file_open(layout: ImageBuilder) -> None:
    image = layout.image(sizes=(8 * 1024 * 1024,))
    before = descriptors_open()

    async def read() -> None:
        async with LayoutSource(image.path).open_blob(image.blobs[-1]) as pieces:
            async for _ in pieces:
                await asyncio.sleep(0)

    for turns in range(12):
        task = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    # Cancelled while closing, a reader leaves that to its thread: wait for the threads.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert descriptors_open() == before


def test_a_reader_that_was_closed_first_opens_nothing(image: BuiltImage, blob: Descriptor) -> None:
    reader = FileReader(lambda: pytest.fail("opened"))
    reader.close()

    assert reader.open(0, 10) == b""

    assert reader.read(10) == b""


class CountingExecutor(ThreadPoolExecutor):
    """Counts what is done in its threads."""

    hops = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.hops += 1
        return super().submit(*args, **kwargs)


@pytest.mark.parametrize(("size", "hops"), [(1000, 1), (1024 * 1024, 1), (1024 * 1024 + 1, 2)])
async def test_a_blob_is_opened_and_read_in_one_hop_into_a_thread_for_each_piece(
    size: int, hops: int, layout: ImageBuilder
) -> None:
    image = layout.image(sizes=(size,))
    executor = CountingExecutor()
    asyncio.get_running_loop().set_default_executor(executor)
    async with LayoutSource(image.path).open_blob(image.blobs[-1]) as pieces:
        assert sum([len(piece) async for piece in pieces]) == size
    assert executor.hops == hops
