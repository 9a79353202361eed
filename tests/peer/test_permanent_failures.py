"""Failures that are reported at once, since a retry would meet them again, and those that are retried."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.distribution_ends import ATTEMPTS, CONFIG, opened
from tests.support.scripted import Arrived, Step, answer, broken_off, drop, gibberish, scripted, stall
from transfer.concurrency.retry import Retrier
from transfer.errors import ConnectionFailed
from transfer.http.messages import HttpRequest
from transfer.http.settings import RegistrySettings, Tls
from transfer.http.transport import Transport

CERTIFICATE = Path(__file__).with_name("loopback.pem")
QUICK = replace(CONFIG, read_timeout=0.2)
ALL = ATTEMPTS
# By the event loop, or by the worker threads where large blobs are moved.
both_ways = pytest.mark.parametrize("large", [False, True])
# What has never answered is given up sooner.
FEW = 3
MIB = 1024 * 1024


def zipped(status: int) -> Step:
    return answer(status, b"\x1f\x8b", Content_Encoding="gzip")


async def endless(request: Arrived) -> None:
    """Answer with more than any answer can be."""
    request.reply(200, b"", {}, length=1024 * MIB)
    for _ in range(65):
        request.writer.write(bytes(MIB))
        await request.writer.drain()


async def tries(request: HttpRequest) -> int:
    """How often a request is sent that never gets an answer."""
    sent = 0
    async with Transport(QUICK) as transport:

        async def once() -> object:
            nonlocal sent
            sent += 1
            if not request.large:
                return await transport.send(request, what="x")
            async with transport.stream(request, what="x") as reply:
                return [chunk async for chunk in reply.chunks]

        with pytest.raises(ConnectionFailed) as caught:
            await Retrier(QUICK).run("x", once)
    assert caught.value.permanent is (sent == 1)
    return sent


@both_ways
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(zipped(200), 1, id="compressed"),
        pytest.param(zipped(404), 1, id="a compressed refusal"),
        pytest.param(zipped(408), ALL, id="compressed: took too long"),
        pytest.param(zipped(429), ALL, id="compressed: too many requests"),
        pytest.param(zipped(503), ALL, id="compressed: out of order"),
        pytest.param(broken_off(b"{", length=9), ALL, id="broken off"),
        pytest.param(drop, FEW, id="dropped"),
        pytest.param(stall, FEW, id="never"),
        pytest.param(gibberish(b"SSH-2.0-OpenSSH_9.6\r\n"), FEW, id="not HTTP"),
    ],
)
async def test_an_answer_that_will_be_the_same_is_not_asked_for_again(step: Step, expected: int, large: bool) -> None:
    async with scripted(step) as peer:
        assert await tries(HttpRequest("GET", peer.url, {}, large=large)) == expected == len(peer.requests)


async def test_an_answer_larger_than_any_may_be_is_not_asked_for_again() -> None:
    async with scripted(endless) as peer:
        assert await tries(HttpRequest("GET", peer.url, {})) == 1 == len(peer.requests)


@pytest.mark.parametrize("url", ["http:///v2/", "registry.example/v2/", "ftp://registry.example/"])
async def test_what_is_no_url_is_told_at_once(url: str) -> None:
    assert await tries(HttpRequest("GET", url, {})) == 1


@both_ways
@pytest.mark.parametrize(
    ("url", "public_only", "expected"),
    [
        ("http://localhost:1/", True, 1),
        ("http://localhost:1/", False, FEW),
        ("http://127.0.0.1:1/", False, FEW),
        ("http://registry.invalid/", False, 2),
    ],
)
async def test_an_address_that_leads_nowhere_is_tried_again_only_if_it_may_lead_somewhere(
    url: str, public_only: bool, expected: int, large: bool
) -> None:
    assert await tries(HttpRequest("GET", url, {}, public_only=public_only, large=large)) == expected


@both_ways
@pytest.mark.parametrize(("host", "trust"), [("127.0.0.1", Tls()), ("localhost", Tls(ca_bundle=str(CERTIFICATE)))])
async def test_a_certificate_of_a_stranger_or_for_another_name_is_told_at_once(
    host: str, trust: Tls, large: bool
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    async with scripted(answer(), tls=tls) as peer:
        assert await tries(HttpRequest("GET", f"https://{host}:{peer.port}", {}, tls=trust, large=large)) == 1


@both_ways
async def test_a_port_without_tls_may_have_it_soon(large: bool) -> None:
    async with scripted(answer()) as peer:
        assert await tries(HttpRequest("GET", peer.url.replace("http:", "https:"), {}, large=large)) == FEW


@both_ways
@pytest.mark.parametrize(
    ("status", "expected"), [(403, 1), (405, 1), (407, 1), (408, FEW), (429, FEW), (502, FEW), (504, FEW)]
)
async def test_a_proxy_that_refuses_for_good_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, status: int, expected: int, large: bool
) -> None:
    async with scripted(answer(status)) as peer:
        monkeypatch.setenv("HTTPS_PROXY", peer.url)
        assert (
            await tries(HttpRequest("GET", "https://registry.example/", {}, large=large))
            == expected
            == len(peer.requests)
        )


async def test_a_client_does_not_ask_again_for_what_will_be_the_same() -> None:
    async with scripted(zipped(200)) as peer, opened(peer.url[7:], settings=RegistrySettings(plain_http=True)) as one:
        with pytest.raises(ConnectionFailed, match="'gzip', which was not asked for") as caught:
            await one.client.get_manifest("app", "v1")
        assert not hasattr(caught.value, "__notes__")
        assert len(peer.requests) == 1
