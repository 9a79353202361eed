"""Archives as sources: compressed, from pipes, hostile, closed."""

import asyncio
import bz2
import gzip
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from tests.support.archives import member, tar_of, tar_of_folder
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.testing.images import BuiltImage, ImageBuilder

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda raw: raw,
    "gzip": lambda raw: gzip.compress(raw, compresslevel=1),
    "gzip in two members": lambda raw: gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]),
    "zstd": zstandard.compress,
}
Kind = type[OciArchiveSource] | type[DockerArchiveSource]


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image(sizes=(200_000, 10))


@contextmanager
def pipe_of(content: bytes) -> Iterator[BinaryIO]:
    """A pipe that another thread writes into."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as file:
        yield file
    thread.join()


async def all_content(source: OciArchiveSource | DockerArchiveSource) -> list[bytes]:
    manifest = await source.manifest(await source.resolve(None))
    found = []
    for blob in manifest.blobs:
        async with source.open_blob(blob) as pieces:
            found.append(b"".join([piece async for piece in pieces]))
    return found


@pytest.fixture
def spools() -> Callable[[], int]:
    """How many nameless files this process has opened since the test began."""

    def opened() -> int:
        entries = Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ()
        return sum("(deleted)" in _link(entry) for entry in entries)

    before = opened()
    return lambda: opened() - before


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("kind", [OciArchiveSource, DockerArchiveSource])
async def test_an_archive_is_read_from_a_pipe(
    image: BuiltImage, kind: Kind, compression: str, spools: Callable[[], int]
) -> None:
    with pipe_of(COMPRESSED[compression](tar_of_folder(image.path))) as pipe:
        async with kind(pipe) as source:
            assert await all_content(source) == [image.content(blob) for blob in image.blobs]

    assert spools() == 0


@pytest.mark.parametrize("compression", COMPRESSED)
async def test_an_archive_is_read_from_a_file_and_a_plain_one_in_place(
    image: BuiltImage, tmp_path: Path, compression: str, spools: Callable[[], int]
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(COMPRESSED[compression](tar_of_folder(image.path)))

    async with OciArchiveSource(path) as source:
        assert await all_content(source) == [image.content(blob) for blob in image.blobs]
        assert spools() == (compression != "plain" and Path("/proc/self/fd").exists())


async def test_a_fifo_is_a_pipe(image: BuiltImage, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(tar_of_folder(image.path)))
    async with OciArchiveSource(path) as source:
        reading = asyncio.create_task(all_content(source))
        await asyncio.sleep(0.05)
        thread.start()
        assert await reading == [image.content(blob) for blob in image.blobs]
    thread.join()


async def test_a_pipe_that_stalls_is_left_when_the_source_is_closed(spools: Callable[[], int]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe, os.fdopen(writer, "wb", buffering=0) as stalled:
        stalled.write(b"begin")
        async with OciArchiveSource(pipe) as source:
            task = asyncio.create_task(source.resolve(None))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])

    assert task.cancelled()
    assert spools() == 0


@pytest.mark.parametrize("compressed", [bz2.compress, lzma.compress])
async def test_an_archive_of_bzip2_or_xz_is_read(
    layout: ImageBuilder, tmp_path: Path, compressed: Callable[[bytes], bytes]
) -> None:
    image = layout.image([1000])
    path = tmp_path / "image.tar.x"
    path.write_bytes(compressed(tar_of_folder(image.path)))

    async with OciArchiveSource(path) as source:
        manifest = await source.manifest(await source.resolve("v1"))
        async with source.open_blob(manifest.layers[0]) as pieces:
            assert b"".join([piece async for piece in pieces]) == image.content(image.blobs[-1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no tar"),
        (b"BZh91AY&SY" + bytes(100), "cannot be decompressed"),
        (lzma.compress(bytes(1000))[:-5], "cannot be decompressed"),
        (gzip.compress(b"x" * 1000, mtime=0), "no tar"),
        (gzip.compress(bytes(1000), mtime=0)[:-5], "cannot be decompressed"),
        (b"\x28\xb5\x2f\xfd" + b"garbage" * 10, "cannot be decompressed"),
        (tar_of([member("index.json", b"{}")]), "oci-layout is missing"),
        (tar_of([member("blobs", type=tarfile.SYMTYPE, linkname="/")]), "is a link"),
    ],
)
async def test_what_is_no_archive_is_refused_in_one_line_that_names_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)

    async with OciArchiveSource(path) as source:
        with pytest.raises(InvalidLayout, match=reason) as caught:
            await source.resolve(None)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.side == "source"


@pytest.mark.parametrize("name", ["absent.tar", "folder", "nul\0", "/dev/null"])
async def test_a_path_without_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()

    async with OciArchiveSource(tmp_path / name) as source:
        with pytest.raises(InvalidLayout, match="archive") as caught:
            await source.resolve(None)

    assert caught.value.side == "source"


async def test_a_pipe_without_an_archive_fails_for_the_same_reason_twice() -> None:
    with pipe_of(b"no tar" * 100) as pipe:
        async with OciArchiveSource(pipe) as source:
            reasons = []
            for _ in range(2):
                with pytest.raises(InvalidLayout) as caught:
                    await source.resolve(None)
                reasons.append(str(caught.value))

    assert reasons[0] == reasons[1]
    assert "archive '-'" in reasons[0]


async def test_a_closed_source_says_so(image: BuiltImage, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of_folder(image.path))
    async with OciArchiveSource(path) as source:
        root = await source.resolve(None)
    async with OciArchiveSource(path) as unused:
        pass

    for closed in (source, unused):
        with pytest.raises(InvalidLayout, match="closed"):
            await closed.manifest(root)


async def test_files_that_are_open_outlive_the_source(image: BuiltImage, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of_folder(image.path))
    async with OciArchiveSource(path) as source:
        file = source.open_file(image.blobs[0])

    with file:
        assert file.read() == image.content(image.blobs[0])


async def test_an_archive_that_shrinks_under_the_reader_is_an_error(image: BuiltImage, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of_folder(image.path))
    async with OciArchiveSource(path) as source:
        manifest = await source.manifest(await source.resolve(None))
        os.truncate(path, 600)
        with pytest.raises(ContentMismatch, match="again"):
            async with source.open_blob(manifest.blobs[0]) as pieces:
                await anext(pieces)
