"""The transport against peers that fail in every way a network can."""

import asyncio
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace as replace_field
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.scripted import (
    Step,
    answer,
    broken_off,
    cut,
    deaf,
    drop,
    early,
    gibberish,
    hasty,
    scripted,
    slow,
    stall,
)
from transfer.concurrency.tasks import gather
from transfer.config import TransferConfig
from transfer.errors import ConnectionFailed, InvalidConfig
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest, HttpResponse
from transfer.http.settings import Tls
from transfer.http.transport import Transport

QUICK = TransferConfig(connect_timeout=5, read_timeout=0.2)
MIB = 1024 * 1024
SECRET = "canary-7d1f"


@pytest.fixture(autouse=True, params=["event loop", "lane"])
def way(request: pytest.FixtureRequest) -> str:
    """Every request goes both ways: what holds in the event loop holds in worker threads."""
    Way.large = request.param == "lane"
    return str(request.param)


class Way:
    large = False


def post(url: str, content: bytes = b"{}") -> HttpRequest:
    return HttpRequest("POST", url, {"Content-Type": "application/json"}, RequestBody.of(content), large=Way.large)


def get(url: str, headers: Mapping[str, str] | None = None) -> HttpRequest:
    return HttpRequest("GET", url, headers or {}, large=Way.large)


async def send(request: HttpRequest, config: TransferConfig = QUICK) -> HttpResponse:
    async with Transport(config) as transport:
        return await transport.send(request, what="PutImage app")


async def failure(request: HttpRequest, config: TransferConfig = QUICK) -> str:
    with pytest.raises(ConnectionFailed) as caught:
        await send(request, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_body_arrives_whole_with_its_length_and_no_chunked_encoding() -> None:
    content = bytes(range(256)) * (12 * 1024)
    async with scripted(answer(200, {"done": True})) as peer:
        reply = await send(post(peer.url, content))
    assert (reply.status, reply.body) == (200, b'{"done": true}')
    assert peer.requests[0].body == content
    assert peer.requests[0].headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in peer.requests[0].headers


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with scripted(answer(307, {}, Location="http://169.254.169.254/")) as peer:
        reply = await send(post(peer.url))
    assert (reply.status, len(peer.requests)) == (307, 1)


@pytest.mark.attack("CVE-2023-43804")
async def test_cookies_are_not_kept() -> None:
    async with scripted(answer(200, {}, Set_Cookie="a=b")) as peer, Transport(QUICK) as transport:
        for _ in range(2):
            await transport.send(post(peer.url), what="x")
    assert "cookie" not in peer.requests[1].headers


async def test_a_connection_is_used_again() -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport:
        for _ in range(5):
            await transport.send(post(peer.url), what="x")
    assert peer.connections == 1


async def test_connections_made_ahead_are_those_that_requests_take() -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport:
        await transport.connect(peer.url, count=4, what="connect")
        request = replace(post(peer.url), large=False)
        await gather(transport.send(request, what="x") for _ in range(4))
        assert (peer.connections, len(peer.requests)) == (4, 4)
        await transport.connect(peer.url, count=5, what="connect")
        await gather(transport.send(request, what="x") for _ in range(5))
        assert peer.connections == 5, "what is idle already counts"


async def test_a_connection_made_ahead_fails_as_a_request_does() -> None:
    async with scripted(answer()) as peer, Transport(QUICK) as transport:
        with pytest.raises(ConnectionFailed, match=r"^connect: 127\.0\.0\.1:\d+: TLS failed") as caught:
            await transport.connect(peer.url.replace("http:", "https:"), what="connect")
        assert caught.value.no_tls
    async with Transport(QUICK) as transport:
        with pytest.raises(ConnectionFailed, match=r"^connect: 127\.0\.0\.1:\d+: no connection"):
            await transport.connect(peer.url, what="connect")
    assert peer.requests == []


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Something that takes connections and says nothing, not even of TLS; set when one has come."""
    came = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


async def test_a_connection_made_ahead_that_takes_too_long_is_given_up() -> None:
    async with silent() as (url, _), Transport(replace_field(QUICK, connect_timeout=0.2)) as transport:
        with pytest.raises(ConnectionFailed, match=r"no connection within 0\.2 s"):
            await transport.connect(url, what="connect")


async def test_a_connection_made_ahead_is_cancelled_and_leaves_nothing() -> None:
    async with silent() as (url, came), Transport(QUICK) as transport:
        connecting = asyncio.create_task(transport.connect(url, count=3, what="connect"))
        await came.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_a_connection_that_drops_is_not_sent_to_again(method: str) -> None:
    """aiohttp sends idempotent requests again when a kept-alive connection drops; the engine alone decides that."""
    async with scripted(answer(), drop) as peer, Transport(QUICK) as transport:
        await transport.send(post(peer.url), what="x")
        with pytest.raises(ConnectionFailed, match="closed without an answer"):
            await transport.send(HttpRequest(method, peer.url, {}), what="x")
    assert len(peer.requests) == 2


async def test_a_body_that_was_cut_off_says_that_the_connection_was_lost() -> None:
    async with scripted(cut) as peer:
        message = await failure(post(peer.url, bytes(8 * MIB)))
    assert message.startswith(f"PutImage app: 127.0.0.1:{peer.port}: the connection was ")
    assert len(peer.requests) == 1


@pytest.mark.parametrize("step", [early, hasty])
async def test_an_early_refusal_is_the_answer_and_stops_the_upload(step: Callable[[int, object], Step]) -> None:
    async with scripted(step(400, {"__type": "InvalidLayerPartException"})) as peer:
        reply = await asyncio.wait_for(send(post(peer.url, bytes(32 * MIB))), 5)
    assert (reply.status, reply.body) == (400, b'{"__type": "InvalidLayerPartException"}')


async def test_an_answer_that_never_comes_ends_after_the_read_timeout() -> None:
    async with scripted(stall) as peer:
        message = await failure(post(peer.url))
    assert "nothing moved for 0.2 s" in message


async def test_an_upload_that_nobody_reads_ends_after_the_read_timeout() -> None:
    async with scripted(deaf) as peer:
        message = await asyncio.wait_for(failure(post(peer.url, bytes(32 * MIB))), 5)
    assert "nothing moved for 0.2 s" in message


async def test_an_upload_that_moves_slowly_outlasts_the_read_timeout() -> None:
    began = time.monotonic()
    async with scripted(slow) as peer:
        reply = await send(post(peer.url, bytes(24 * MIB)), TransferConfig(read_timeout=0.5))
    assert reply.status == 200
    assert time.monotonic() - began > 0.5


async def test_cancelling_in_mid_body_stops_the_upload_and_leaves_nothing() -> None:
    async with scripted(slow) as peer, Transport(TransferConfig()) as transport:
        sending = asyncio.create_task(transport.send(post(peer.url, bytes(64 * MIB)), what="x"))
        await peer.cut_short(sending)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(peer.requests[0].body) < 32 * MIB


@pytest.mark.attack("truncated-body")
async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    async with scripted(broken_off(b'{"a":', length=100)) as peer:
        assert "the answer broke off" in await failure(post(peer.url))


@pytest.mark.attack("CVE-2025-69223")
async def test_an_answer_in_very_many_tiny_pieces_is_one_answer() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with (
        scripted(gibberish(head + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")) as peer,
        Transport(TransferConfig()) as transport,
    ):
        began = time.process_time()
        reply = await transport.send(post(peer.url), what="x")
    assert reply.body == b"x" * 50_000
    # A second each would be 14 hours where pieces are joined one by one.
    assert time.process_time() - began < 20


async def test_an_answer_that_is_not_http_says_so() -> None:
    async with scripted(gibberish(b"SSH-2.0-OpenSSH_9.6\r\n")) as peer:
        assert "not HTTP" in await failure(post(peer.url))


async def test_https_to_a_plain_port_says_that_tls_failed() -> None:
    async with scripted(answer()) as peer:
        message = await failure(post(peer.url.replace("http:", "https:")))
    assert "TLS failed" in message


async def test_nobody_listening_names_the_place_and_what_to_check() -> None:
    async with scripted(answer()) as peer:
        url = peer.url
    message = await failure(post(f"{url}/?X-Amz-Signature={SECRET}"))
    assert message.startswith(f"PutImage app: {url[7:]}: no connection (connection refused); check the address")
    assert SECRET not in message


async def test_a_name_that_does_not_resolve_says_so() -> None:
    assert "the name cannot be resolved" in await failure(post("http://registry.invalid/"))


@pytest.mark.attack("CVE-2025-66471")
async def test_the_body_of_an_error_is_cut_at_64_kib() -> None:
    async with scripted(answer(500, b"x" * (5 * MIB))) as peer:
        reply = await send(post(peer.url))
    assert len(reply.body) == 64 * 1024


@pytest.mark.attack("CVE-2025-66471")
async def test_a_compressed_answer_is_refused() -> None:
    async with scripted(answer(200, b"\x1f\x8b", Content_Encoding="gzip")) as peer:
        assert "'gzip', which was not asked for" in await failure(post(peer.url))
    assert peer.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.attack("CVE-2024-47081")
async def test_netrc_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted(answer()) as peer:
        await send(post(peer.url))
        monkeypatch.setenv("HTTP_PROXY", peer.url)
        await send(post("http://registry.example/"))
    for request in peer.requests:
        assert "authorization" not in request.headers
        assert "proxy-authorization" not in request.headers


@pytest.mark.attack("CVE-2023-32681")
async def test_a_proxy_of_the_environment_is_used_with_its_own_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(answer(200, {"by": "proxy"})) as peer:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:{SECRET}@127.0.0.1:{peer.port}")
        reply = await send(post("http://registry.example:8080/"))
    assert reply.body == b'{"by": "proxy"}'
    assert peer.requests[0].line == "POST http://registry.example:8080/ HTTP/1.1"
    assert peer.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in peer.requests[0].headers


async def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(answer()) as peer:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert (await send(post(peer.url))).status == 200


async def test_a_proxy_that_refuses_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(answer(407)) as peer:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@127.0.0.1:{peer.port}")
        message = await failure(post("https://registry.example/"))
    assert message == ("PutImage app: registry.example:443: the proxy refused (407); check HTTPS_PROXY and NO_PROXY")


async def test_a_proxy_of_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"socks5://me:{SECRET}@127.0.0.1:1")
    with pytest.raises(InvalidConfig, match=r"^HTTP_PROXY: it must be of the form http\[s\]://host:port$"):
        await send(post("http://registry.example/"))


CERTIFICATE = Path(__file__).with_name("loopback.pem")


@pytest.fixture
def tls() -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows: a certificate that nobody has signed but itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_certificate_that_is_not_trusted_says_how_to_trust_it(tls: ssl.SSLContext) -> None:
    async with scripted(answer(), tls=tls) as peer:
        message = await failure(post(peer.url))
    assert "certificate is not trusted (self-signed certificate); name the CA that issued it with --ca FILE" in message
    assert peer.requests == []


async def test_a_ca_bundle_of_the_request_is_trusted(tls: ssl.SSLContext) -> None:
    content = bytes(3 * MIB)
    async with scripted(answer(200, {}), tls=tls) as peer:
        reply = await send(replace(post(peer.url, content), tls=Tls(ca_bundle=str(CERTIFICATE))))
    assert reply.status == 200
    assert peer.requests[0].body == content


async def test_ssl_cert_file_is_trusted(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with scripted(answer(), tls=tls) as peer:
        assert (await send(post(peer.url))).status == 200


async def test_a_proxy_that_speaks_tls_is_trusted_by_the_same_file(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with scripted(answer(200, {"by": "proxy"}), tls=tls) as peer:
        monkeypatch.setenv("http_proxy", peer.url)
        reply = await send(post("http://registry.example/"))
    assert reply.body == b'{"by": "proxy"}'


async def test_a_certificate_for_another_name_is_not_trusted(tls: ssl.SSLContext) -> None:
    async with scripted(answer(), tls=tls) as peer:
        url = peer.url.replace("127.0.0.1", "localhost")
        message = await failure(replace(post(url), tls=Tls(ca_bundle=str(CERTIFICATE))))
    assert "certificate is for another name (Hostname mismatch" in message


@pytest.mark.parametrize(("content", "reason"), [(None, "no such file or directory"), ("x", "it cannot be used")])
async def test_a_ca_bundle_that_cannot_be_read_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(InvalidConfig, match=f"ca.pem: {reason}"):
        await send(replace(get("https://127.0.0.1:1/"), tls=Tls(ca_bundle=str(bundle))))


async def test_a_stream_gives_the_bytes_as_they_come() -> None:
    content = bytes(range(256)) * 4096
    async with (
        scripted(answer(206, content)) as peer,
        Transport(QUICK) as transport,
        transport.stream(get(peer.url, {"Range": "bytes=0-"}), what="layer") as reply,
    ):
        got = b"".join([chunk async for chunk in reply.chunks])
    assert (reply.status, got) == (206, content)
    assert peer.requests[0].headers["range"] == "bytes=0-"


async def read_all(request: HttpRequest) -> bytes:
    async with Transport(QUICK) as transport, transport.stream(request, what="layer") as reply:
        return b"".join([chunk async for chunk in reply.chunks])


async def test_a_stream_that_breaks_off_fails_without_showing_the_signed_url() -> None:
    async with scripted(broken_off(b"abc", length=10)) as peer:
        request = get(f"{peer.url}/layer?X-Amz-Signature={SECRET}")
        with pytest.raises(ConnectionFailed, match="the answer broke off") as caught:
            await read_all(request)
    assert SECRET not in f"{request!r} {''.join(traceback.format_exception(caught.value))}"


async def test_an_error_of_the_reader_passes_through_a_stream_untouched() -> None:
    async with scripted(answer(200, b"abc")) as peer, Transport(QUICK) as transport:
        with pytest.raises(OSError, match="disk full"):
            async with transport.stream(get(peer.url), what="layer"):
                raise OSError("disk full")
