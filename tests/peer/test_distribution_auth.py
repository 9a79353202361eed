"""Authorization against registries and token servers, honest ones and others."""

import base64
import json
import ssl
import traceback
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.distribution_ends import CONFIG, opened
from tests.support.scripted import Arrived, Peer, Step, answer, scripted
from transfer.auth.credentials import Anonymous, FixedLogin, Login, Logins
from transfer.auth.tokens import Authenticator, TokenScope
from transfer.concurrency.tasks import gather
from transfer.errors import ConnectionFailed, RegistryError, TransferError, Unauthorized
from transfer.http.messages import HttpRequest
from transfer.http.settings import RegistrySettings, Tls
from transfer.http.transport import Transport
from transfer.registry.oci.registry_http import is_loopback

SECRET = "canary-5e0b"
PLAIN = RegistrySettings(plain_http=True)
ME = FixedLogin(Login("me", SECRET))
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
TAGS = answer(200, {"tags": ["v1"]})
CERTIFICATE = Path(__file__).with_name("loopback.pem")


def bearer(realm: str, **more: str) -> Step:
    parameters = ",".join(f'{name}="{value}"' for name, value in {"realm": realm, **more}.items())
    return answer(
        401, {"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}, WWW_Authenticate=f"Bearer {parameters}"
    )


def token(value: str = "t1", **members: object) -> Step:
    return answer(200, {"token": value, **members})


def guarded(peer: Peer, challenge: Step, header: str) -> None:
    """Let the peer answer with tags to whoever brings the header, and challenge everybody else."""

    async def choose(request: Arrived) -> Step:
        return TAGS if request.headers.get("authorization") == header else challenge

    peer.choose = choose  # type: ignore[method-assign]


async def tags(peer: Peer, *, logins: Logins = ME, settings: RegistrySettings = PLAIN, times: int = 1) -> list[str]:
    found: list[str] = []
    async with opened(peer.url.partition("//")[2], settings=settings, logins=logins) as registry:
        for _ in range(times):
            found = [tag async for tag in registry.client.tags("app")]
    return found


def sent(requests: Sequence[Arrived]) -> list[str | None]:
    return [request.headers.get("authorization") for request in requests]


async def test_a_token_is_asked_for_once_and_goes_with_every_later_request() -> None:
    async with scripted(token()) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(f"{issuer.url}/token", service="reg", scope="repository:app:pull"), "Bearer t1")
        assert await tags(peer, times=3) == ["v1"]
    assert sent(peer.requests) == [None, *["Bearer t1"] * 3]
    assert sent(issuer.requests) == [BASIC]
    assert parse_qs(urlsplit(issuer.requests[0].line.split()[1]).query) == {
        "account": ["me"],
        "service": ["reg"],
        "scope": ["repository:app:pull"],
    }


async def test_what_the_registry_asks_for_besides_comes_first() -> None:
    async with scripted(token()) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url, scope="repository:app:pull repository:other:pull"), "Bearer t1")
        await tags(peer)
    query = parse_qs(urlsplit(issuer.requests[0].line.split()[1]).query)
    assert query["scope"] == ["repository:other:pull", "repository:app:pull"]


async def test_a_repository_and_an_action_have_a_token_of_their_own() -> None:
    async with scripted(token("a"), token("b"), token("c")) as issuer, Transport(CONFIG) as transport:
        auth = Authenticator("r", issuer.url, logins=Anonymous(), transport=transport)
        await auth.challenged({"www-authenticate": f"Bearer realm={issuer.url}"}, TokenScope("one"), None, what="GET")
        accesses = TokenScope("one"), TokenScope("two"), TokenScope("two", "pull,push", "one"), TokenScope("one")
        headers = [await auth.header(access, what="GET") for access in accesses]
    assert headers == ["Bearer a", "Bearer b", "Bearer c", "Bearer a"]
    scopes = parse_qs(urlsplit(issuer.requests[2].line.split()[1]).query)["scope"]
    assert scopes == ["repository:two:pull,push", "repository:one:pull"]


@pytest.mark.parametrize(
    ("life", "still", "renewed"),
    [(300, 269, 271), (100, 79, 81), (None, 47, 49), (5, 47, 49), (-1, 47, 49), ("9", 47, 49), (10**12, 86369, 86371)],
)
async def test_a_token_is_renewed_before_it_ends(life: object, still: float, renewed: float) -> None:
    members = {} if life is None else {"expires_in": life}
    async with scripted(token("a", **members), token("b")) as issuer, Transport(CONFIG) as transport:
        times = [1000.0]
        auth = Authenticator("r", issuer.url, logins=ME, transport=transport, clock=lambda: times[0])
        access = TokenScope("app")
        await auth.challenged({"www-authenticate": f"Bearer realm={issuer.url}"}, access, None, what="GET")
        found = []
        for moment in (still, renewed):
            times[0] = 1000.0 + moment
            found.append(await auth.header(access, what="GET"))
    assert found == ["Bearer a", "Bearer b"]


async def test_a_token_that_ran_out_early_is_replaced_once() -> None:
    async with scripted(token("a"), token("b")) as issuer, scripted(TAGS) as peer:
        held = ["Bearer a"]

        async def choose(request: Arrived) -> Step:
            return TAGS if request.headers.get("authorization") in held else bearer(issuer.url)

        peer.choose = choose  # type: ignore[method-assign]
        async with opened(peer.url[7:], settings=PLAIN, logins=ME) as registry:
            assert [tag async for tag in registry.client.tags("app")] == ["v1"]
            held[:] = ["Bearer b"]
            assert [tag async for tag in registry.client.tags("app")] == ["v1"]
    assert sent(peer.requests) == [None, "Bearer a", "Bearer a", "Bearer b"]


async def test_one_request_is_challenged_once() -> None:
    async with scripted(token("a"), token("b")) as issuer, scripted(bearer(issuer.url)) as peer:
        with pytest.raises(Unauthorized):
            await tags(peer)
    assert sent(peer.requests) == [None, "Bearer a"]


async def test_many_requests_at_once_share_one_token() -> None:
    async with scripted(token()) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url), "Bearer t1")
        async with opened(peer.url[7:], settings=PLAIN, logins=ME) as registry:

            async def once() -> list[str]:
                return [tag async for tag in registry.client.tags("app")]

            assert await gather(once() for _ in range(10)) == [["v1"]] * 10
    assert len(issuer.requests) == 1


async def test_basic_is_sent_from_the_second_request_on() -> None:
    async with scripted(TAGS) as peer:
        guarded(peer, answer(401, b"", WWW_Authenticate='Basic realm="x"'), BASIC)
        assert await tags(peer, times=2) == ["v1"]
    assert sent(peer.requests) == [None, BASIC, BASIC]


async def test_wrong_credentials_are_tried_once() -> None:
    async with scripted(answer(401, b"", WWW_Authenticate='Basic realm="x"')) as peer:
        with pytest.raises(Unauthorized, match="check the credentials") as caught:
            await tags(peer)
    assert sent(peer.requests) == [None, BASIC]
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_registry_that_wants_a_login_says_so_to_nobody() -> None:
    async with scripted(answer(401, b"", WWW_Authenticate='Basic realm="x"')) as peer:
        with pytest.raises(Unauthorized, match="requires credentials, and none were found"):
            await tags(peer, logins=Anonymous())


@pytest.mark.parametrize(
    ("challenge", "reason"),
    [
        ("Negotiate, Digest nonce=1", "'digest, negotiate', and only Basic and Bearer are known"),
        ("", "sends no authentication challenge"),
        ("Bearer service=x", "names no address"),
        ("Bearer realm=http://169.254.169.254/latest/api", "private address 169.254.169.254"),
        ("Bearer realm=http://localhost:1/", "private address localhost"),
        ("Bearer realm=file:///etc/passwd", "names no address"),
    ],
)
async def test_a_challenge_that_is_not_answered_is_named(challenge: str, reason: str) -> None:
    async with scripted(answer(401, b"", WWW_Authenticate=challenge)) as peer:
        with pytest.raises(Unauthorized, match=reason):
            await tags(peer)
    assert sent(peer.requests) == [None]


@pytest.mark.attack("GHSA-28r5-37g7-p6mp", "CVE-2025-51471")
async def test_a_token_server_of_another_site_sees_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(token("public")) as proxy, scripted(TAGS) as peer:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        guarded(peer, bearer("http://auth.other.example/token"), "Bearer public")
        assert await tags(peer) == ["v1"]
        assert await tags(peer, logins=FixedLogin(Login(identity_token=SECRET))) == ["v1"]
    assert [request.line.split()[:2] for request in proxy.requests] == [
        ["GET", "http://auth.other.example/token?scope=repository%3Aapp%3Apull"]
    ] * 2
    assert sent(proxy.requests) == [None, None]


async def test_a_token_server_that_refuses_a_stranger_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(answer(401)) as proxy, scripted(TAGS) as peer:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        guarded(peer, bearer("http://auth.other.example/token"), "Bearer public")
        with pytest.raises(Unauthorized, match="name it as a token host"):
            await tags(peer)
        named = RegistrySettings(plain_http=True, token_hosts=frozenset({"auth.other.example"}))
        with pytest.raises(Unauthorized):
            await tags(peer, settings=named)
    assert sent(proxy.requests) == [None, BASIC]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.attack("ggcr-2291")
async def test_a_token_server_leads_nobody_on(status: int) -> None:
    step = answer(status, b"", Location="http://169.254.169.254/latest/meta-data")
    async with scripted(step) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url), "Bearer t1")
        with pytest.raises(Unauthorized, match="sends clients on"):
            await tags(peer)
    assert len(issuer.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"AccessKeyId": "ASIA", "SecretAccessKey": "canary-5e0b", "Token": "canary-5e0b"}',
        b'{"token": ""}',
        b'{"token": 5}',
        b'{"token": "a b"}',
        b'{"token": "a\\r\\nX-Evil: 1"}',
        b'{"token": "\\u00e9"}',
        b"[]",
        b"<html>",
        b"[" * 100_000,
        json.dumps({"token": "a" * 20_000}).encode(),
    ],
)
@pytest.mark.attack("ggcr-2193")
async def test_what_is_no_token_is_never_sent_on(body: bytes) -> None:
    async with scripted(answer(200, body)) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url), "Bearer t1")
        with pytest.raises(Unauthorized, match="without a token that can be used") as caught:
            await tags(peer)
    assert sent(peer.requests) == [None]
    assert SECRET not in str(caught.value)


async def test_a_token_may_be_called_an_access_token() -> None:
    async with scripted(answer(200, {"access_token": "a"})) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url), "Bearer a")
        assert await tags(peer) == ["v1"]


async def test_an_identity_token_is_posted_and_kept_out_of_the_address() -> None:
    async with scripted(token()) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url, service="reg"), "Bearer t1")
        await tags(peer, logins=FixedLogin(Login(identity_token=SECRET)))
    request = issuer.requests[0]
    assert (request.line, sent([request])) == ("POST / HTTP/1.1", [None])
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [SECRET],
        "client_id": ["layer-transfer"],
        "service": ["reg"],
        "scope": ["repository:app:pull"],
    }


async def test_a_token_server_in_trouble_is_asked_again() -> None:
    async with scripted(answer(503), token()) as issuer, scripted(TAGS) as peer:
        guarded(peer, bearer(issuer.url), "Bearer t1")
        assert await tags(peer) == ["v1"]
    assert len(issuer.requests) == 2


class Renewing:
    """Logins that are another one each time the last was forgotten."""

    def __init__(self) -> None:
        self.forgotten = 0

    async def find(self, registry: str, repository: str) -> Login:
        return Login("AWS", f"p{self.forgotten}")

    def forget(self, registry: str) -> None:
        self.forgotten += 1


async def test_ecrs_expired_token_is_renewed_like_after_a_401() -> None:
    expired = {"errors": [{"code": "DENIED", "message": "Your authorization token has expired. Reauthenticate."}]}
    stale, fresh = (Login("AWS", password).basic for password in ("p0", "p1"))
    challenge = answer(401, b"", WWW_Authenticate='Basic realm="x"')
    steps = challenge, TAGS, answer(403, expired), TAGS, answer(403, expired)
    async with (
        scripted(*steps) as peer,
        opened(peer.url[7:], settings=PLAIN, logins=Renewing()) as registry,
    ):
        for _ in range(2):
            assert [tag async for tag in registry.client.tags("app")] == ["v1"]
        with pytest.raises(Unauthorized, match="token has expired"):
            [tag async for tag in registry.client.tags("app")]
    assert sent(peer.requests)[:4] == [None, stale, stale, fresh]
    assert len(peer.requests) == 6


async def test_a_login_near_its_end_is_looked_for_anew() -> None:
    found: list[Login] = []

    class Ending:
        async def find(self, registry: str, repository: str) -> Login:
            found.append(Login("me", f"p{len(found)}", expires_at=10_000.0 * (len(found) + 1)))
            return found[-1]

        def forget(self, registry: str) -> None:
            raise AssertionError

    async with Transport(CONFIG) as transport:
        times = [0.0]
        auth = Authenticator("r", "https://r", logins=Ending(), transport=transport, clock=lambda: times[0])
        await auth.challenged({"www-authenticate": "Basic realm=x"}, TokenScope("app"), None, what="GET")
        headers = []
        for times[0] in (5000.0, 9399.0, 9401.0):
            headers.append(await auth.header(TokenScope("app"), what="GET"))
    assert headers == [found[0].basic, found[0].basic, found[1].basic]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_a_loopback_host_is_known_by_its_name(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


async def test_a_loopback_registry_without_tls_is_spoken_to_plainly() -> None:
    async with scripted(TAGS) as peer:
        assert await tags(peer, settings=RegistrySettings()) == ["v1"]
    assert [request.line.split()[1] for request in peer.requests] == ["/v2/app/tags/list?n=1000"]


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_loopback_registry_with_tls_is_not_downgraded(tls: ssl.SSLContext) -> None:
    async with scripted(TAGS, tls=tls) as peer:
        with pytest.raises(ConnectionFailed, match="certificate is not trusted"):
            await tags(peer, settings=RegistrySettings())
    assert peer.requests == []


@pytest.mark.parametrize("setting", [Tls(extra_ca=str(CERTIFICATE)), Tls(verify=False)])
async def test_a_private_ca_or_none_at_all_is_a_setting_of_the_registry(tls: ssl.SSLContext, setting: Tls) -> None:
    async with scripted(TAGS, tls=tls) as peer:
        assert await tags(peer, settings=RegistrySettings(tls=setting)) == ["v1"]


@pytest.mark.attack("CVE-2024-35195")
async def test_trust_in_one_registry_is_not_trust_in_the_next(tls: ssl.SSLContext) -> None:
    async with scripted(TAGS, tls=tls) as peer, Transport(CONFIG) as transport:
        await transport.send(HttpRequest("GET", peer.url, {}, tls=Tls(verify=False)), what="x")
        with pytest.raises(ConnectionFailed, match="not trusted"):
            await transport.send(HttpRequest("GET", peer.url, {}), what="x")


async def test_a_client_certificate_is_shown(tls: ssl.SSLContext) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(CERTIFICATE)
    trusting = Tls(extra_ca=str(CERTIFICATE))
    async with scripted(TAGS, tls=tls) as peer:
        shown = RegistrySettings(tls=Tls(extra_ca=str(CERTIFICATE), certificate=str(CERTIFICATE)))
        assert await tags(peer, settings=shown) == ["v1"]
        with pytest.raises(TransferError):
            await tags(peer, settings=RegistrySettings(tls=trusting))


@pytest.mark.attack("CVE-2026-48978")
async def test_an_https_registry_gets_its_tokens_over_tls_alone(tls: ssl.SSLContext) -> None:
    async with scripted(token()) as issuer, scripted(bearer(issuer.url), tls=tls) as peer:
        with pytest.raises(RegistryError, match="without TLS"):
            await tags(peer, settings=RegistrySettings(tls=Tls(verify=False)))
    assert issuer.requests == []
