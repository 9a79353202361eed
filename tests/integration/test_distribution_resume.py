"""Uploads over the Distribution API that broke off, continued in the embedded registry, counted there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.breaking_source import BreakingSource
from tests.support.distribution_ends import SERVER_LOGIN, opened
from transfer import Server
from transfer.engine.protocols import BlobContext
from transfer.errors import ConnectionFailed
from transfer.events import BlobStarted, Event
from transfer.local.layout.source import LayoutSource
from transfer.state.journal import NoState, UploadState
from transfer.state.sqlite_journal import SqliteJournal
from transfer.testing.images import ImageBuilder

MIB = 1024 * 1024


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal", on_failure=pytest.fail)
    yield journal
    await journal.close()


@pytest.mark.parametrize("breaks_at", [0, 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 3 * MIB + 12345, 5 * MIB + 3])
@pytest.mark.parametrize("remote", [False, True])
async def test_at_most_one_chunk_is_sent_again(
    server: Server, layout: ImageBuilder, journal: SqliteJournal, breaks_at: int, remote: bool
) -> None:
    image = layout.image(sizes=(5 * MIB + 7,))
    layer = max(image.blobs, key=lambda blob: blob.size)
    events: list[Event] = []
    address = server.url.removeprefix("http://")
    async with opened(address, logins=SERVER_LOGIN, journal=journal) as registry:
        with pytest.raises(ConnectionFailed, match="the stream broke off"):
            await registry.target("app").push_blob(
                BlobContext(layer, events.append), BreakingSource(image.path, breaks_at=breaks_at)
            )
    source = BreakingSource(image.path) if remote else LayoutSource(image.path)
    async with opened(address, logins=SERVER_LOGIN, journal=journal) as registry:
        target = registry.target("app")
        sent = await target.push_blob(BlobContext(layer, events.append), source)
        assert await target.missing([layer], fresh=True) == set()

    started = [event.offset for event in events if isinstance(event, BlobStarted)]
    assert started == [0, sent.resumed]
    assert sent.sent == layer.size - sent.resumed
    assert breaks_at - sent.resumed < MIB


@pytest.mark.parametrize(
    ("chunks", "breaks"),
    [
        ([MIB, MIB, MIB, MIB], [2_600_000, 3_300_000, 4_100_000, 5_000_000]),
        ([MIB, 3 * MIB, MIB, MIB], [2_600_000, 5_500_000, 6_000_000, 6_900_000]),
    ],
    ids=["little by little", "in larger chunks than before"],
)
async def test_a_blob_that_breaks_in_every_chunk_is_still_the_same_upload(
    server: Server, layout: ImageBuilder, journal: SqliteJournal, chunks: list[int], breaks: list[int]
) -> None:
    image = layout.image(sizes=(7 * MIB + 7,))
    layer = max(image.blobs, key=lambda blob: blob.size)
    address = server.url.removeprefix("http://")
    for chunk, breaks_at in zip(chunks, breaks, strict=True):
        async with opened(address, logins=SERVER_LOGIN, journal=journal) as registry:
            target = registry.target("app", chunk=chunk)
            with pytest.raises(ConnectionFailed, match="the stream broke off"):
                await target.push_blob(
                    BlobContext(layer, list[Event]().append), BreakingSource(image.path, breaks_at=breaks_at)
                )
    async with opened(address, logins=SERVER_LOGIN, journal=journal) as registry:
        target = registry.target("app", chunk=chunks[-1])
        sent = await target.push_blob(BlobContext(layer, list[Event]().append), BreakingSource(image.path))
        assert await target.missing([layer], fresh=True) == set()
    assert server.requests.count("PostUpload", 202) == 1
    assert breaks[-1] - sent.resumed < MIB


class CountingJournal(NoState):
    """Counts the questions."""

    asked = 0

    async def get(self, key: str) -> UploadState | None:
        self.asked += 1
        return await super().get(key)


async def test_blobs_that_go_in_one_request_are_not_looked_up_in_the_journal(
    server: Server, layout: ImageBuilder
) -> None:
    journal, image = CountingJournal(), layout.image([MIB + 1, MIB, 1000, 0])
    async with opened(server.url.removeprefix("http://"), logins=SERVER_LOGIN, journal=journal) as registry:
        target, source = registry.target("app"), LayoutSource(image.path)
        for blob in image.blobs:
            await target.push_blob(BlobContext(blob, lambda _: None), source)
    assert journal.asked == server.requests.count("PatchUpload", 202) - 1 == 1
