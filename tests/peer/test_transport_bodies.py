"""Request bodies that are read while they are sent, and places that a request must not reach."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.scripted import Arrived, Step, answer, deaf, drop, early, hasty, scripted, slow
from transfer.concurrency.limiters import BandwidthLimiter, TokenBucket
from transfer.concurrency.retry import pause
from transfer.config import TransferConfig
from transfer.engine.blob_reader import BlobReader, SourceFailed
from transfer.errors import ConnectionFailed, ContentMismatch, InvalidConfig
from transfer.http.bodies import BlobBody, BodyStream, RequestBody
from transfer.http.messages import HttpRequest, HttpResponse
from transfer.http.route import is_public
from transfer.http.settings import Tls
from transfer.http.transport import Transport
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

QUICK = TransferConfig(connect_timeout=5, read_timeout=0.3)
MIB = 1024 * 1024


class Content:
    """A source of mebibytes out of nowhere, which notes how often they are opened and closed; may fail or dawdle."""

    def __init__(self, pieces: int, *, fails_at: int = -1, waits: float = 0.0) -> None:
        self.pieces = pieces
        self.fails_at = fails_at
        self.waits = waits
        self.opened = self.closed = self.given = 0

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opened += 1
        try:
            yield self.read(offset // MIB)
        finally:
            self.closed += 1

    async def read(self, first: int) -> AsyncIterator[bytes]:
        for number in range(first, self.pieces):
            if number == self.fails_at:
                raise ValueError("the source is broken")
            await asyncio.sleep(self.waits)
            self.given += 1
            yield bytes([number % 256]) * MIB

    def open_file(self, descriptor: Descriptor) -> None:
        """It is a stream."""

    def locate(self, descriptor: Descriptor) -> str:
        return "nowhere"

    @asynccontextmanager
    async def body(self, first: int = 0, *, pieces: int | None = None) -> AsyncIterator[BlobBody]:
        size = (self.pieces if pieces is None else pieces) * MIB
        blob = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b""), size=size)
        async with BlobReader(self, blob) as reader:
            yield BlobBody(reader, first, size)


async def put(
    url: str, content: Content, config: TransferConfig = QUICK, meter: BandwidthLimiter | None = None
) -> HttpResponse:
    async with content.body() as body, Transport(config) as transport:
        return await transport.send(HttpRequest("PUT", url, {}, body, meter=meter, large=True), what="PUT upload")


def limited(rate: int) -> BandwidthLimiter:
    """A meter that lets so many bytes a second through."""
    return BandwidthLimiter([TokenBucket(rate, sleep=pause, clock=time.monotonic)])


def used_up() -> BandwidthLimiter:
    """A meter that lets the first piece of a body through, and the next in an hour."""
    return BandwidthLimiter([TokenBucket(128 * 1024, sleep=lambda _: pause(3600), clock=time.monotonic)])


async def test_a_streamed_body_arrives_whole_with_its_length() -> None:
    content = Content(5)
    async with scripted(answer(201)) as peer:
        assert (await put(peer.url, content)).status == 201
    assert peer.requests[0].body == b"".join(bytes([number]) * MIB for number in range(5))
    assert peer.requests[0].headers["content-length"] == str(5 * MIB)
    assert "transfer-encoding" not in peer.requests[0].headers
    assert (content.opened, content.closed) == (1, 1)


async def test_an_error_of_the_source_comes_out_as_it_is_and_nothing_is_complete() -> None:
    content = Content(5, fails_at=3)
    async with scripted(slow) as peer:
        with pytest.raises(SourceFailed, match="the source is broken") as caught:
            await put(peer.url, content)
        assert type(caught.value.error) is ValueError
        await asyncio.wait_for(peer.gone.wait(), 5)
    assert (content.opened, content.closed) == (1, 1)
    assert len(peer.requests[0].body) < 5 * MIB


async def test_a_source_that_dawdles_outlasts_the_read_timeout() -> None:
    async with scripted(slow) as peer:
        assert (await put(peer.url, Content(3, waits=0.4))).status == 200


async def test_an_upload_that_nobody_reads_ends_and_closes_its_source() -> None:
    content = Content(64)
    async with scripted(deaf) as peer:
        with pytest.raises(ConnectionFailed, match=r"nothing moved for 0\.3 s"):
            await asyncio.wait_for(put(peer.url, content), 5)
    assert (content.opened, content.closed) == (1, 1)
    assert content.given < 32


@pytest.mark.parametrize("step", [early(413, {}), hasty(413, {})])
async def test_an_early_refusal_closes_the_source_before_it_is_returned(step: Step) -> None:
    content = Content(200, waits=0.001)
    async with scripted(step) as peer:
        assert (await asyncio.wait_for(put(peer.url, content), 5)).status == 413
        assert content.closed == content.opened
    assert content.given < 200


async def test_a_connection_that_drops_closes_the_source() -> None:
    content = Content(2)
    async with scripted(drop) as peer:
        with pytest.raises(ConnectionFailed, match="closed without an answer"):
            await put(peer.url, content)
    assert (content.opened, content.closed) == (1, 1)


async def test_cancelling_closes_the_source() -> None:
    content = Content(64, waits=0.01)
    async with scripted(slow) as peer:
        sending = asyncio.create_task(put(peer.url, content, TransferConfig()))
        await peer.came.wait()
        await peer.requests[0].begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (content.opened, content.closed) == (1, 1)


async def test_a_source_that_is_shorter_than_its_blob_is_told_of_and_ends_the_request() -> None:
    async with scripted(answer()) as peer, Content(3).body(pieces=4) as body, Transport(QUICK) as transport:
        with pytest.raises(SourceFailed, match=f"it is cut off at byte {3 * MIB}") as caught:
            await transport.send(HttpRequest("PUT", peer.url, {}, body, large=True), what="x")
        assert isinstance(caught.value.error, ContentMismatch)


async def test_a_part_that_is_sent_again_begins_where_it_began() -> None:
    content = Content(3)
    async with scripted(answer()) as peer, content.body(MIB) as body, Transport(QUICK) as transport:
        for _ in range(2):
            await transport.send(HttpRequest("PATCH", peer.url, {}, body, large=True), what="x")
    assert [request.body for request in peer.requests] == [b"\1" * MIB + b"\2" * MIB] * 2
    assert (content.opened, content.closed) == (2, 2)


async def test_headers_that_come_twice_are_one_list() -> None:
    async def twice(request: Arrived) -> None:
        request.writer.write(
            b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=a\r\n"
            b"WWW-Authenticate: Bearer realm=b\r\nContent-Length: 0\r\n\r\n"
        )

    async with scripted(twice) as peer, Transport(QUICK) as transport:
        reply = await transport.send(HttpRequest("GET", peer.url, {}), what="x")
    assert reply.headers["www-authenticate"] == "Basic realm=a, Bearer realm=b"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("registry.example", False),
        ("", False),
    ],
)
def test_a_public_address_is_known(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_that_leads_inside_is_not_followed_by_a_request_for_the_public() -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport:
        url = peer.url.replace("127.0.0.1", "localhost")
        assert (await transport.send(HttpRequest("GET", url, {}), what="x")).status == 200
        with pytest.raises(ConnectionFailed, match="leads into a private network"):
            await transport.send(HttpRequest("GET", url, {}, public_only=True), what="token")
        assert not transport.is_public("localhost")
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("setting", "kind"),
    [(lambda file: Tls(extra_ca=file), "CA certificates"), (lambda file: Tls(certificate=file), "client certificate")],
)
async def test_a_file_of_tls_that_cannot_be_used_is_named(
    tmp_path: Path, setting: Callable[[str], Tls], kind: str
) -> None:
    file = tmp_path / "some.pem"
    async with Transport(QUICK) as transport:
        for content, reason in ((None, "no such file"), ("x", "it cannot be used")):
            if content:
                file.write_text(content)
            request = HttpRequest("GET", "https://127.0.0.1:1/", {}, tls=setting(str(file)))
            with pytest.raises(InvalidConfig, match=rf"^{kind} .*some.pem: .*{reason}"):
                await transport.send(request, what="x")


async def test_a_body_that_waits_for_its_bandwidth_is_not_taken_for_one_that_stalls() -> None:
    content = Content(1)
    async with scripted(answer(201)) as peer:
        reply = await put(peer.url, content, meter=limited(2 * MIB - 3 * 256 * 1024))
    assert (reply.status, len(peer.requests[0].body)) == (201, MIB)


async def test_an_answer_in_the_middle_ends_the_wait_for_the_bandwidth() -> None:
    content = Content(1)
    async with scripted(early(400, {})) as peer:
        reply = await asyncio.wait_for(put(peer.url, content, meter=used_up()), 5)
    assert (reply.status, content.closed) == (400, content.opened)


async def test_a_request_that_waits_for_its_bandwidth_can_be_cancelled() -> None:
    content = Content(1)
    async with scripted(answer(201)) as peer:
        sending = asyncio.create_task(put(peer.url, content, meter=used_up()))
        await peer.came.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(sending, 5)
    assert content.closed == content.opened


async def test_an_answer_that_waits_for_its_bandwidth_comes_whole_or_is_left() -> None:
    async with scripted(answer(200, bytes(300_000))) as peer, Transport(QUICK) as transport:
        request = HttpRequest("GET", peer.url, {}, meter=limited(400_000))
        async with transport.stream(request, what="GET blob") as reply:
            assert sum([len(chunk) async for chunk in reply.chunks]) == 300_000
        slower = HttpRequest("GET", peer.url, {}, meter=limited(1000))
        async with transport.stream(slower, what="GET blob") as reply:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(reply.chunks), 0.05)


async def test_a_body_is_handed_out_in_pieces_of_which_tls_can_hold_several() -> None:
    upload = BodyStream(RequestBody.of(bytes(2 * MIB)), patience=1)
    assert [len(piece) async for piece in upload] == [256 * 1024] * 8
