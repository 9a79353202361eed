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

from tests.breaking_source import BreakingSource
from tests.images import ImageBuilder
from tests.peer.quirky import quirky
from tests.peer.scripted import Arrived, Step, answer, cut, deaf, early, hasty, scripted, slow
from tests.peer.uploads import push
from transfer.engine.config import TransferConfig
from transfer.engine.journal import SqliteJournal
from transfer.engine.limits import Bucket, Meter
from transfer.engine.retry import pause
from transfer.errors import ConnectionFailed, ContentMismatch, InvalidLayout
from transfer.local.layout import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.registry.body import StreamBody
from transfer.registry.surroundings import SYSTEM_TLS, Tls
from transfer.registry.transport import Reply, Request, Transport

QUICK = TransferConfig(connect_timeout=5, read_timeout=0.3)
MIB = 1024 * 1024
CERTIFICATE = Path(__file__).with_name("loopback.pem")


class Content:
    """A file on disk from one byte on, also as a stream; counts how often it is opened as which."""

    def __init__(self, path: Path, first: int = 0) -> None:
        self.path = path
        self.first = first
        self.files: list[BinaryIO] = []
        self.streams = 0
        self.mode = "rb"

    def open(self) -> BinaryIO | None:
        self.files.append(cast("BinaryIO", self.path.open(self.mode)))
        return self.files[-1]

    def ended(self, position: int) -> Exception:
        return ValueError(f"ended at {position}")

    def unreadable(self, error: OSError) -> Exception:
        return ValueError(f"unreadable: {error.strerror}")

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[bytes]]:
        self.streams += 1

        async def pieces() -> AsyncIterator[bytes]:
            yield self.path.read_bytes()[self.first :]

        yield pieces()

    def body(self, length: int | None = None) -> StreamBody:
        left = self.path.stat().st_size - self.first if length is None else length
        return StreamBody(self.stream, left, self)


@pytest.fixture
def content(tmp_path: Path) -> Iterator[Content]:
    path = tmp_path / "content"
    path.write_bytes(random.Random(7).randbytes(9 * MIB + 5))
    found = Content(path)
    yield found
    assert all(file.closed for file in found.files)


async def put(
    url: str, body: StreamBody, config: TransferConfig = QUICK, *, tls: Tls = SYSTEM_TLS, meter: Meter | None = None
) -> Reply:
    async with Transport(config) as transport:
        return await transport.send(Request("PUT", url, {}, body, tls=tls, meter=meter), what="PUT upload")


@pytest.mark.parametrize("first", [0, 1, 9 * MIB])
async def test_a_file_arrives_from_its_byte_on_and_is_not_read_here(first: int, content: Content) -> None:
    content.first = first
    async with scripted(answer()) as peer:
        assert (await put(peer.url, content.body())).status == 200
    assert peer.requests[0].body == content.path.read_bytes()[first:]
    assert (len(content.files), content.streams) == (1, 0)


async def test_requests_take_turns_on_a_connection(content: Content) -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport:
        for body in (content.body(), None, content.body()):
            await transport.send(Request("PUT", peer.url, {}, body), what="x")
    assert (peer.connections, [len(request.body) for request in peer.requests]) == (1, [9 * MIB + 5, 0, 9 * MIB + 5])


def test_a_file_is_sent_on_the_event_loop_of_the_command_line_too(content: Content) -> None:
    async def work() -> None:
        async with scripted(slow) as peer:
            assert (await put(peer.url, content.body(), TransferConfig())).status == 200
        assert peer.requests[0].body == content.path.read_bytes()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    assert (len(content.files), content.streams) == (1, 0)


async def test_what_tls_encrypts_or_a_meter_counts_is_read_here(content: Content) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    async with scripted(answer(), tls=server) as peer:
        await put(peer.url, content.body(), tls=Tls(ca_bundle=str(CERTIFICATE)))
    async with scripted(answer()) as peer:
        await put(peer.url, content.body(), meter=Meter([Bucket(1e9, sleep=pause, clock=lambda: 0.0)]))
    assert (len(content.files), content.streams) == (0, 2)


async def test_what_is_no_file_after_all_is_streamed(content: Content) -> None:
    class Elsewhere(Content):
        def open(self) -> None:
            return None

    elsewhere = Elsewhere(content.path)
    async with scripted(answer()) as peer:
        await put(peer.url, elsewhere.body())
    assert peer.requests[0].body == content.path.read_bytes()
    assert elsewhere.streams == 1


async def test_a_file_that_ends_too_early_is_told_of_and_ends_the_request(content: Content) -> None:
    async with scripted(answer()) as peer:
        with pytest.raises(ValueError, match=f"ended at {9 * MIB + 5}"):
            await put(peer.url, content.body(10 * MIB))


async def test_a_file_that_cannot_be_read_is_told_of(content: Content) -> None:
    content.mode = "ab"
    async with scripted(answer()) as peer:
        with pytest.raises(ValueError, match="unreadable: Bad file descriptor"):
            await put(peer.url, content.body())


@pytest.mark.parametrize("step", [early, hasty])
async def test_an_early_refusal_is_the_answer_and_stops_the_file(
    step: Callable[[int, object], Step], content: Content
) -> None:
    os.truncate(content.path, 64 * MIB)
    async with scripted(step(413, {})) as peer:
        assert (await asyncio.wait_for(put(peer.url, content.body()), 5)).status == 413


async def test_a_file_that_nobody_reads_ends_after_the_read_timeout(content: Content) -> None:
    async with scripted(deaf) as peer:
        with pytest.raises(ConnectionFailed, match=r"nothing moved for 0\.3 s"):
            await asyncio.wait_for(put(peer.url, content.body()), 5)


async def test_a_file_that_moves_slowly_outlasts_the_read_timeout(content: Content) -> None:
    os.truncate(content.path, 24 * MIB)
    async with scripted(slow) as peer:
        assert (await put(peer.url, content.body(), replace(QUICK, read_timeout=0.6))).status == 200
    assert len(peer.requests[0].body) == 24 * MIB


async def test_a_connection_that_is_cut_is_lost(content: Content) -> None:
    async with scripted(cut) as peer:
        with pytest.raises(ConnectionFailed, match="the connection was "):
            await put(peer.url, content.body())


async def test_cancelling_stops_the_file_and_leaves_nothing(content: Content) -> None:
    os.truncate(content.path, 256 * MIB)
    async with scripted(slow) as peer, Transport(TransferConfig()) as transport:
        sending = asyncio.create_task(transport.send(Request("PUT", peer.url, {}, content.body()), what="x"))
        await peer.cut_short(sending)
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


@pytest.mark.parametrize(("size", "streams"), [(3 * MIB, 0), (MIB // 2, 1)])
async def test_a_large_layer_is_never_read_and_a_small_one_to_be_verified(
    size: int, streams: int, layout: ImageBuilder
) -> None:
    image = layout.image([size])
    layer, source = image.blobs[1], Counted(image.path)
    async with quirky() as peer:
        sent = await push(peer, source, layer)
        assert peer.blobs[layer.digest] == image.content(layer)
    assert (sent.sent, len(source.streamed)) == (layer.size, streams)


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
    assert source.opened == len([line for line in peer.lines if line == "PATCH upload"])


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
