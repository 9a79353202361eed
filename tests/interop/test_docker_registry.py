"""The Distribution ends against Debian's docker-registry."""

import asyncio
import contextlib
import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.breaking_source import BreakingSource
from tests.support.copying import copy_image, new_sharing
from tests.support.distribution_ends import Registry, opened
from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from tests.support.kills import assert_whole, start
from transfer.concurrency.limits import Limits
from transfer.engine.protocols import BlobContext, Source
from transfer.errors import BlobUnknown, ConnectionFailed, NotFound
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.registry.oci.target import DistributionTarget
from transfer.state.sqlite_journal import SqliteJournal
from transfer.testing.images import BuiltImage, ImageBuilder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=INSTALL)

MIB = 1024 * 1024


@pytest_asyncio.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with docker_registry(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def registry(address: str) -> AsyncIterator[Registry]:
    async with opened(address) as ready:
        yield ready


async def copy(source: Source, root: Descriptor, target: DistributionTarget, limits: Limits, tag: str | None) -> None:
    await copy_image(source, root, target, tag=tag, sharing=new_sharing(limits))


async def push(image: BuiltImage, registry: Registry, repository: str, *, tag: str | None = "v1") -> None:
    await copy(LayoutSource(image.path), image.root, registry.target(repository), registry.limits, tag)


async def test_an_index_travels_through_two_repositories_bit_for_bit(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.index(sizes=(3 * MIB + 7, 5, MIB))
    await push(image, registry, "one")
    source = registry.source("one")
    root = await source.resolve("v1")

    await copy(source, root, registry.target("two/deep"), registry.limits, "v2")

    again = registry.source("two/deep")
    assert (await again.resolve("v2")).digest == image.root.digest
    for manifest in image.manifests:
        assert (await again.manifest(manifest)).raw == image.content(manifest)
    for blob in image.blobs:
        async with again.open_blob(blob) as pieces:
            found = hashlib.sha256(b"".join([piece async for piece in pieces]))
        assert found.hexdigest() == blob.digest.encoded


async def test_a_range_is_a_range(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image(sizes=(MIB,))
    await push(image, registry, "one")
    layer = max(image.blobs, key=lambda blob: blob.size)

    async with registry.source("one").open_blob(layer, offset=1000, end=3000) as pieces:
        got = b"".join([piece async for piece in pieces])

    assert got == image.content(layer)[1000:3000]


async def test_a_blob_is_mounted_from_another_repository(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image()
    await push(image, registry, "one")
    target = registry.target("two")
    blob = image.blobs[0]

    assert await target.mount_blob(blob, "one")
    assert await target.missing([blob], fresh=True) == set()


async def test_what_cannot_be_mounted_is_uploaded_by_the_session_that_was_opened(
    registry: Registry, layout: ImageBuilder
) -> None:
    image = layout.image()
    target = registry.target("two")
    blob = image.blobs[0]

    assert not await target.mount_blob(blob, "nowhere")
    sent = await target.push_blob(BlobContext(blob, lambda _: None), LayoutSource(image.path))

    assert sent.sent == blob.size
    assert await target.missing([blob], fresh=True) == set()


@pytest.mark.parametrize(
    ("breaks_at", "resumed"),
    # docker-registry 2.8 gives up a session whose last chunk broke off in the middle: then the blob starts over.
    [(6 * MIB, 6 * MIB), (6 * MIB + 500, 0)],
)
async def test_a_later_run_continues_in_the_blob(
    address: str, layout: ImageBuilder, tmp_path: Path, breaks_at: int, resumed: int
) -> None:
    image = layout.image(sizes=(10 * MIB + 1,))
    layer = max(image.blobs, key=lambda blob: blob.size)
    async with journal_in(tmp_path) as journal:
        async with opened(address, journal=journal) as first:
            with pytest.raises(ConnectionFailed, match="the stream broke off"):
                await first.target("app").push_blob(
                    BlobContext(layer, lambda _: None), BreakingSource(image.path, breaks_at=breaks_at)
                )
        async with opened(address, journal=journal) as second:
            target = second.target("app")
            sent = await target.push_blob(BlobContext(layer, lambda _: None), LayoutSource(image.path))
            assert await target.missing([layer], fresh=True) == set()
    assert (sent.sent, sent.resumed) == (layer.size - resumed, resumed)


@asynccontextmanager
async def journal_in(folder: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(folder / "journal", on_failure=pytest.fail)
    try:
        yield journal
    finally:
        await journal.close()


async def test_tags_come_over_pages_each_once(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image()
    for number in range(3):
        await push(image, registry, "app", tag=f"v{number}")

    assert sorted([tag async for tag in registry.client.tags("app")]) == ["v0", "v1", "v2"]


async def test_without_a_referrers_api_there_are_none(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image()
    await push(image, registry, "app")

    assert await registry.client.referrers("app", image.root.digest) == []


async def test_what_was_deleted_is_gone(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image()
    await push(image, registry, "app")

    await registry.client.delete_manifest("app", image.root.digest)
    await registry.client.delete_blob("app", image.blobs[0].digest)

    with pytest.raises(NotFound):
        await registry.source("app").resolve("v1")
    assert await registry.target("app").missing(image.blobs, fresh=True) == {image.blobs[0].digest}


async def test_a_repository_that_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound, match="nobody") as caught:
        await registry.source("nobody").resolve("v1")
    assert caught.value.side == "source"
    with pytest.raises(NotFound):
        [tag async for tag in registry.client.tags("nobody")]


async def test_a_registry_that_is_not_there_says_so() -> None:
    async with opened("127.0.0.1:1") as registry:
        with pytest.raises(ConnectionFailed, match="check the address"):
            await registry.source("app").resolve("v1")


async def test_a_manifest_whose_blobs_are_missing_is_refused(registry: Registry, layout: ImageBuilder) -> None:
    image = layout.image()
    target = registry.target("app")
    with pytest.raises(BlobUnknown) as caught:
        await target.push_manifest(await LayoutSource(image.path).manifest(image.root), tag="v1")
    assert caught.value.side == "target"


async def test_a_copy_killed_in_the_middle_of_its_layers_arrives_bit_for_bit(
    layout: ImageBuilder, tmp_path: Path
) -> None:
    """
    Between two of them; a layer that is killed in the middle of a chunk starts over here, whatever the chunk's size.

    docker-registry 2.8 cancels a session at the next request for it, even for its status, when it holds more bytes than
    the signed state in the session's address says; a chunk that broke off leaves it so, and only an answer to the whole
    chunk would have brought the next state. What was committed before stays.
    """
    image = layout.image(sizes=(23 * MIB, 17 * MIB, 6 * MIB, 2000, 3000))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    moments = random.Random(5)
    async with docker_registry(folders[0]) as source, docker_registry(folders[1]) as target:
        async with opened(source) as registry:
            await push(image, registry, "app")
        copying = (
            "copy",
            f"{source}/app:v1",
            f"{target}/app:v1",
            "--chunk-size",
            "2MiB",
            "--state",
            f"{tmp_path}/state",
        )
        for _ in range(5):
            process = await start(*copying, environment={})
            enough = stored(folders[1]) + moments.randint(1, 4 * MIB)
            while process.returncode is None and stored(folders[1]) < enough:
                await asyncio.sleep(0.001)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
        assert await (await start(*copying, environment={})).wait() == 0
        await assert_whole(f"{target}/app:v1", image, tmp_path / "out")


def stored(folder: Path) -> int:
    """Bytes in a registry's storage; a file or folder may go while they are counted."""
    size = 0
    for place, _, names in os.walk(folder / "storage"):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(place) / name).stat().st_size if name == "data" else 0
    return size


async def test_a_repository_that_is_missing_is_told_from_a_missing_tag(
    registry: Registry, layout: ImageBuilder
) -> None:
    await push(layout.image(), registry, "app")
    with pytest.raises(NotFound, match="check the repository's name, or create it"):
        await registry.source("nothing").resolve("v1")
    with pytest.raises(NotFound, match="manifest unknown; check the tag or digest"):
        await registry.source("app").resolve("v9")
