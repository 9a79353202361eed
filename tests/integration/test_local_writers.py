"""Layouts and archives with several processes at work on them, and with processes that are killed in a blob."""

import io
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.local_writer import MIB, copy
from transfer.errors import InvalidLayout
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.local.layout.source import LayoutSource
from transfer.testing.images import BuiltImage, ImageBuilder, blob_file

KINDS = ["layout", "archive"]
Started = subprocess.Popen[str]


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def start_(kind: str, image: BuiltImage, path: Path, *slow: str) -> Started:
        assert image.tag is not None
        command = [
            sys.executable,
            "-m",
            "tests.support.local_writer",
            kind,
            str(image.path),
            image.tag,
            str(path),
            *slow,
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()
        process.communicate()


def kill_at(process: Started, offset: int) -> None:
    """Let the process go on up to that many bytes of its large blob, and kill it there."""
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[1]) >= offset:
            break
        process.stdin.write("\n")
        process.stdin.flush()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


async def is_whole(kind: str, path: Path, image: BuiltImage) -> bool:
    """Whether the target has every byte of the image under its tag."""
    if kind == "layout":
        root = await LayoutSource(path).resolve(image.tag)
        found = {one: blob_file(path, one.digest).read_bytes() for one in (*image.manifests, *image.blobs)}
        return root.digest == image.root.digest and all(image.content(one) == raw for one, raw in found.items())
    async with OciArchiveSource(path) as source:
        root = await source.resolve(image.tag)
        manifest = await source.manifest(root)
        contents = []
        for blob in manifest.blobs:
            async with source.open_blob(blob) as pieces:
                contents.append(b"".join([piece async for piece in pieces]))
        return root.digest == image.root.digest and contents == [image.content(blob) for blob in manifest.blobs]


@pytest.mark.parametrize("kind", KINDS)
async def test_processes_that_write_at_once_lose_nothing_of_each_other(
    start: Callable[..., Started], layout: ImageBuilder, tmp_path: Path, kind: str
) -> None:
    shared = layout.layer(2 * MIB, seed=99)
    images = [layout.image((5000,), seed=number, tag=f"v{number}", layers=(shared,)) for number in range(5)]
    path = tmp_path / "target"

    processes = [start(kind, image, path) for image in images]

    assert [process.wait(30) for process in processes] == [0] * 5
    assert [await is_whole(kind, path, image) for image in images] == [True] * 5
    assert [*path.glob(".transfer-*"), *tmp_path.glob(".*.part")] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_writer_that_is_killed_in_a_blob_leaves_what_was_there_whole(
    start: Callable[..., Started], layout: ImageBuilder, tmp_path: Path, kind: str
) -> None:
    old, new = layout.image((MIB,), seed=1, tag="old"), layout.image((4 * MIB,), seed=2, tag="new")
    path = tmp_path / "target"
    await copy(kind, LayoutSource(layout.path), "old", path)

    kill_at(start(kind, new, path, "slow"), 2 * MIB)

    assert await is_whole(kind, path, old)
    source = LayoutSource(path) if kind == "layout" else OciArchiveSource(path)
    with pytest.raises(InvalidLayout, match="no image 'new'"):
        await source.resolve("new")
    if isinstance(source, OciArchiveSource):
        await source.__aexit__(None, None, None)
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            assert tar.getnames()[-1] == "index.json"


@pytest.mark.parametrize(("kind", "kept"), [("layout", 2 * MIB), ("archive", 0)])
async def test_a_copy_after_a_kill_ends_well_and_a_layout_goes_on_in_the_blob(
    start: Callable[..., Started], layout: ImageBuilder, tmp_path: Path, kind: str, kept: int
) -> None:
    image, path = layout.image((4 * MIB,)), tmp_path / "target"
    kill_at(start(kind, image, path, "slow"), 2 * MIB)

    copied = await copy(kind, LayoutSource(layout.path), "v1", path)

    assert max(blob.resumed for blob in copied.blobs) == kept
    assert await is_whole(kind, path, image)
    assert [*path.glob(".transfer-*"), *tmp_path.glob(".*.part")] == []


async def test_an_archive_takes_images_between_kills(
    start: Callable[..., Started], layout: ImageBuilder, tmp_path: Path
) -> None:
    images = [layout.image((2 * MIB + 3,), seed=number, tag=f"v{number}") for number in range(5)]
    path = tmp_path / "target"
    for image in images:
        await copy("archive", LayoutSource(layout.path), str(image.tag), path)
        kill_at(start("archive", layout.image((3 * MIB,), seed=50, tag="x"), path, "slow"), MIB)

    assert [await is_whole("archive", path, image) for image in images] == [True] * 5
