"""Foreign layers: where they are looked for, what their addresses get to see, and where those may not lead."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.support.clock import Time
from tests.support.distribution_ends import CONFIG, opened
from tests.support.quirky import quirky
from tests.support.scripted import Arrived, Peer, Step, answer, broken_off, scripted
from transfer.auth.credentials import FixedLogin, Login
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.engine.protocols import BlobContext, Source
from transfer.errors import ContentMismatch, NotFound
from transfer.http.settings import RegistrySettings
from transfer.http.transport import Transport
from transfer.local.layout.source import LayoutSource
from transfer.local.layout.target import LayoutTarget
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.registry.oci.foreign_layers import ForeignLayers
from transfer.testing.images import ImageBuilder, blob_file
from transfer.testing.memory import MemorySource, MemoryTarget

CONTENT = bytes(range(256)) * 40
SECRET = "canary-f0e1"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
CERTIFICATE = Path(__file__).with_name("loopback.pem")
# As if the source had been a registry at this address.
INSIDE, OUTSIDE = "127.0.0.1:5000", "192.0.43.8"


def layer(*urls: str) -> Descriptor:
    return Descriptor(media_type=NONDISTRIBUTABLE, digest=Digest.of(CONTENT), size=len(CONTENT), urls=urls)


@asynccontextmanager
async def foreign(
    source: Source | None = None, *, registry: str | None = INSIDE, meter: BandwidthLimiter | None = None
) -> AsyncIterator[ForeignLayers]:
    async with Transport(CONFIG) as transport:
        yield ForeignLayers(source or MemorySource(), transport, Retrier(CONFIG), registry=registry, meter=meter)


async def read(source: Source, blob: Descriptor, offset: int = 0) -> bytes:
    async with source.open_blob(blob, offset=offset) as pieces:
        return b"".join([piece async for piece in pieces])


async def serve(request: Arrived) -> None:
    """The content, or the end of it that is asked for."""
    first = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    headers = {"Content-Range": f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"} if first else {}
    request.reply(206 if first else 200, CONTENT[first:], headers)
    await request.writer.drain()


def unauthorized(peers: Sequence[Peer]) -> bool:
    """Whether nothing that could be a credential arrived anywhere."""
    reported = [str(request.headers) + request.line for peer in peers for request in peer.requests]
    return not any(SECRET in one or "authorization" in one or "cookie" in one for one in reported)


async def test_a_foreign_layer_that_the_source_has_is_taken_from_there() -> None:
    source = MemorySource()
    source.add_blob(CONTENT, NONDISTRIBUTABLE)
    async with scripted(answer(500)) as peer, foreign(source) as foreign_too:
        assert await read(foreign_too, layer(peer.url)) == CONTENT
    assert peer.requests == []


async def test_addresses_are_tried_in_order_and_the_source_is_asked_once() -> None:
    source = MemorySource()
    async with scripted(answer(404)) as first, scripted(serve) as second, foreign(source) as foreign_too:
        blob = layer(f"{first.url}/gone", f"{second.url}/layer?sig=x")
        assert await read(foreign_too, blob) == CONTENT
        assert await read(foreign_too, blob, 5000) == CONTENT[5000:]
        assert "sig" not in foreign_too.locate(blob)
        assert f"127.0.0.1:{second.port}" in foreign_too.locate(blob)
    assert source.calls["open_blob"] == 1
    assert [request.line.split()[1] for request in second.requests] == ["/layer?sig=x"] * 2
    assert second.requests[1].headers["range"] == f"bytes=5000-{len(CONTENT) - 1}"


def challenge(issuer: Peer) -> Step:
    realm = f'Bearer realm="{issuer.url}/token",service="registry",scope="repository:app:pull"'
    return answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, WWW_Authenticate=realm)


@pytest.mark.attack("CVE-2020-15157")
async def test_an_address_that_asks_for_a_login_gets_none_and_no_token_is_fetched() -> None:
    """CVE-2020-15157: the attacker's address answers like a registry, and names a token server of its own."""
    login, plain = FixedLogin(Login("me", SECRET)), RegistrySettings(plain_http=True)
    async with (
        scripted(answer(200, {"token": "t"})) as issuer,
        scripted(challenge(issuer)) as attacker,
        quirky() as registry,
        opened(registry.registry, settings=plain, logins=login) as ready,
        foreign(ready.source("app"), registry=registry.registry) as foreign_too,
    ):
        with pytest.raises(NotFound, match=rf"127.0.0.1:{attacker.port} answered 401") as caught:
            await read(foreign_too, layer(f"{attacker.url}/v2/app/blobs/x?key=shown-to-nobody"))
    assert (len(registry.requests), len(attacker.requests), issuer.requests) == (1, 1, [])
    assert unauthorized([attacker])
    assert caught.value.side == "source"
    assert "shown-to-nobody" not in str(caught.value)


@pytest.mark.attack("CVE-2023-43804")
async def test_basic_challenges_get_no_login_either_and_cookies_are_not_kept() -> None:
    steps = (
        answer(302, b"", Location="/again", Set_Cookie="a=b"),
        answer(401, b"", WWW_Authenticate='Basic realm="x"', Set_Cookie="a=b"),
    )
    async with scripted(*steps) as attacker, foreign() as foreign_too:
        with pytest.raises(NotFound):
            await read(foreign_too, layer(attacker.url))
    assert len(attacker.requests) == 2
    assert unauthorized([attacker])


async def test_a_redirect_is_followed_to_the_layer() -> None:
    async with (
        scripted(serve) as storage,
        scripted(answer(307, b"", Location=f"{storage.url}/layer")) as peer,
        foreign() as foreign_too,
    ):
        assert await read(foreign_too, layer(peer.url)) == CONTENT
    assert len(storage.requests) == 1


async def test_what_comes_from_an_address_counts_for_the_bandwidth() -> None:
    clock = Time(running=True)
    meter = Limits(TransferConfig(max_bandwidth=1024), sleep=clock.sleep, clock=clock).meter()
    async with scripted(serve) as peer, foreign(meter=meter) as foreign_too:
        assert await read(foreign_too, layer(peer.url)) == CONTENT
    assert clock.now == pytest.approx(len(CONTENT) / 1024 - 0.5)


async def test_redirects_without_end_are_given_up() -> None:
    async with scripted(answer(302, b"", Location="/on")) as peer, foreign() as foreign_too:
        with pytest.raises(NotFound, match="more than 5 redirects"):
            await read(foreign_too, layer(peer.url))
    assert len(peer.requests) == 6


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest", "https://10.0.0.1/x", "http://127.0.0.1:{port}/", "http://[::1]:{port}/"),
        *(
            "http://localhost:{port}/",
            "http://2130706433:{port}/",
            "http://0x7f.1:{port}/",
            "http://LOCALHOST.:{port}/",
        ),
    ],
)
@pytest.mark.parametrize("registry", [OUTSIDE, None])
@pytest.mark.attack("ggcr-2440")
async def test_an_image_from_outside_sends_nobody_inside(url: str, registry: str | None) -> None:
    async with scripted(serve) as peer, foreign(registry=registry) as foreign_too:
        with pytest.raises(NotFound, match="is inside a private network"):
            await read(foreign_too, layer(url.format(port=peer.port)))
    assert peer.requests == []


async def test_a_redirect_from_outside_leads_nobody_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        scripted(serve) as inside,
        scripted(answer(302, b"", Location=f"{inside.url}/secret")) as proxy,
        foreign(registry=OUTSIDE) as foreign_too,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(NotFound, match=rf"127.0.0.1:{inside.port} is inside a private network"):
            await read(foreign_too, layer("http://layers.example/layer"))
    assert (len(proxy.requests), inside.requests) == (1, [])


async def test_a_redirect_does_not_leave_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with (
        scripted(serve) as plain,
        scripted(answer(302, b"", Location=plain.url), tls=context) as peer,
        foreign() as foreign_too,
    ):
        with pytest.raises(NotFound, match="leads from https to http"):
            await read(foreign_too, layer(peer.url))
    assert (len(peer.requests), plain.requests) == (1, [])


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "layer",
            "file:///etc/passwd",
            "ftp://layers.example/x",
            "http://me:secret@layers.example/",
            "http://[::1",
        ),
        *("http://layers.example/a b", "http://layers.example:99999/", "http://layers.example/\n", "//layers.example/"),
    ],
)
async def test_what_is_no_plain_address_is_passed_over(url: str) -> None:
    async with scripted(serve) as peer, foreign() as foreign_too:
        assert await read(foreign_too, layer(url, peer.url)) == CONTENT
        assert "secret" not in foreign_too.locate(layer(url))
        with pytest.raises(NotFound) as caught:
            await read(foreign_too, layer(url))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_foreign_layer_without_addresses_says_what_to_do() -> None:
    async with foreign() as foreign_too:
        with pytest.raises(NotFound, match="it names no address; the source does not have it either, so leave"):
            await read(foreign_too, layer())


@pytest.mark.parametrize("body", [CONTENT + b"x", CONTENT[:-1]])
async def test_an_address_with_content_of_another_size_is_passed_over(body: bytes) -> None:
    async with scripted(answer(200, body)) as wrong, scripted(serve) as right, foreign() as foreign_too:
        assert await read(foreign_too, layer(wrong.url, right.url)) == CONTENT
        with pytest.raises(NotFound, match=f"its size should be {len(CONTENT)}, and it has {len(body)} bytes"):
            await read(foreign_too, layer(wrong.url))


@pytest.mark.attack("CVE-2024-29902")
async def test_content_that_never_ends_is_cut_off() -> None:
    async def endless(request: Arrived) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            request.writer.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            await request.writer.drain()

    async with scripted(endless) as peer, foreign() as foreign_too:
        with pytest.raises(ContentMismatch, match=f"more than {len(CONTENT)} bytes came"):
            await read(foreign_too, layer(peer.url))


async def test_a_stream_that_breaks_is_continued_at_its_address() -> None:
    async with scripted(broken_off(CONTENT[:300], length=len(CONTENT)), serve) as peer, foreign() as foreign_too:
        assert await read(foreign_too, layer(peer.url)) == CONTENT
    assert [request.headers.get("range", "") for request in peer.requests] == ["", f"bytes=300-{len(CONTENT) - 1}"]


async def test_what_is_not_foreign_is_never_looked_for_elsewhere() -> None:
    async with scripted(serve) as peer, foreign() as foreign_too:
        blob = msgspec.structs.replace(layer(peer.url), media_type=OCI_LAYER_GZIP)
        with pytest.raises(NotFound, match="memory source: no such blob"):
            await read(foreign_too, blob)
    assert peer.requests == []


async def test_a_reader_that_is_cancelled_leaves_no_connection() -> None:
    async def slow(request: Arrived) -> None:
        request.reply(200, CONTENT[:100], {}, length=len(CONTENT))
        await request.writer.drain()
        await request.reader.read()

    async with scripted(slow) as peer, foreign() as foreign_too:
        reading = asyncio.create_task(read(foreign_too, layer(peer.url)))
        await peer.came.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(peer.gone.wait(), 5)


async def test_a_layout_without_the_layer_has_it_streamed_into_the_target(layout: ImageBuilder, tmp_path: Path) -> None:
    image, target = layout.image(), LayoutTarget(tmp_path / "target")
    async with scripted(serve) as peer, foreign(LayoutSource(image.path)) as foreign_too:
        assert foreign_too.open_file(layer(peer.url)) is None
        with foreign_too.open_file(image.blobs[0]) or io.BytesIO() as file:
            assert file.read() == image.content(image.blobs[0])
        sent = await target.push_blob(BlobContext(layer(peer.url), lambda _: None), foreign_too)
    assert sent.sent == len(CONTENT)
    assert blob_file(target.path, Digest.of(CONTENT)).read_bytes() == CONTENT


async def test_other_content_of_the_right_size_is_refused_by_who_takes_it() -> None:
    async with scripted(answer(200, CONTENT[::-1])) as peer, foreign() as foreign_too:
        with pytest.raises(ContentMismatch, match=f"127.0.0.1:{peer.port}"):
            await MemoryTarget().push_blob(BlobContext(layer(peer.url), lambda _: None), foreign_too)
