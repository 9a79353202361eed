"""Parts of a layer: the bytes, what verifies them, and what they say of the layer's own digest."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pybase64
import pytest
import xxhash

from transfer.errors import ContentMismatch, InvalidLayout
from transfer.http.bodies import Base64Text
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.registry.ecr.host import names_of
from transfer.registry.ecr.parts import NO_GUARD, SLICE, EcrUploadSession, LayerPart, LayerReader
from transfer.testing.images import blocks
from transfer.testing.memory import MemorySource

SIZE = 3 * SLICE + 10
CONTENT = b"".join(blocks(SIZE, 3))
PART = SLICE + 100
SESSION = EcrUploadSession(names_of("123456789012", "app"), "upload-1", PART)


class FileSource(MemorySource):
    """Has its blobs in one file, which a test may change."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def open_file(self, descriptor: Descriptor) -> BinaryIO:  # type: ignore[override]  # the memory's has none
        return self.path.open("rb")

    def locate(self, descriptor: Descriptor) -> str:
        return str(self.path)


@pytest.fixture(params=["file", "stream"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> MemorySource:
    return source_of(CONTENT, tmp_path if request.param == "file" else None)


def source_of(content: bytes, folder: Path | None) -> MemorySource:
    source = MemorySource() if folder is None else FileSource(folder / "blob")
    if isinstance(source, FileSource):
        source.path.write_bytes(content)
    source.blobs[Digest.of(CONTENT)] = content
    return source


def layer(digest: Digest | None = None) -> Descriptor:
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=digest or Digest.of(CONTENT), size=SIZE)


def blob_of(part: LayerPart) -> bytes:
    body = b"".join(part.body.slices(1000))
    assert part.body.length == len(body)
    assert part.body.sha256 == sha256(body).hexdigest()
    members = json.loads(body)
    assert (members["partFirstByte"], members["partLastByte"]) == (part.first, part.end - 1)
    assert (members["registryId"], members["repositoryName"]) == ("123456789012", "app")
    assert members["uploadId"] == SESSION.upload_id
    return pybase64.b64decode(members["layerPartBlob"], validate=True)


@pytest.mark.parametrize(
    ("firsts", "guarded"),
    [
        pytest.param([0, PART, 2 * PART], [True, True, True], id="in order"),
        pytest.param([0, PART, 0, PART, 2 * PART], [True, True, False, True, True], id="moved back to the beginning"),
        pytest.param([0, PART, 7, 7 + PART, 2 * PART], [True, True, False, True, True], id="moved back between parts"),
        pytest.param([PART, 2 * PART], [True, True], id="from the middle"),
        pytest.param([2 * PART, 0, PART], [True, False, False], id="the end first"),
        pytest.param([0, SLICE * 2 + 1], [True, True], id="with a gap"),
    ],
)
async def test_parts_hold_their_bytes_and_vouch_for_all_before_in_any_order(
    source: MemorySource, firsts: list[int], guarded: list[bool]
) -> None:
    async with LayerReader(source, layer()) as reader:
        for first, vouches in zip(firsts, guarded, strict=True):
            part = await reader.part(SESSION, first)
            assert (part.first, part.end) == (first, min(first + PART, SIZE))
            assert blob_of(part) == CONTENT[part.first : part.end]
            assert part.guard == (xxhash.xxh3_64_intdigest(CONTENT[: part.end]) if vouches else None)


@pytest.mark.parametrize(("guard", "same"), [(xxhash.xxh3_64_intdigest(CONTENT[:PART]), True), (NO_GUARD, False)])
async def test_a_file_is_taken_up_when_it_is_what_was_sent(tmp_path: Path, guard: int, same: bool) -> None:
    async with LayerReader(source_of(CONTENT, tmp_path), layer()) as reader:
        assert await reader.resume(PART, guard) is same
        assert (await reader.part(SESSION, PART)).guard == xxhash.xxh3_64_intdigest(CONTENT[: 2 * PART])


async def test_a_stream_is_taken_up_without_reading_its_beginning_again() -> None:
    source = source_of(CONTENT, None)
    async with LayerReader(source, layer()) as reader:
        assert await reader.resume(PART, 1)
        assert source.calls["open_blob"] == 0
        parts = [await reader.part(SESSION, first) for first in (PART, 2 * PART)]
    assert b"".join(map(blob_of, parts)) == CONTENT[PART:]
    assert {part.guard for part in parts} == {NO_GUARD}
    assert source.calls["open_blob"] == 1, "it is read on from part to part"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_layer_is_verified_by_the_algorithm_of_its_digest(tmp_path: Path, algorithm: str) -> None:
    source, guard = source_of(CONTENT, tmp_path), xxhash.xxh3_64_intdigest(CONTENT)
    right, wrong = Digest.of(CONTENT, algorithm), Digest.of(CONTENT + b".", algorithm)
    async with LayerReader(source, layer(right)) as reader:
        assert await reader.resume(SIZE, guard)
    with pytest.raises(ContentMismatch, match=f"{wrong} in .* has digest {right}; it is damaged") as caught:
        async with LayerReader(source, layer(wrong)) as reader:
            await reader.resume(SIZE, guard)
    assert caught.value.side == "source"


@pytest.mark.parametrize("firsts", [[0, PART, 2 * PART], [2 * PART], [0, PART, 0, PART, 2 * PART]])
async def test_a_layer_with_another_digest_never_gives_its_last_part(source: MemorySource, firsts: list[int]) -> None:
    wrong = Digest.of(b"something else")
    source.blobs[wrong] = CONTENT
    async with LayerReader(source, layer(wrong)) as reader:
        for first in firsts[:-1]:
            await reader.part(SESSION, first)
        with pytest.raises(ContentMismatch, match=str(source.locate(layer(wrong)))):
            await reader.part(SESSION, firsts[-1])


async def test_bytes_that_changed_after_they_were_verified_are_sent_as_they_are(tmp_path: Path) -> None:
    source = source_of(CONTENT, tmp_path)
    async with LayerReader(source, layer()) as reader:
        await reader.resume(SIZE, NO_GUARD)
        (tmp_path / "blob").write_bytes(bytes(SIZE))
        # Read again after a move back: what it is by now only the registry's own digest can tell.
        assert blob_of(await reader.part(SESSION, 0)) == bytes(PART)


@pytest.mark.parametrize("length", [0, 10, PART, PART + SLICE])
async def test_a_file_that_is_too_short_is_named(tmp_path: Path, length: int) -> None:
    source = source_of(CONTENT[:length], tmp_path)
    with pytest.raises(
        ContentMismatch, match=f"its size should be {SIZE}, and it is cut off at byte {length}"
    ) as caught:
        async with LayerReader(source, layer()) as reader:
            await reader.resume(SIZE, NO_GUARD)
    assert str(tmp_path / "blob") in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that opens and cannot be read")
async def test_a_file_that_cannot_be_read_is_named() -> None:
    source = FileSource(Path("/proc/self/mem"))
    with pytest.raises(InvalidLayout, match="/proc/self/mem: cannot be read: Input/output error; check the disk"):
        async with LayerReader(source, layer()) as reader:
            await reader.part(SESSION, 0)


class Endless(MemorySource):
    """Streams a blob in pieces of one slice; `at_work` once the first one is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = asyncio.Event()

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncGenerator[bytes]:
            for start in range(offset, SIZE, SLICE):
                self.at_work.set()
                yield CONTENT[start : start + SLICE]

        chunks = pieces()
        try:
            yield chunks
        finally:
            await chunks.aclose()


@contextmanager
def forgotten_generators() -> Iterator[list[object]]:
    """Those that nobody closed, which the loop would then close at some later time, in a task of its own."""
    found: list[object] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=found.append)
    try:
        yield found
    finally:
        sys.set_asyncgen_hooks(*hooks)


async def test_a_reader_of_a_stream_that_is_cancelled_closes_what_it_opened() -> None:
    source = Endless()

    async def read() -> None:
        async with LayerReader(source, layer()) as reader:
            await reader.part(SESSION, 0)

    with forgotten_generators() as forgotten:
        task = asyncio.create_task(read())
        await source.at_work.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert forgotten == []


@pytest.mark.parametrize("length", [0, 1, 2, 3, 999, 1000, 300_000])
@pytest.mark.parametrize("size", [4, 1000, 1_000_000])
def test_slices_of_base64_text_join_to_the_text_of_the_whole(length: int, size: int) -> None:
    raw = bytes(range(256)) * (length // 256 + 1)
    text = Base64Text(memoryview(raw)[:length])
    slices = list(text.slices(size))
    assert b"".join(slices) == pybase64.b64encode(raw[:length])
    assert len(text) == sum(map(len, slices))
    assert all(len(one) <= size for one in slices)
