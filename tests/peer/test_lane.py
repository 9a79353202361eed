"""Large bodies and answers in worker threads: TLS, proxies, early answers, stalls, cuts, and what is left behind."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from tests.support.quirky import on, quirky
from tests.support.scripted import Arrived, Step, answer, cut, deaf, drop, early, hasty, scripted, slow
from tests.support.uploads import push
from transfer.config import TransferConfig
from transfer.engine.blob_reader import BlobReader
from transfer.errors import ConnectionFailed
from transfer.events import BlobProgress, Event
from transfer.http.bodies import BlobBody
from transfer.http.messages import HttpRequest, HttpResponse
from transfer.http.settings import SYSTEM_TLS, Tls
from transfer.http.thread_client import BUFFER, next_size
from transfer.http.transport import Transport
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import OCI_LAYER_GZIP
from transfer.testing.images import ImageBuilder
from transfer.testing.memory import MemorySource

QUICK = TransferConfig(connect_timeout=5, read_timeout=0.5)
CERTIFICATE = Path(__file__).with_name("loopback.pem")
TRUSTED = Tls(ca_bundle=str(CERTIFICATE))
MIB = 1024 * 1024
CONTENT = random.Random(11).randbytes(6 * MIB + 7)


@pytest.fixture
def tls() -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture(params=["plain", "TLS"])
def kind(request: pytest.FixtureRequest, tls: ssl.SSLContext) -> ssl.SSLContext | None:
    return tls if request.param == "TLS" else None


@asynccontextmanager
async def body(content: bytes = CONTENT) -> AsyncIterator[BlobBody]:
    source = MemorySource()
    blob = source.add_blob(content, OCI_LAYER_GZIP)
    async with BlobReader(source, blob) as reader:
        yield BlobBody(reader, 0, blob.size)


async def put(
    url: str,
    *,
    tls: Tls = TRUSTED,
    config: TransferConfig = QUICK,
    content: bytes = CONTENT,
    progress: Callable[[int], None] | None = None,
) -> HttpResponse:
    async with body(content) as sent, Transport(config) as transport:
        request = HttpRequest("PUT", url, {"Authorization": "canary"}, sent, tls=tls, large=True, progress=progress)
        return await transport.send(request, what="PUT upload")


async def get(url: str, *, tls: Tls = TRUSTED, public_only: bool = False) -> bytes:
    request = HttpRequest("GET", url, {}, tls=tls, public_only=public_only, large=True)
    async with Transport(QUICK) as transport, transport.stream(request, what="GET blob") as reply:
        return b"".join([piece async for piece in reply.chunks])


async def test_a_body_arrives_whole(kind: ssl.SSLContext | None) -> None:
    async with scripted(answer(201), tls=kind) as peer:
        assert (await put(peer.url)).status == 201
    assert peer.requests[0].body == CONTENT
    assert peer.requests[0].headers["content-length"] == str(len(CONTENT))
    assert peer.requests[0].headers["host"] == f"127.0.0.1:{peer.port}"


async def test_an_answer_comes_whole(kind: ssl.SSLContext | None) -> None:
    async with scripted(answer(200, CONTENT), tls=kind) as peer:
        assert await get(peer.url) == CONTENT


async def test_connections_are_used_again_within_an_origin(kind: ssl.SSLContext | None) -> None:
    steps = [answer(200, CONTENT), answer(201)] * 3
    async with scripted(*steps, tls=kind) as peer, Transport(QUICK) as transport:
        for _ in range(3):
            async with transport.stream(HttpRequest("GET", peer.url, {}, tls=TRUSTED, large=True), what="GET") as reply:
                assert sum([len(piece) async for piece in reply.chunks]) == len(CONTENT)
            async with body() as sent:
                await transport.send(HttpRequest("PUT", peer.url, {}, sent, tls=TRUSTED, large=True), what="PUT")
        assert (peer.connections, len(peer.requests)) == (1, 6)


async def test_an_answer_that_is_left_early_takes_its_connection_along(kind: ssl.SSLContext | None) -> None:
    async with scripted(answer(200, CONTENT), tls=kind) as peer, Transport(QUICK) as transport:
        for _ in range(2):
            async with transport.stream(HttpRequest("GET", peer.url, {}, tls=TRUSTED, large=True), what="GET") as reply:
                assert await anext(reply.chunks)
        assert peer.connections == 2


async def test_a_connection_that_the_peer_closed_meanwhile_is_not_taken(kind: ssl.SSLContext | None) -> None:
    async def once(request: Arrived) -> None:
        await answer(200)(request)
        request.writer.close()

    async with scripted(once, tls=kind) as peer, Transport(QUICK) as transport:
        for _ in range(3):
            await transport.send(HttpRequest("GET", peer.url, {}, tls=TRUSTED, large=True), what="GET")
            await asyncio.sleep(0.05)
        assert peer.connections == 3


@pytest.mark.parametrize("step", [early(413, {}), hasty(413, {})])
async def test_an_answer_before_the_body_ends_is_the_answer(kind: ssl.SSLContext | None, step: Step) -> None:
    content = bytes(64 * MIB)
    async with scripted(step, tls=kind) as peer:
        reply = await asyncio.wait_for(put(peer.url, content=content, config=TransferConfig()), 10)
    assert reply.status == 413
    assert len(peer.requests[0].body) == 0


async def test_an_upload_that_nobody_reads_ends_after_the_read_timeout(kind: ssl.SSLContext | None) -> None:
    async with scripted(deaf, tls=kind) as peer:
        with pytest.raises(ConnectionFailed, match=r"nothing moved for 0\.5 s"):
            await asyncio.wait_for(put(peer.url, content=bytes(64 * MIB)), 10)


async def test_an_answer_that_stalls_ends_after_the_read_timeout(kind: ssl.SSLContext | None) -> None:
    async def stall(request: Arrived) -> None:
        request.reply(200, CONTENT[:1000], {}, length=len(CONTENT))
        await asyncio.Event().wait()

    async with scripted(stall, tls=kind) as peer:
        with pytest.raises(ConnectionFailed, match=r"nothing moved for 0\.5 s"):
            await asyncio.wait_for(get(peer.url), 10)


async def test_an_upload_that_moves_slowly_outlasts_the_read_timeout(kind: ssl.SSLContext | None) -> None:
    async with scripted(slow, tls=kind) as peer:
        assert (await put(peer.url, content=bytes(24 * MIB))).status == 200


async def test_a_connection_that_is_cut_is_lost(kind: ssl.SSLContext | None) -> None:
    async with scripted(cut, tls=kind) as peer:
        with pytest.raises(ConnectionFailed, match="the connection was "):
            await put(peer.url)


@pytest.mark.parametrize("length", [0, 1, 17, 80, 90, 5000, len(CONTENT) - 1])
async def test_an_answer_that_is_cut_at_any_byte_is_no_answer(kind: ssl.SSLContext | None, length: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\nX-Filler: {'x' * 30}\r\n\r\n".encode()

    async def broken(request: Arrived) -> None:
        request.writer.write((head + CONTENT)[:length])
        await request.writer.drain()
        request.writer.close()

    async with scripted(broken, tls=kind) as peer:
        with pytest.raises(ConnectionFailed):
            await get(peer.url)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2])
async def test_cancelling_ends_at_once_and_leaves_nothing(kind: ssl.SSLContext | None, after: float) -> None:
    async with scripted(slow, tls=kind) as peer:
        sending = asyncio.create_task(put(peer.url, content=bytes(64 * MIB), config=TransferConfig()))
        await peer.came.wait()
        await asyncio.sleep(after)
        began = time.monotonic()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert time.monotonic() - began < 1
        await asyncio.wait_for(peer.gone.wait(), 5)


async def test_cancelling_while_a_connection_is_made_ends_at_once() -> None:
    taken = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sending = asyncio.create_task(put(f"https://127.0.0.1:{port}/", config=TransferConfig()))
        await taken.wait()
        began = time.monotonic()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert time.monotonic() - began < 1


async def test_bytes_on_the_wire_are_told_at_least_twice_a_second() -> None:
    reported = list[tuple[float, int]]()
    async with scripted(slow) as peer:
        content = bytes(48 * MIB)
        config = TransferConfig()
        await put(
            peer.url, content=content, config=config, progress=lambda sent: reported.append((time.monotonic(), sent))
        )
    times, counts = [one for one, _ in reported], [count for _, count in reported]
    assert counts == sorted(counts)
    assert counts[-1] == len(content)
    assert len(set(counts)) > 3
    assert max(later - sooner for sooner, later in pairwise(times)) < 0.5


async def test_a_client_certificate_is_shown_where_it_is_meant_for(tls: ssl.SSLContext) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(CERTIFICATE)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with scripted(answer(201), tls=tls) as peer:
        shown = Tls(ca_bundle=str(CERTIFICATE), certificate=str(CERTIFICATE))
        assert (await put(peer.url, tls=shown)).status == 201
        with pytest.raises(ConnectionFailed):
            await put(peer.url, tls=shown.anonymous())


async def test_a_certificate_that_is_not_trusted_gets_no_byte(tls: ssl.SSLContext) -> None:
    async with scripted(answer(201), tls=tls) as peer:
        with pytest.raises(ConnectionFailed, match=r"certificate is not trusted \(self-signed certificate\)"):
            await put(peer.url, tls=SYSTEM_TLS)
        assert (await put(peer.url, tls=Tls(verify=False))).status == 201
    assert len(peer.requests) == 1


@pytest.mark.attack("ggcr-2440")
async def test_the_address_that_was_really_connected_is_guarded() -> None:
    async with scripted(answer(200, CONTENT)) as peer:
        for url in (peer.url.replace("127.0.0.1", "localhost"), peer.url):
            with pytest.raises(ConnectionFailed, match="leads into a private network"):
                await get(url, public_only=True)
        assert await get(peer.url.replace("127.0.0.1", "localhost")) == CONTENT
    assert len(peer.requests) == 1


async def test_bytes_that_must_be_sent_again_are_taken_back(layout: ImageBuilder) -> None:
    image, events = layout.image([3 * MIB]), list[Event]()
    layer = image.blobs[1]
    async with quirky(on("PATCH upload", drop, times=1)) as peer:
        await push(peer, LayoutSource(image.path), layer, events=events)
        assert peer.blobs[layer.digest] == image.content(layer)
    offsets = [event.offset for event in events if isinstance(event, BlobProgress)]
    assert offsets == [MIB, 0, MIB, 2 * MIB, 3 * MIB]


class Proxy:
    """A proxy that knows every host as this machine, and passes on what CONNECT asks for; notes the heads that came."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            port = head.split()[1].rsplit(":", 1)[1]
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
        writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxying(tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.attack("CVE-2023-32681")
async def test_a_registry_with_tls_is_reached_through_a_proxy_that_sees_none_of_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trusted = Tls(ca_bundle=str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test", "127.0.0.1").configure_cert(tls)
    async with scripted(answer(200, CONTENT), tls=tls) as peer, proxying(tls if scheme == "https" else None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:canary-1@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        url = f"https://registry.test:{peer.port}/"
        assert (await put(url, tls=trusted)).status == 200
        assert await get(url, tls=trusted) == CONTENT
    assert peer.requests[0].body == CONTENT
    assert all("proxy-authorization" not in request.headers for request in peer.requests)
    assert len(proxy.heads) == 2
    for head in proxy.heads:
        assert head.startswith(f"CONNECT registry.test:{peer.port} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic bWU6Y2FuYXJ5LTE=\r\n" in head
        assert "\r\nAuthorization" not in head


async def test_a_proxy_that_is_not_there_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary-1@127.0.0.1:1")
    with pytest.raises(ConnectionFailed, match="the proxy cannot be reached") as caught:
        await put("https://registry.example/")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "seconds", "next_"),
    [
        (64 * 1024, 0.001, 128 * 1024),
        (BUFFER, 0.001, BUFFER),
        (64 * 1024, 0.1, 64 * 1024),
        (64 * 1024, 0.3, 32 * 1024),
        (4 * 1024, 9.0, 4 * 1024),
    ],
)
def test_steps_grow_where_they_are_quick_and_shrink_where_they_are_slow(size: int, seconds: float, next_: int) -> None:
    assert next_size(size, seconds) == next_
