"""Content that changes between two runs, and a journal that is wrong: what is sent again, and what is refused."""

import sqlite3
from collections.abc import Callable

import msgspec
import pytest

from tests.support.behind_peer import PART, Site
from transfer import ContentMismatch, TransferError
from transfer.events import Event, Notice
from transfer.state.journal import UploadState
from transfer.testing.images import BuiltImage, ImageBuilder

SIZE = 4 * PART + 7


def damage(image: BuiltImage, at: int) -> None:
    with image.file(image.blobs[1]).open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


async def test_a_file_that_changed_where_it_was_sent_starts_over_and_is_refused(
    site: Site, layout: ImageBuilder
) -> None:
    image, events = layout.image([SIZE]), list[Event]()
    await site.add_config(image)
    await site.push_stopped(image, at=2 * PART)
    damage(image, at=PART + 5)
    with pytest.raises(ContentMismatch) as caught:
        await site.push(image, observer=events.append)
    assert str(image.file(image.blobs[1])) in str(caught.value)
    assert site.server.requests.count("InitiateLayerUpload") == 1
    assert site.server.requests.count("CompleteLayerUpload") == 0
    assert any("content has changed" in event.message for event in events if isinstance(event, Notice))
    assert await site.tags() == {}


async def test_a_file_that_changed_where_it_was_not_yet_sent_is_refused_before_complete(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    await site.push_stopped(image, at=2 * PART)
    damage(image, at=3 * PART)
    with pytest.raises(ContentMismatch, match=image.file(image.blobs[1]).name):
        await site.push(image)
    assert site.server.requests.count("CompleteLayerUpload") == 0


async def test_a_file_that_was_wrong_when_it_was_sent_and_is_right_now_starts_over(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    damage(image, at=5)
    await site.push_stopped(image, at=2 * PART)
    damage(image, at=5)
    result = await site.push(image)
    assert (result.blobs[1].status, result.blobs[1].sent) == ("uploaded", SIZE)
    assert site.server.requests.count("InitiateLayerUpload") == 1
    await site.assert_whole(image)


async def test_a_file_that_became_shorter_is_refused(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    await site.push_stopped(image, at=2 * PART)
    path = image.file(image.blobs[1])
    path.write_bytes(path.read_bytes()[:PART])
    with pytest.raises(TransferError, match=path.name):
        await site.push(image)
    assert site.server.requests.count("CompleteLayerUpload") == 0


async def test_a_journal_that_vouches_for_bytes_the_registry_does_not_have_starts_over(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    await site.push_stopped(image, at=2 * PART)
    # The registry holds as many bytes as the journal says, but others.
    session = await site.ecr.initiate_layer_upload(repositoryName="app")
    await site.add_part(session["uploadId"], 0, bytes(PART))
    await site.add_part(session["uploadId"], PART, bytes(PART))
    rewrite(site, lambda state: UploadState(session["uploadId"], PART, state.offset, state.guard))
    site.server.requests.clear()
    result = await site.push(image)
    assert [one.code for one in site.server.requests.of("CompleteLayerUpload")] == ["InvalidLayerException", None]
    assert (result.blobs[1].status, result.blobs[1].sent) == ("uploaded", SIZE - 2 * PART + SIZE)
    await site.assert_whole(image)


def rewrite(site: Site, change: Callable[[UploadState], UploadState]) -> None:
    with sqlite3.connect(site.state) as database:
        ((key, state),) = database.execute("SELECT key, state FROM uploads").fetchall()
        changed = msgspec.msgpack.encode(change(msgspec.msgpack.decode(state, type=UploadState)))
        database.execute("UPDATE uploads SET state = ? WHERE key = ?", (changed, key))
    database.close()
