"""Bodies that the kernel sends from a file, over connections that fail as they do for every other body."""

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest
import uvloop

from tests.support.breaking_source import BreakingSource
from tests.support.quirky import quirky
from tests.support.scripted import Arrived, Step, answer, cut, deaf, early, hasty, scripted, slow
from tests.support.uploads import push
from transfer.concurrency.limiters import BandwidthLimiter, TokenBucket
from transfer.concurrency.retry import pause
from transfer.config import TransferConfig
from transfer.engine.blob_reader import BlobReader, SourceFailed
from transfer.errors import ConnectionFailed, ContentMismatch, InvalidLayout
from transfer.http.bodies import BlobBody
from transfer.http.messages import HttpRequest, HttpResponse
from transfer.http.settings import SYSTEM_TLS, Tls
from transfer.http.transport import Transport
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.state.sqlite_journal import SqliteJournal
from transfer.testing.images import ImageBuilder

QUICK = TransferConfig(connect_timeout=5, read_timeout=0.3)
MIB = 1024 * 1024
CERTIFICATE = Path(__file__).with_name("loopback.pem")


class Content:
    """A source with one file on disk; counts how often it is opened as one, and how often as a stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[BinaryIO] = []
        self.streams = 0
        self.mode = "rb"

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        self.files.append(cast("BinaryIO", self.path.open(self.mode)))
        return self.files[-1]

    def locate(self, descriptor: Descriptor) -> str:
        return str(self.path)

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.streams += 1

        async def pieces() -> AsyncIterator[bytes]:
            yield self.path.read_bytes()[offset:]

        yield pieces()

    @asynccontextmanager
    async def body(self, first: int = 0, *, size: int | None = None) -> AsyncIterator[BlobBody]:
        size = self.path.stat().st_size if size is None else size
        blob = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b""), size=size)
        async with BlobReader(self, blob) as reader:
            yield BlobBody(reader, first, size)


@pytest.fixture
def content(tmp_path: Path) -> Iterator[Content]:
    path = tmp_path / "content"
    path.write_bytes(random.Random(7).randbytes(9 * MIB + 5))
    found = Content(path)
    yield found
    assert all(file.closed for file in found.files)


async def put(
    url: str,
    content: Content,
    config: TransferConfig = QUICK,
    *,
    first: int = 0,
    size: int | None = None,
    tls: Tls = SYSTEM_TLS,
    meter: BandwidthLimiter | None = None,
) -> HttpResponse:
    async with content.body(first, size=size) as body, Transport(config) as transport:
        request = HttpRequest("PUT", url, {}, body, tls=tls, meter=meter, large=True)
        return await transport.send(request, what="PUT upload")


@pytest.mark.parametrize("first", [0, 1, 9 * MIB])
async def test_a_file_arrives_from_its_byte_on_and_is_not_read_here(first: int, content: Content) -> None:
    async with scripted(answer()) as peer:
        assert (await put(peer.url, content, first=first)).status == 200
    assert peer.requests[0].body == content.path.read_bytes()[first:]
    assert (len(content.files), content.streams) == (1, 0)


async def test_requests_take_turns_on_a_connection(content: Content) -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport, content.body() as body:
        for one in (body, None, body):
            await transport.send(HttpRequest("PUT", peer.url, {}, one, large=True), what="x")
    assert (peer.connections, [len(request.body) for request in peer.requests]) == (1, [9 * MIB + 5, 0, 9 * MIB + 5])


def test_a_file_is_sent_on_the_event_loop_of_the_command_line_too(content: Content) -> None:
    async def work() -> None:
        async with scripted(slow) as peer:
            assert (await put(peer.url, content, TransferConfig())).status == 200
        assert peer.requests[0].body == content.path.read_bytes()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    assert (len(content.files), content.streams) == (1, 0)


async def test_what_tls_encrypts_is_read_here(content: Content) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    async with scripted(answer(), tls=server) as peer:
        await put(peer.url, content, tls=Tls(ca_bundle=str(CERTIFICATE)))
    assert peer.requests[0].body == content.path.read_bytes()
    assert (len(content.files), content.streams) == (1, 0)


async def test_what_a_meter_counts_is_sent_by_the_kernel_in_small_steps(content: Content) -> None:
    async with scripted(answer()) as peer:
        await put(peer.url, content, meter=BandwidthLimiter([TokenBucket(1e9, sleep=pause, clock=lambda: 0.0)]))
    assert peer.requests[0].body == content.path.read_bytes()


async def test_what_is_no_file_after_all_is_streamed(content: Content) -> None:
    class Elsewhere(Content):
        def open_file(self, descriptor: Descriptor) -> None:
            return None

    elsewhere = Elsewhere(content.path)
    async with scripted(answer()) as peer:
        await put(peer.url, elsewhere)
    assert peer.requests[0].body == content.path.read_bytes()
    assert elsewhere.streams == 1


async def test_a_file_that_ends_too_early_is_told_of_and_ends_the_request(content: Content) -> None:
    async with scripted(answer()) as peer:
        with pytest.raises(SourceFailed, match=f"it is cut off at byte {9 * MIB + 5}"):
            await put(peer.url, content, size=10 * MIB)


async def test_a_file_that_cannot_be_read_is_told_of(content: Content) -> None:
    content.mode = "ab"
    async with scripted(answer()) as peer:
        with pytest.raises(SourceFailed, match="cannot be read: Bad file descriptor"):
            await put(peer.url, content)


@pytest.mark.parametrize("step", [early, hasty])
async def test_an_early_refusal_is_the_answer_and_stops_the_file(
    step: Callable[[int, object], Step], content: Content
) -> None:
    os.truncate(content.path, 64 * MIB)
    async with scripted(step(413, {})) as peer:
        assert (await asyncio.wait_for(put(peer.url, content), 5)).status == 413


async def test_a_file_that_nobody_reads_ends_after_the_read_timeout(content: Content) -> None:
    async with scripted(deaf) as peer:
        with pytest.raises(ConnectionFailed, match=r"nothing moved for 0\.3 s"):
            await asyncio.wait_for(put(peer.url, content), 5)


async def test_a_file_that_moves_slowly_outlasts_the_read_timeout(content: Content) -> None:
    os.truncate(content.path, 24 * MIB)
    async with scripted(slow) as peer:
        assert (await put(peer.url, content, replace(QUICK, read_timeout=0.6))).status == 200
    assert len(peer.requests[0].body) == 24 * MIB


async def test_a_connection_that_is_cut_is_lost(content: Content) -> None:
    async with scripted(cut) as peer:
        with pytest.raises(ConnectionFailed, match="the connection was "):
            await put(peer.url, content)


async def test_cancelling_stops_the_file_and_leaves_nothing(content: Content) -> None:
    os.truncate(content.path, 256 * MIB)
    async with scripted(slow) as peer:
        await peer.cut_short(asyncio.create_task(put(peer.url, content, TransferConfig())))
    assert len(peer.requests[0].body) < 64 * MIB


class Counted(LayoutSource):
    """A layout that notes which blobs are streamed, and how often a file is opened."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.streamed: list[int] = []
        self.opened = 0

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        self.opened += 1
        return super().open_file(descriptor)

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.streamed.append(descriptor.size)
        async with super().open_blob(descriptor, offset=offset, end=end) as pieces:
            yield pieces


@pytest.mark.parametrize("size", [3 * MIB, MIB // 2])
async def test_a_layer_on_disk_is_never_streamed(size: int, layout: ImageBuilder) -> None:
    image = layout.image([size])
    layer, source = image.blobs[1], Counted(image.path)
    async with quirky() as peer:
        sent = await push(peer, source, layer)
        assert peer.blobs[layer.digest] == image.content(layer)
    assert (sent.sent, source.streamed, source.opened) == (layer.size, [], 1)


async def test_a_layer_that_is_resumed_is_not_read_again(layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.image([3 * MIB])
    layer, source = image.blobs[1], Counted(image.path)
    async with quirky() as peer:
        journal = SqliteJournal(tmp_path / "journal", on_failure=pytest.fail)
        with pytest.raises(ConnectionFailed):
            await push(peer, BreakingSource(image.path, breaks_at=2 * MIB), layer, journal=journal)
        peer.requests.clear()
        sent = await push(peer, source, layer, journal=journal)
        await journal.close()
    assert (sent.sent, sent.resumed, source.streamed) == (layer.size - 2 * MIB, 2 * MIB, [])
    assert sum(len(request.body) for request in peer.requests) == sent.sent
    assert source.opened == 1


async def test_a_layer_that_became_shorter_on_the_way_is_the_sources_error(layout: ImageBuilder) -> None:
    image = layout.image([3 * MIB])
    layer = image.blobs[1]

    def shrink(request: Arrived) -> Step | None:
        if request.line.startswith("PATCH"):
            os.truncate(image.file(layer), 2 * MIB + 7)
        return None

    async with quirky(shrink) as peer:
        with pytest.raises((ContentMismatch, InvalidLayout), match="3145") as caught:
            await push(peer, LayoutSource(image.path), layer)
        assert caught.value.side == "source"
        assert peer.sessions == {}
