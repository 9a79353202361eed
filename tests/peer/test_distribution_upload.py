"""Uploads into registries that lose, refuse, move and lie."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.breaking_source import BreakingSource
from tests.support.distribution_ends import opened
from tests.support.quirky import method_of, on, quirky, refuse
from tests.support.scripted import Arrived, Step, answer, cut, drop
from tests.support.uploads import CHUNK, MIB, PLAIN, push
from transfer.engine.protocols import BlobContext, BlobSent
from transfer.errors import ConnectionFailed, InvalidLayout, RegistryError, Unauthorized, UploadLost
from transfer.events import BlobProgress, Event, Notice
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.state.sqlite_journal import SqliteJournal
from transfer.testing.images import BuiltImage, ImageBuilder


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path / "journal", on_failure=pytest.fail)
    yield journal
    await journal.close()


def test_the_layer_is_three_chunks_and_a_bit(layer: Descriptor) -> None:
    assert divmod(layer.size, CHUNK) == (3, 17)


async def test_a_small_blob_takes_two_requests(image: BuiltImage) -> None:
    config = min(image.blobs, key=lambda blob: blob.size)
    async with quirky() as peer:
        sent = await push(peer, LayoutSource(image.path), config)
    assert peer.lines == ["POST uploads", "PUT upload"]
    assert sent == BlobSent(config.size)
    assert peer.blobs[config.digest] == image.content(config)


async def test_a_large_blob_goes_in_chunks_each_to_the_newest_location(image: BuiltImage, layer: Descriptor) -> None:
    events: list[Event] = []
    async with quirky() as peer:
        sent = await push(peer, LayoutSource(image.path), layer, events=events)
    assert peer.lines == ["POST uploads", *["PATCH upload"] * 4, "PUT upload"]
    states = [request.line.split()[1].partition("_state=")[2].partition("&")[0] for request in peer.requests[1:]]
    assert states == ["1%2F", "2%2F", "3%2F", "4%2F", "5%2F"]
    assert sent == BlobSent(layer.size)
    assert peer.blobs[layer.digest] == image.content(layer)
    offsets = [event.offset for event in events if isinstance(event, BlobProgress)]
    assert offsets == [CHUNK, 2 * CHUNK, 3 * CHUNK, layer.size]


async def test_chunks_are_read_in_one_stream(image: BuiltImage, layer: Descriptor) -> None:
    source = BreakingSource(image.path)
    async with quirky() as peer:
        await push(peer, source, layer)
    assert source.opened_at == [0]


@pytest.mark.parametrize("fault", [drop, cut, refuse(500, "UNKNOWN"), refuse(429, "TOOMANYREQUESTS")])
async def test_a_chunk_that_failed_is_settled_by_the_session_and_sent_again(
    image: BuiltImage, layer: Descriptor, fault: Step
) -> None:
    async with quirky(on("PATCH upload", fault, times=1, after=1)) as peer:
        sent = await push(peer, LayoutSource(image.path), layer)
    assert peer.lines.count("GET upload") == 1
    assert peer.lines.count("PATCH upload") == 5
    assert peer.blobs[layer.digest] == image.content(layer)
    assert sent.sent == layer.size


async def test_a_chunk_whose_answer_was_lost_is_not_sent_again(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky() as peer:

        async def take_and_drop(request: Arrived) -> None:
            await request.read_body()
            peer.sessions["s0"] += request.body
            request.writer.close()

        peer.quirk = on("PATCH upload", take_and_drop, times=1, after=1)
        await push(peer, LayoutSource(image.path), layer)
    assert peer.lines.count("PATCH upload") == 4
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_a_refused_chunk_says_where_to_go_on(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky() as peer:

        async def lose_half(request: Arrived) -> None:
            await request.read_body()
            del peer.sessions["s0"][CHUNK // 2 :]
            request.reply(416, b"", {"Range": f"0-{CHUNK // 2 - 1}"})

        peer.quirk = on("PATCH upload", lose_half, times=1, after=1)
        sent = await push(peer, LayoutSource(image.path), layer)
    assert "GET upload" not in peer.lines
    assert peer.blobs[layer.digest] == image.content(layer)
    assert sent.sent == layer.size + CHUNK // 2


async def test_ecrs_way_of_accepting_a_chunk_is_taken(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky() as peer:

        async def like_ecr(request: Arrived) -> None:
            await request.read_body()
            peer.sessions["s0"] += request.body
            request.reply(201, b"", {"Location": f"{peer.url}/v2/app/blobs/uploads/s0", "Range": f"0-{CHUNK - 1}"})

        peer.quirk = on("PATCH upload", like_ecr)
        await push(peer, LayoutSource(image.path), layer)
    assert peer.lines == ["POST uploads", *["PATCH upload"] * 4, "PUT upload"]
    assert peer.blobs[layer.digest] == image.content(layer)


@pytest.mark.parametrize("status", [400, 405, 411, 416, 501])
async def test_a_registry_without_chunks_gets_the_blob_in_one_piece(
    image: BuiltImage, layer: Descriptor, status: int
) -> None:
    events: list[Event] = []
    async with (
        quirky(on("PATCH upload", refuse(status, "UNSUPPORTED"))) as peer,
        opened(peer.registry, settings=PLAIN) as registry,
    ):
        target = registry.target("app", chunk=CHUNK, threshold=CHUNK)
        await target.push_blob(BlobContext(layer, events.append), LayoutSource(image.path))
        again = registry.target("other", chunk=CHUNK, threshold=CHUNK)
        await again.push_blob(BlobContext(layer, events.append), LayoutSource(image.path))
    assert peer.lines.count("PATCH upload") == 1
    assert peer.blobs[layer.digest] == image.content(layer)
    assert any(isinstance(event, Notice) and "takes no chunks" in event.message for event in events)


async def test_a_registry_that_keeps_the_last_chunk_only_gets_the_blob_in_one_piece(
    image: BuiltImage, layer: Descriptor
) -> None:
    async with quirky() as peer:

        async def forget_the_rest(request: Arrived) -> None:
            await request.read_body()
            peer.sessions["s0"][:] = request.body
            request.reply(202, b"", peer.where("s0"))

        peer.quirk = on("PATCH upload", forget_the_rest)
        await push(peer, LayoutSource(image.path), layer)
    assert peer.lines[-2:] == ["POST uploads", "PUT upload"]
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_a_body_that_is_too_large_is_split(image: BuiltImage, layer: Descriptor) -> None:
    def small_only(request: Arrived) -> Step | None:
        return answer(413, b"<title>Too large</title>") if request.length > 2 * MIB else None

    async with quirky(small_only) as peer:
        await push(peer, LayoutSource(image.path), layer, threshold=8 * MIB)
    assert peer.lines.count("PATCH upload") == 4
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_a_smallest_chunk_is_heeded(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky() as peer:

        async def demanding(request: Arrived) -> None:
            await request.read_body()
            peer.sessions["s0"] = bytearray()
            request.reply(202, b"", {**peer.where("s0"), "OCI-Chunk-Min-Length": str(2 * MIB)})

        peer.quirk = on("POST uploads", demanding)
        await push(peer, LayoutSource(image.path), layer)
    lengths = [request.length for request in peer.requests if method_of(request) == "PATCH"]
    assert lengths == [2 * MIB, layer.size - 2 * MIB]


@pytest.mark.parametrize("threshold", [0, 8 * MIB])
async def test_a_commit_whose_answer_was_lost_is_settled_by_asking_for_the_blob(
    image: BuiltImage, layer: Descriptor, threshold: int
) -> None:
    async with quirky() as peer:

        async def commit_and_drop(request: Arrived) -> None:
            await request.read_body()
            peer.blobs[layer.digest] = bytes(peer.sessions.pop("s0") + request.body)
            request.writer.close()

        peer.quirk = on("PUT upload", commit_and_drop, times=1)
        await push(peer, LayoutSource(image.path), layer, threshold=threshold)
    assert peer.lines.count("PUT upload") == 1
    assert peer.lines[-1] == "HEAD blob"


async def test_a_piece_that_broke_is_sent_again_into_another_session(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky(on("PUT upload", cut, times=1)) as peer:
        await push(peer, LayoutSource(image.path), layer, threshold=8 * MIB)
    assert peer.lines == ["POST uploads", "PUT upload", "DELETE upload", "HEAD blob", "POST uploads", "PUT upload"]
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_a_source_that_breaks_leaves_a_session_that_the_next_run_continues(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    async with quirky() as peer:
        with pytest.raises(ConnectionFailed, match="the stream broke off") as caught:
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB + 5), layer, journal=journal)
        assert caught.value.side == "source"
        assert "GET upload" not in peer.lines
        sent = await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert (sent.resumed, sent.sent) == (2 * MIB, layer.size - 2 * MIB)
    assert peer.blobs[layer.digest] == image.content(layer)
    assert await journal.get(f"{peer.registry}/app@{layer.digest}") is None


async def test_a_remote_source_is_read_only_from_where_the_session_stands(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    async with quirky() as peer:
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB + 5), layer, journal=journal)
        source = BreakingSource(image.path)
        await push(peer, source, layer, journal=journal)
    assert source.opened_at == [2 * MIB]
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_what_the_registry_has_spoiled_meanwhile_starts_over(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    async with quirky() as peer:
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB), layer, journal=journal)
        peer.sessions["s0"][7] ^= 1
        sent = await push(peer, BreakingSource(image.path), layer, journal=journal)
    assert sent == BlobSent(sent.sent)
    assert peer.blobs[layer.digest] == image.content(layer)


@pytest.mark.parametrize("held", ["0-99999999", "5-9", "nonsense"])
@pytest.mark.attack("upload-range")
async def test_a_session_that_claims_what_cannot_be_starts_over(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal, held: str
) -> None:
    async with quirky() as peer:
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB), layer, journal=journal)
        peer.quirk = on("GET upload", answer(204, b"", Range=held))
        await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert peer.lines.count("POST uploads") == 2
    assert peer.blobs[layer.digest] == image.content(layer)


@pytest.mark.parametrize("step", [refuse(404, "BLOB_UPLOAD_UNKNOWN"), refuse(400, "X"), refuse(405, "UNSUPPORTED")])
async def test_a_session_that_is_gone_starts_over(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal, step: Step
) -> None:
    async with quirky() as peer:
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB), layer, journal=journal)
        peer.quirk = on("GET upload", step)
        await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert peer.blobs[layer.digest] == image.content(layer)


async def test_a_session_that_is_lost_again_and_again_is_an_error(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky(on("PATCH upload", refuse(404, "BLOB_UPLOAD_UNKNOWN"))) as peer:
        with pytest.raises(UploadLost) as caught:
            await push(peer, LayoutSource(image.path), layer)
    assert (caught.value.side, peer.lines.count("POST uploads")) == ("target", 4)


async def test_content_that_changed_between_runs_is_refused_and_starts_over(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    whole = image.content(layer)
    async with quirky() as peer:
        image.file(layer).write_bytes(b"\0" * layer.size)
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB), layer, journal=journal)
        image.file(layer).write_bytes(whole)
        sent = await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert sent == BlobSent(layer.size - 2 * MIB + layer.size), "the rest, then all of it"
    assert peer.blobs[layer.digest] == whole


async def test_a_refusal_is_the_targets_and_names_the_repository(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky(on("POST uploads", refuse(403, "DENIED"))) as peer:
        with pytest.raises(Unauthorized, match=f"POST upload to {peer.registry}/app: it is so") as caught:
            await push(peer, LayoutSource(image.path), layer)
    assert caught.value.side == "target"
    assert peer.lines == ["POST uploads"]


@pytest.mark.parametrize("location", ["", "ftp://x/", "//u:p@evil.example/", "/\r", None])
async def test_a_session_without_a_usable_location_is_an_error(
    image: BuiltImage, layer: Descriptor, location: str | None
) -> None:
    headers = {} if location is None else {"Location": location}
    async with quirky(on("POST uploads", answer(202, b"", **headers))) as peer:
        with pytest.raises((RegistryError, ConnectionFailed)):
            await push(peer, LayoutSource(image.path), layer)
    assert set(peer.lines) == {"POST uploads"}


@pytest.mark.parametrize("threshold", [0, 8 * MIB])
@pytest.mark.attack("CVE-2026-50151")
async def test_a_session_on_another_host_gets_the_bytes_and_no_credentials(
    image: BuiltImage, layer: Descriptor, threshold: int
) -> None:
    async with quirky() as storage, quirky() as peer:
        storage.sessions["s0"] = bytearray()

        def guarded(request: Arrived) -> Step | None:
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            if method_of(request) == "POST":
                return answer(202, b"", Location=f"{storage.url}/v2/app/blobs/uploads/s0")
            return None

        peer.quirk = guarded
        await push(peer, LayoutSource(image.path), layer, threshold=threshold)
    assert storage.blobs[layer.digest] == image.content(layer)
    assert all("authorization" not in request.headers for request in storage.requests)
    assert [("authorization" in request.headers) for request in peer.requests] == [False, True]


async def test_cancelling_in_mid_upload_leaves_no_task_and_keeps_the_session(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    async with quirky() as peer:
        reached = asyncio.Event()

        async def hang(request: Arrived) -> None:
            request.body += await request.reader.read(1000)
            reached.set()
            await asyncio.Event().wait()

        peer.quirk = on("PATCH upload", hang, after=1)
        pushing = asyncio.create_task(push(peer, LayoutSource(image.path), layer, journal=journal))
        await reached.wait()
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        assert "DELETE upload" not in peer.lines
        peer.quirk = None
        sent = await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert sent.resumed == CHUNK


async def test_an_error_of_the_disk_is_the_sources(image: BuiltImage, layer: Descriptor) -> None:
    image.file(layer).unlink()
    async with quirky() as peer:
        with pytest.raises(InvalidLayout) as caught:
            await push(peer, LayoutSource(image.path), layer)
    assert caught.value.side == "source"


async def test_an_empty_blob_is_a_blob(layout: ImageBuilder) -> None:
    image = layout.image(sizes=(0,))
    empty = next(blob for blob in image.blobs if blob.size == 0)
    async with quirky() as peer:
        assert await push(peer, LayoutSource(image.path), empty) == BlobSent(0)
    assert peer.blobs[empty.digest] == b""


@pytest.mark.parametrize(
    "step",
    [refuse(404, "BLOB_UNKNOWN"), refuse(405, "UNSUPPORTED"), refuse(500, "UNKNOWN"), refuse(403, "DENIED"), drop],
)
async def test_a_mount_that_fails_in_any_way_is_an_upload(image: BuiltImage, layer: Descriptor, step: Step) -> None:
    async with quirky(on("POST uploads", step, times=1)) as peer, opened(peer.registry, settings=PLAIN) as registry:
        target = registry.target("app", chunk=CHUNK, threshold=8 * MIB)
        assert not await target.mount_blob(layer, "other")
        await target.push_blob(BlobContext(layer, lambda _: None), LayoutSource(image.path))
    assert peer.lines == ["POST uploads", "POST uploads", "PUT upload"]
    assert f"mount={layer.digest}&from=other" in peer.requests[0].line


async def test_a_blob_that_was_mounted_is_not_sent(image: BuiltImage, layer: Descriptor) -> None:
    async with quirky(on("POST uploads", answer(201, b""))) as peer, opened(peer.registry, settings=PLAIN) as registry:
        target = registry.target("app")
        assert await target.mount_blob(layer, "other")
        sent = await target.push_blob(BlobContext(layer, lambda _: None), LayoutSource(image.path))
    assert (sent.already_there, peer.lines) == (True, ["POST uploads"])


async def test_a_session_that_holds_everything_needs_its_commit_alone(
    image: BuiltImage, layer: Descriptor, journal: SqliteJournal
) -> None:
    async with quirky(on("PUT upload", refuse(403, "DENIED"), times=1)) as peer:
        with pytest.raises(Unauthorized):
            await push(peer, LayoutSource(image.path), layer, journal=journal)
        peer.requests.clear()
        sent = await push(peer, LayoutSource(image.path), layer, journal=journal)
    assert (sent.sent, sent.resumed) == (0, layer.size)
    assert peer.lines == ["GET upload", "PUT upload"]
