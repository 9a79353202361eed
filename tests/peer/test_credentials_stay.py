"""Where credentials must not go, and what must not be asked: known attacks on tools of this kind, played."""

import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.distribution_ends import opened
from tests.support.quirky import QuirkyRegistry, kind, method_of, on, quirky
from tests.support.scripted import Arrived, Step, answer, scripted
from transfer import Engine, Server, TransferConfig
from transfer.auth.credentials import FixedLogin, Login
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.protocols import BlobContext
from transfer.errors import ConnectionFailed, RegistryError, TransferError, Unauthorized
from transfer.http.settings import RegistrySettings, Tls
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.requests import UploadSession
from transfer.testing.images import ImageBuilder

MIB = 1024 * 1024
SECRET = "canary-a7c3"
PLAIN = RegistrySettings(plain_http=True)
ME = FixedLogin(Login("me", SECRET))
DIGEST = Digest.of(b"blob")
CERTIFICATE = Path(__file__).with_name("loopback.pem")
ONCE = TransferConfig(journal=False, max_attempts=1)


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def logins(peer: QuirkyRegistry) -> set[str | None]:
    return {request.headers.get("authorization") for request in peer.requests}


async def tags(client: DistributionClient) -> object:
    return [tag async for tag in client.tags("app")]


# Every way to a registry; one of them once was without the rule that the others had (CVE-2026-33990).
WAYS: dict[str, Callable[[DistributionClient], Awaitable[object]]] = {
    "pull": lambda client: client.get_manifest("app", "v1"),
    "look": lambda client: client.head_manifest("app", "v1"),
    "list": tags,
    "push": lambda client: client.put_manifest("app", "v1", b"{}", "application/json", DIGEST),
    "delete": lambda client: client.delete_manifest("app", "v1"),
    "blob": lambda client: client.has_blob("app", DIGEST),
    "upload": lambda client: client.start_upload("app"),
    "mount": lambda client: client.mount_blob("app", DIGEST, "other"),
    "resume": lambda client: client.upload_status(UploadSession("app", "/v2/app/blobs/uploads/1"), 5),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.attack("CVE-2026-33990")
async def test_a_realm_inside_is_refused_on_every_way(way: str) -> None:
    step = answer(401, b"", WWW_Authenticate='Bearer realm="http://169.254.169.254/latest/meta-data"')
    async with scripted(step) as peer, opened(f"127.0.0.1:{peer.port}", settings=PLAIN, logins=ME) as registry:
        with pytest.raises(Unauthorized, match=r"private address 169\.254\.169\.254"):
            await WAYS[way](registry.client)
    assert [request.headers.get("authorization") for request in peer.requests] == [None]


@pytest.mark.attack("CVE-2026-33990")
async def test_a_realm_that_turns_bad_later_is_refused_as_well() -> None:
    async with scripted(answer(200, {"token": "t1"})) as issuer, scripted(answer()) as peer:
        good = answer(401, b"", WWW_Authenticate=f"Bearer realm={issuer.url}")
        bad = answer(401, b"", WWW_Authenticate="Bearer realm=http://10.0.0.1/token")
        steps = iter([good, answer(200, {"tags": []}), bad])

        async def choose(request: Arrived) -> Step:
            return next(steps)

        peer.choose = choose  # type: ignore[method-assign]
        async with opened(f"127.0.0.1:{peer.port}", settings=PLAIN, logins=ME) as registry:
            await tags(registry.client)
            with pytest.raises(Unauthorized, match=r"private address 10\.0\.0\.1"):
                await tags(registry.client)
    assert len(peer.requests) == 3


@pytest.mark.attack("CVE-2019-10214")
async def test_a_token_server_is_checked_by_the_registrys_tls(tls: ssl.SSLContext) -> None:
    async with scripted(answer(200, {"token": "t1"}), tls=tls) as issuer:
        step = answer(401, b"", WWW_Authenticate=f"Bearer realm={issuer.url}")
        async with scripted(step) as peer, opened(f"127.0.0.1:{peer.port}", settings=PLAIN, logins=ME) as registry:
            with pytest.raises(ConnectionFailed, match="not trusted"):
                await tags(registry.client)
    assert issuer.requests == []


@pytest.mark.attack("CVE-2018-18074")
async def test_a_redirect_from_https_to_http_is_not_followed(tls: ssl.SSLContext) -> None:
    settings = RegistrySettings(tls=Tls(extra_ca=str(CERTIFICATE)))
    async with scripted(answer(200, {"tags": ["v1"]})) as plain:
        step = answer(307, b"", Location=f"{plain.url}/v2/app/tags/list")
        async with (
            scripted(step, tls=tls) as peer,
            opened(f"127.0.0.1:{peer.port}", settings=settings, logins=ME) as registry,
        ):
            with pytest.raises(RegistryError, match="leads from https to http"):
                await tags(registry.client)
    assert plain.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("way", ["push", "delete", "upload", "mount"])
@pytest.mark.attack("CVE-2023-45803")
async def test_what_changes_something_is_never_redirected(way: str, status: int) -> None:
    async with scripted(answer(201)) as other:
        step = answer(status, b"", Location=f"{other.url}/v2/app/manifests/v1")
        async with scripted(step) as peer, opened(f"127.0.0.1:{peer.port}", settings=PLAIN, logins=ME) as registry:
            with pytest.raises(RegistryError):
                await WAYS[way](registry.client)
    assert (len(peer.requests), other.requests) == (1, [])


@pytest.mark.parametrize("wanted", ["PATCH upload", "PUT upload"])
@pytest.mark.attack("CVE-2023-45803")
async def test_the_bytes_of_a_blob_are_never_redirected(wanted: str, layout: ImageBuilder) -> None:
    image = layout.image([2 * MIB])
    async with scripted(answer(201)) as other, quirky() as peer:
        peer.quirk = on(wanted, answer(307, b"", Location=f"{other.url}/v2/app/blobs/uploads/s0"))
        async with opened(peer.registry, settings=PLAIN, logins=ME) as registry:
            with pytest.raises(TransferError):
                await registry.target("app", chunk=MIB).push_blob(
                    BlobContext(image.blobs[-1], lambda _: None), LayoutSource(image.path)
                )
    assert other.requests == []


@pytest.mark.attack("CVE-2026-50151")
async def test_a_session_that_moves_away_in_its_middle_leaves_the_credentials_behind(layout: ImageBuilder) -> None:
    image = layout.image([3 * MIB])
    layer = max(image.blobs, key=lambda blob: blob.size)
    async with quirky() as storage, quirky() as peer:

        async def move(request: Arrived) -> None:
            await request.read_body()
            storage.sessions["s0"] = bytearray(request.body)
            request.reply(202, b"", {"Location": f"{storage.url}/v2/app/blobs/uploads/s0", "Range": f"0-{MIB - 1}"})
            await request.writer.drain()

        def guarded(request: Arrived) -> Step | None:
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            return move if method_of(request) == "PATCH" else None

        peer.quirk = guarded
        async with opened(peer.registry, settings=PLAIN, logins=ME) as registry:
            await registry.target("app", chunk=MIB).push_blob(
                BlobContext(layer, lambda _: None), LayoutSource(image.path)
            )
    assert storage.blobs[layer.digest] == image.content(layer)
    assert storage.lines == ["PATCH upload", "PATCH upload", "PUT upload"]
    assert (logins(storage), logins(peer)) == ({None}, {None, basic(f"me:{SECRET}")})


@pytest.mark.attack("CVE-2026-33540")
async def test_each_side_is_shown_its_own_login_alone(layout: ImageBuilder) -> None:
    """Also where the source answers a blob with a redirect to the target."""
    image = layout.image([1000])
    async with (
        quirky() as source,
        quirky() as target,
        Engine(ONCE) as engine,
    ):
        contents = {one.digest: image.content(one) for one in (image.root, *image.blobs)}

        def read(request: Arrived) -> Step:
            name = request.line.split()[1].rpartition("/")[2]
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            if kind(request) == "manifest":
                return answer(200, contents[image.root.digest], Content_Type=image.root.media_type)
            return answer(307, b"", Location=f"{target.url}/stolen/blobs/{name}")

        def write(request: Arrived) -> Step | None:
            name = request.line.split()[1].rpartition("/")[2]
            if "/stolen/" in request.line:
                return answer(200, contents[Digest(name)])
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            if kind(request) == "manifest" and method_of(request) == "PUT":
                return answer(201, b"", Docker_Content_Digest=image.root.digest)
            return None

        source.quirk, target.quirk = read, write
        await engine.copy(
            f"{source.registry}/app:v1",
            f"{target.registry}/app:v1",
            source_access=RegistryAccess(login="reader:secret-of-the-source", plain_http=True),
            target_access=RegistryAccess(login="writer:secret-of-the-target", plain_http=True),
        )
        assert set(target.blobs) == {blob.digest for blob in image.blobs}
    assert logins(source) == {None, basic("reader:secret-of-the-source")}
    assert logins(target) == {None, basic("writer:secret-of-the-target")}
    stolen = [request for request in target.requests if "/stolen/" in request.line]
    assert [request.headers.get("authorization") for request in stolen] == [None] * 2


@pytest.mark.attack("CVE-2020-15157", "CVE-2021-32690")
async def test_an_address_inside_an_image_is_never_asked(server: Server, layout: ImageBuilder) -> None:
    """CVE-2020-15157: a layer's `urls` lead to a server that asks for a login."""
    host = server.url.partition("//")[2]
    access = RegistryAccess(login="transfer:transfer")
    async with scripted(answer(401, b"", WWW_Authenticate="Basic realm=r")) as peer, Engine(ONCE) as engine:
        foreign = Descriptor(
            media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            digest=Digest.of(b"elsewhere"),
            size=9,
            urls=(f"{peer.url}/layer",),
        )
        own = msgspec.structs.replace(layout.layer(1000), urls=(f"{peer.url}/own",))
        image = layout.image((), layers=(foreign, own))
        await engine.push(image.source, f"{host}/first:v1", target_access=access)
        copied = await engine.copy(
            f"{host}/first:v1", f"{host}/x/second:v1", source_access=access, target_access=access
        )
        await engine.inspect(f"{host}/x/second:v1", access=access)
    assert copied.digest == image.root.digest
    assert peer.requests == []
