"""A layout as a target: what is there when, what killed and cancelled writers leave, links, parallel writers."""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from transfer.engine.protocols import BlobContext, BlobSent, Source
from transfer.errors import ConnectionFailed, ContentMismatch, InvalidLayout, TransferError
from transfer.events import BlobProgress, BlobStarted, Event
from transfer.local.layout.source import LayoutSource
from transfer.local.layout.target import LayoutTarget
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.testing.images import REF_NAME, BuiltImage, ImageBuilder, blob_file
from transfer.testing.memory import MemorySource

MIB = 1024 * 1024
SIZE = 3 * MIB + 5


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image(sizes=(SIZE,))


@pytest.fixture
def large(image: BuiltImage) -> Descriptor:
    return max(image.blobs, key=lambda blob: blob.size)


@pytest.fixture
def target(tmp_path: Path) -> LayoutTarget:
    return LayoutTarget(tmp_path / "target")


class Broken(MemorySource):
    """Gives the bytes before `at`, then what `end` does."""

    def __init__(self, content: bytes, at: int, end: BaseException | None) -> None:
        super().__init__()
        self._content = content
        self._at = at
        self._end = end
        self.offsets: list[int] = []

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.offsets.append(offset)

        async def pieces() -> AsyncIterator[bytes]:
            for first in range(offset, self._at, MIB):
                yield self._content[first : min(first + MIB, self._at)]
            if self._end is not None:
                raise self._end

        yield pieces()


async def push(target: LayoutTarget, blob: Descriptor, source: Source, events: list[Event] | None = None) -> BlobSent:
    return await target.push_blob(BlobContext(blob, (events if events is not None else []).append), source)


async def push_image(target: LayoutTarget, image: BuiltImage) -> None:
    source = LayoutSource(image.path)
    for blob in image.blobs:
        await push(target, blob, source)
    await target.push_manifest(await source.manifest(image.root), tag="v1")


def drafts(target: LayoutTarget) -> list[Path]:
    return sorted(target.path.glob(".transfer-*"))


def draft_of(target: LayoutTarget, digest: Digest) -> Path:
    return target.path / f".transfer-{digest.algorithm}-{digest.encoded}.part"


async def test_the_folder_is_a_layout_before_its_first_blob(target: LayoutTarget, image: BuiltImage) -> None:
    await push(target, image.blobs[0], LayoutSource(image.path))

    assert json.loads((target.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((target.path / "index.json").read_bytes())["manifests"] == []
    with pytest.raises(InvalidLayout, match="names no image"):
        await LayoutSource(target.path).resolve(None)


async def test_what_was_pushed_is_read_back(target: LayoutTarget, layout: ImageBuilder) -> None:
    image, source = layout.index(sizes=(10, 20)), LayoutSource(layout.path)
    for blob in image.blobs:
        await push(target, blob, source)
    for descriptor in image.manifests:
        manifest = await source.manifest(descriptor)
        await target.push_manifest(manifest, tag="new" if descriptor == image.root else None)

    copied = LayoutSource(target.path)
    assert (await copied.resolve(None)).digest == image.root.digest
    assert (await copied.resolve("new")).annotations == {REF_NAME: "new"}
    for descriptor in (*image.manifests, *image.blobs):
        assert blob_file(target.path, descriptor.digest).read_bytes() == image.content(descriptor)
    assert drafts(target) == []


@pytest.mark.parametrize("at", [0, 1, MIB, 2 * MIB + 7])
async def test_a_blob_whose_source_fails_is_not_there_and_goes_on_where_it_stopped(
    target: LayoutTarget, image: BuiltImage, large: Descriptor, at: int
) -> None:
    content, events = image.content(large), list[Event]()
    with pytest.raises(ConnectionFailed):
        await push(target, large, Broken(content, at, ConnectionFailed("reset", side="source")))
    assert await target.missing([large]) == {large.digest}

    whole = Broken(content, SIZE, None)
    sent = await push(LayoutTarget(target.path), large, whole, events)

    assert (whole.offsets, sent) == ([at], BlobSent(SIZE - at, at))
    assert events[0] == BlobStarted(large, at)
    assert blob_file(target.path, large.digest).read_bytes() == content
    assert drafts(target) == []


async def test_a_cancelled_blob_goes_on_where_it_stopped(
    target: LayoutTarget, image: BuiltImage, large: Descriptor
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await push(target, large, Broken(image.content(large), MIB, asyncio.CancelledError()))

    assert (await push(target, large, LayoutSource(image.path))).resumed == MIB


@pytest.mark.parametrize("left", [b"x" * MIB, b"x" * SIZE, b"x" * (SIZE + 1)])
async def test_bytes_that_are_of_another_blob_are_written_again(
    target: LayoutTarget, image: BuiltImage, large: Descriptor, left: bytes
) -> None:
    target.path.mkdir()
    draft_of(target, large.digest).write_bytes(left)

    sent = await push(target, large, LayoutSource(image.path))

    assert (sent.sent, sent.resumed) == (SIZE, 0)
    assert blob_file(target.path, large.digest).read_bytes() == image.content(large)
    assert drafts(target) == []


async def test_a_whole_draft_is_only_renamed(target: LayoutTarget, image: BuiltImage, large: Descriptor) -> None:
    target.path.mkdir()
    draft_of(target, large.digest).write_bytes(image.content(large))
    events: list[Event] = []

    sent = await push(target, large, LayoutSource(image.path), events)

    assert (sent.sent, sent.resumed) == (0, SIZE)
    assert events == [BlobStarted(large, SIZE), BlobProgress(large.digest, SIZE)]


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b"x" + raw[1:]])
async def test_content_that_is_not_what_its_descriptor_says_leaves_nothing(
    target: LayoutTarget, image: BuiltImage, large: Descriptor, change: type[bytes]
) -> None:
    content = change(image.content(large))

    with pytest.raises(ContentMismatch, match=large.digest) as caught:
        await push(target, large, Broken(content, len(content), None))

    assert caught.value.side == "source"
    assert drafts(target) == []
    assert await target.missing([large]) == {large.digest}


async def test_a_file_of_another_size_is_no_blob_and_is_replaced(
    target: LayoutTarget, image: BuiltImage, large: Descriptor
) -> None:
    file = blob_file(target.path, large.digest)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"short")

    assert await target.missing([large]) == {large.digest}
    await push(target, large, LayoutSource(image.path))
    assert file.read_bytes() == image.content(large)


async def test_a_draft_that_another_writer_holds_is_left_to_it(
    target: LayoutTarget, image: BuiltImage, large: Descriptor
) -> None:
    target.path.mkdir()
    with draft_of(target, large.digest).open("wb") as held:
        held.write(b"theirs")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        sent = await push(target, large, LayoutSource(image.path))
        left = drafts(target)

    assert (sent.sent, sent.resumed) == (SIZE, 0)
    assert left == [draft_of(target, large.digest)]
    assert left[0].read_bytes() == b"theirs"


async def test_two_writers_of_one_blob_both_end_well(
    target: LayoutTarget, image: BuiltImage, large: Descriptor
) -> None:
    async with asyncio.TaskGroup() as group:
        for writer in (target, LayoutTarget(target.path), LayoutTarget(target.path)):
            group.create_task(push(writer, large, LayoutSource(image.path)))

    assert blob_file(target.path, large.digest).read_bytes() == image.content(large)
    assert drafts(target) == []


async def test_old_drafts_are_swept_and_young_and_held_ones_stay(target: LayoutTarget, image: BuiltImage) -> None:
    target.path.mkdir()
    names = {name: target.path / f".transfer-{name}.part" for name in ("old", "young", "held")}
    for path in names.values():
        path.write_bytes(b"x")
    for name in ("old", "held"):
        os.utime(names[name], (time.time() - 90_000,) * 2)
    with names["held"].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await push(target, image.blobs[0], LayoutSource(image.path))

    assert drafts(target) == [names["held"], names["young"]]


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
async def test_links_below_the_folder_are_not_followed(
    target: LayoutTarget, image: BuiltImage, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = target.path / name
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)

    with pytest.raises(InvalidLayout, match="cannot be written") as caught:
        await push(target, image.blobs[0], LayoutSource(image.path))

    assert caught.value.side == "target"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["index.json", "draft"])
async def test_a_link_in_the_place_of_a_file_does_not_lead_out(
    target: LayoutTarget, image: BuiltImage, large: Descriptor, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.path.mkdir()
    link = target.path / name if name != "draft" else draft_of(target, large.digest)
    link.symlink_to(victim)

    await push(target, large, LayoutSource(image.path))

    assert victim.read_bytes() == b"precious"
    assert blob_file(target.path, large.digest).read_bytes() == image.content(large)


@pytest.mark.parametrize(
    ("name", "content"),
    [("oci-layout", b'{"imageLayoutVersion": "2.0.0"}'), ("oci-layout", b"{"), ("index.json", b"[]")],
)
async def test_a_folder_that_is_another_kind_of_layout_is_refused(
    target: LayoutTarget, image: BuiltImage, name: str, content: bytes
) -> None:
    target.path.mkdir()
    (target.path / name).write_bytes(content)

    with pytest.raises(InvalidLayout, match=name) as caught:
        await push_image(target, image)

    assert caught.value.side == "target"
    assert (target.path / name).read_bytes() == content


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, image: BuiltImage) -> None:
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(TransferError, match="file") as caught:
        await push(LayoutTarget(tmp_path / "file"), image.blobs[0], LayoutSource(image.path))

    assert caught.value.side == "target"


async def test_many_writers_of_one_index_lose_no_entry(target: LayoutTarget, layout: ImageBuilder) -> None:
    image, source = layout.image(), LayoutSource(layout.path)
    for blob in image.blobs:
        await push(target, blob, source)
    manifest = await source.manifest(image.root)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(LayoutTarget(target.path).push_manifest(manifest, tag=f"v{number}"))

    for number in range(20):
        assert (await target.present([], tag=f"v{number}")).tagged == image.root.digest


async def test_two_paths_of_one_folder_have_one_key(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")

    assert LayoutTarget(tmp_path / "link").key == LayoutTarget(tmp_path / "target").key


async def test_sha512_blobs_have_a_folder_of_their_own(target: LayoutTarget, layout: ImageBuilder) -> None:
    blob = layout.blob(b"content", "application/x", "sha512")

    await push(target, msgspec.structs.replace(blob), LayoutSource(layout.path))

    assert blob_file(target.path, blob.digest).read_bytes() == b"content"
