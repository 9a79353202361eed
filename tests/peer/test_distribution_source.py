"""Reading from registries that break off, send other ranges, redirect and lie."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.distribution_ends import CONFIG, Registry, opened
from tests.support.quirky import QuirkyRegistry, error, method_of, on, quirky, refuse
from tests.support.scripted import Arrived, Step, answer, scripted
from transfer.auth.credentials import FixedLogin, Login
from transfer.errors import (
    ConnectionFailed,
    ContentMismatch,
    InvalidManifest,
    NotFound,
    RegistryError,
    TransferError,
    Unauthorized,
)
from transfer.http.settings import RegistrySettings
from transfer.model.descriptor import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.testing.images import BuiltImage, ImageBuilder, encode

PLAIN = RegistrySettings(plain_http=True)
CONTENT = bytes(range(256)) * 4096
BLOB = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(CONTENT), size=len(CONTENT))


@pytest_asyncio.fixture(params=["event loop", "lane"])
async def registry(peer: QuirkyRegistry, request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    """Blobs are read both ways: what holds in the event loop holds in worker threads."""
    config = replace(CONFIG, large_blob_bytes=0 if request.param == "lane" else len(CONTENT))
    async with opened(
        peer.registry, settings=PLAIN, logins=FixedLogin(Login("me", "canary-77aa")), config=config
    ) as ready:
        yield ready


async def read(registry: Registry, offset: int = 0, end: int | None = None) -> bytes:
    async with registry.source("app").open_blob(BLOB, offset=offset, end=end) as pieces:
        return b"".join([piece async for piece in pieces])


def ranges(peer: QuirkyRegistry) -> list[str]:
    return [request.headers.get("range", "") for request in peer.requests]


def serve(*, breaks_after: int | None = None, ranged: bool = True) -> Step:
    """The content, by ranges or always whole; at most so many bytes of it before the connection ends."""

    async def step(request: Arrived) -> None:
        first, last = 0, len(CONTENT) - 1
        headers, status = {}, 200
        if ranged and "range" in request.headers:
            first, last = (int(one) for one in request.headers["range"].removeprefix("bytes=").split("-"))
            headers, status = {"Content-Range": f"bytes {first}-{last}/{len(CONTENT)}"}, 206
        body = CONTENT[first : last + 1]
        request.reply(status, body[:breaks_after], headers, length=len(body))
        await request.writer.drain()
        if breaks_after is not None and breaks_after < len(body):
            request.writer.close()

    return step


async def test_a_whole_blob_is_asked_for_without_a_range(peer: QuirkyRegistry, registry: Registry) -> None:
    peer.quirk = on("GET blob", serve())
    assert await read(registry) == CONTENT
    assert ranges(peer) == [""]


async def test_a_stream_that_breaks_is_continued_where_it_broke(peer: QuirkyRegistry, registry: Registry) -> None:
    peer.quirk = on("GET blob", serve(breaks_after=300_000))
    assert await read(registry) == CONTENT
    assert ranges(peer) == ["", *(f"bytes={at}-{len(CONTENT) - 1}" for at in (300_000, 600_000, 900_000))]


async def test_a_registry_without_ranges_sends_it_all_again_and_it_is_skipped(
    peer: QuirkyRegistry, registry: Registry
) -> None:
    broken, whole = on("GET blob", serve(breaks_after=300_000), times=1), on("GET blob", serve(ranged=False))
    peer.quirk = lambda request: broken(request) or whole(request)
    assert await read(registry) == CONTENT
    assert await read(registry, 1000, 2000) == CONTENT[1000:2000]


@pytest.mark.parametrize("content_range", ["bytes 1-9/1048576", "bytes 0-8/1048576", "bytes 0-9/5", "", "bytes */9"])
@pytest.mark.attack("wrong-content-range")
async def test_another_range_than_asked_for_is_refused(
    peer: QuirkyRegistry, registry: Registry, content_range: str
) -> None:
    peer.quirk = on("GET blob", answer(206, bytes(10), Content_Range=content_range))
    with pytest.raises(RegistryError, match="the answer is another range") as caught:
        await read(registry, 0, 10)
    assert caught.value.side == "source"


async def test_a_stream_that_never_gets_on_is_given_up(peer: QuirkyRegistry, registry: Registry) -> None:
    peer.quirk = on("GET blob", serve(breaks_after=1))
    with pytest.raises(RegistryError, match="the stream broke 21 times within"):
        await read(registry)


async def test_a_stream_that_ends_early_without_a_sign_is_continued(peer: QuirkyRegistry, registry: Registry) -> None:
    async def short(request: Arrived) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        request.writer.write(b"3e8\r\n" + CONTENT[:1000] + b"\r\n0\r\n\r\n")

    first, others = on("GET blob", short, times=1), on("GET blob", serve())
    peer.quirk = lambda request: first(request) or others(request)
    assert await read(registry) == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 0])
@pytest.mark.attack("truncated-body", "CVE-2025-13836", "GHSA-f36w-mj3v-6jqv")
async def test_a_blob_of_another_size_is_refused_before_a_byte(
    peer: QuirkyRegistry, registry: Registry, size: int
) -> None:
    peer.quirk = on("GET blob", answer(200, bytes(size)))
    with pytest.raises(ContentMismatch, match=f"it has {size} bytes") as caught:
        async with registry.source("app").open_blob(BLOB):
            pytest.fail("opened")
    assert caught.value.side == "source"


@pytest.mark.attack("truncated-body", "CVE-2024-29902")
async def test_more_bytes_than_the_size_are_refused(peer: QuirkyRegistry, registry: Registry) -> None:
    async def endless(request: Arrived) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            request.writer.write(b"20000\r\n" + bytes(0x20000) + b"\r\n")
            await request.writer.drain()

    peer.quirk = on("GET blob", endless)
    with pytest.raises(ContentMismatch, match="bytes came"):
        await read(registry)


@pytest.mark.attack("GHSA-vh4v-2xq2-g5cg", "CVE-2018-20060")
async def test_credentials_stay_behind_when_a_blob_is_elsewhere(peer: QuirkyRegistry, registry: Registry) -> None:
    async with quirky(on("GET blob", serve())) as storage:

        def guarded(request: Arrived) -> Step:
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            return answer(307, b"x" * 100_000, Location=f"{storage.url}/v2/x/blobs/y?X-Amz-Signature=canary-9")

        peer.quirk = guarded
        assert await read(registry, 5, 10) == CONTENT[5:10]
    assert [request.headers.get("authorization") for request in storage.requests] == [None]
    assert [request.headers.get("range") for request in storage.requests] == ["bytes=5-9"]


@pytest.mark.attack("CVE-2018-20060")
async def test_credentials_that_stayed_behind_do_not_come_back(peer: QuirkyRegistry, registry: Registry) -> None:
    async with quirky() as elsewhere:

        def there_and_back(request: Arrived) -> Step:
            if "authorization" not in request.headers and "x/" not in request.line:
                return answer(401, b"", WWW_Authenticate="Basic realm=r")
            return serve() if "/x/" in request.line else answer(302, b"", Location=f"{elsewhere.url}/v2/b/blobs/c")

        peer.quirk = there_and_back
        elsewhere.quirk = on("GET blob", answer(302, b"", Location=f"{peer.url}/v2/x/blobs/z"))
        assert await read(registry) == CONTENT
    assert [("authorization" in request.headers) for request in peer.requests] == [False, True, False]


async def test_a_redirect_on_the_same_origin_keeps_its_credentials(peer: QuirkyRegistry, registry: Registry) -> None:
    def guarded(request: Arrived) -> Step:
        if "authorization" not in request.headers:
            return answer(401, b"", WWW_Authenticate="Basic realm=r")
        return serve() if "/x/" in request.line else answer(307, b"", Location="/v2/x/blobs/y")

    peer.quirk = guarded
    assert await read(registry) == CONTENT


@pytest.mark.parametrize("location", ["/v2/app/blobs/again", "", "gopher://x/", "//u:p@evil.example/"])
async def test_a_redirect_that_leads_nowhere_is_an_error(
    peer: QuirkyRegistry, registry: Registry, location: str
) -> None:
    peer.quirk = on("GET blob", answer(307, b"", Location=location))
    with pytest.raises(RegistryError, match=r"redirects|Location"):
        await read(registry)
    assert len(peer.requests) <= 6


async def test_a_refusal_of_storage_elsewhere_is_not_taken_for_the_logins(
    peer: QuirkyRegistry, registry: Registry
) -> None:
    async with scripted(answer(403, b"<Error><Code>AccessDenied</Code></Error>")) as storage:
        peer.quirk = on("GET blob", answer(307, b"", Location=f"{storage.url}/b?X-Amz-Signature=canary-9"))
        with pytest.raises(RegistryError, match=f"{storage.url[7:]}, where the registry sends clients") as caught:
            await read(registry)
    assert type(caught.value) is RegistryError
    assert "canary" not in str(caught.value)


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.index()


async def test_a_tags_digest_is_computed_and_the_manifest_fetched_once(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    lie = "sha256:" + "0" * 64
    raw = image.content(image.root)
    peer.quirk = on("GET manifest", answer(200, raw, Content_Type=OCI_INDEX, Docker_Content_Digest=lie))
    source = registry.source("app")

    root = await source.resolve("v1")

    assert root.digest == image.root.digest
    assert (await source.manifest(root)).raw == raw
    assert len(peer.requests) == 1
    assert OCI_MANIFEST in peer.requests[0].headers["accept"]


@pytest.mark.attack("GHSA-qv35-3gw6-8q4j")
async def test_another_manifest_under_the_digest_is_found_out(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    wanted, other = image.manifests[0], image.content(image.manifests[1])
    headers = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": wanted.digest}
    peer.quirk = on("GET manifest", answer(200, other, **headers))
    source = registry.source("app")
    for attempt in (source.manifest(wanted), source.resolve(wanted.digest)):
        with pytest.raises(InvalidManifest, match=wanted.digest.encoded) as caught:
            await attempt
        assert caught.value.side == "source"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>sign in</html>", "text/html"),
        (b"{}", OCI_MANIFEST),
        (b"[" * 100_000, OCI_MANIFEST),
        (b"x" * 4_194_305, OCI_MANIFEST),
        (encode({"schemaVersion": 1}), "application/vnd.docker.distribution.manifest.v1+json"),
        (encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "manifests": [], "layers": []}), OCI_MANIFEST),
    ],
)
@pytest.mark.attack("CVE-2020-1702", "deep-json")
async def test_what_is_no_manifest_is_refused_in_one_line(
    peer: QuirkyRegistry, registry: Registry, body: bytes, kind: str
) -> None:
    peer.quirk = on("GET manifest", answer(200, body, Content_Type=kind))
    with pytest.raises(TransferError) as caught:
        await registry.source("app").resolve("v1")
    assert caught.value.side == "source"
    assert "\n" not in str(caught.value)
    assert peer.registry in str(caught.value)


@pytest.mark.attack("CVE-2021-41190")
async def test_a_manifest_served_as_another_kind_is_refused(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    child = image.manifests[0]
    peer.quirk = on("GET manifest", answer(200, image.content(child), Content_Type=OCI_INDEX))
    with pytest.raises(InvalidManifest, match="serves it as"):
        await registry.source("app").manifest(child)


async def test_a_manifest_without_a_type_is_what_it_says(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    peer.quirk = on("GET manifest", answer(200, image.content(image.root), Content_Type="text/plain; charset=utf-8"))
    assert (await registry.source("app").resolve("v1")).media_type == OCI_INDEX


@pytest.mark.attack("content-digest")
async def test_presence_is_the_registrys_word_only_where_it_is_of_the_digest_asked_for(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    other = "sha256:" + "0" * 64
    peer.quirk = on("HEAD manifest", answer(200, b"", Docker_Content_Digest=other))
    presence = await registry.target("app").present(image.manifests, tag="v1")
    assert (presence.tagged, presence.manifests) == (other, frozenset())


async def test_a_head_without_a_digest_is_followed_by_a_look(
    peer: QuirkyRegistry, registry: Registry, image: BuiltImage
) -> None:
    raw = image.content(image.root)

    def without(request: Arrived) -> Step:
        return answer(200, b"" if method_of(request) == "HEAD" else raw)

    peer.quirk = without
    presence = await registry.target("app").present([], tag="v1")
    assert presence.tagged == image.root.digest


def tags(*names: str, link: str = "") -> Step:
    body = json.dumps({"name": "app", "tags": list(names)}).encode()
    return answer(200, body, **({"Link": f'<{link}>; rel="next"'} if link else {}))


async def listed(*steps: Step) -> list[str]:
    async with scripted(*steps) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        return [tag async for tag in registry.client.tags("app")]


async def test_tags_come_over_pages_each_once() -> None:
    found = await listed(tags("a", "b", link="/v2/app/tags/list?last=b"), tags("b", "c", link="?last=c"), tags("d"))
    assert found == ["a", "b", "c", "d"]


@pytest.mark.parametrize("body", [b'{"tags": null}', b'{"name": "app"}', b'{"tags": []}'])
async def test_a_repository_without_tags_has_none(body: bytes) -> None:
    assert await listed(answer(200, body)) == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (tags("a", link="/v2/app/tags/list?n=1000"), "never end"),
        (tags("a", link="http://127.0.0.1:1/v2/app/tags/list"), "on another host"),
        (tags("../x"), "is not a tag"),
        (tags("\x1b[31m"), "is not a tag"),
        (answer(200, b'{"tags": {"a": 1}}'), "Expected"),
        (answer(200, b"<html>"), "not JSON"),
        (answer(200, b"x" * 4_194_305), "larger than"),
    ],
)
@pytest.mark.attack("endless-pages", "CVE-2023-2253")
async def test_a_list_of_tags_that_lies_is_refused(step: Step, reason: str) -> None:
    with pytest.raises(RegistryError, match=reason):
        await listed(step)


@pytest.mark.attack("endless-pages")
async def test_pages_that_go_round_are_found_out() -> None:
    first = tags("a", link="/v2/app/tags/list?last=a")
    with pytest.raises(RegistryError, match="never end"):
        await listed(first, tags("b", link="/v2/app/tags/list?n=1000"))


async def test_referrers_come_from_the_api_over_pages(image: BuiltImage) -> None:
    one, two = ({"mediaType": OCI_MANIFEST, "digest": m.digest, "size": m.size} for m in image.manifests[:2])
    pages = (
        answer(200, encode({"schemaVersion": 2, "manifests": [one]}), Link='<?page=2>; rel="next"'),
        answer(200, encode({"schemaVersion": 2, "manifests": [one, two]})),
    )
    async with scripted(*pages) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        found = await registry.client.referrers("app", image.root.digest)
    assert [each.digest for each in found] == [one["digest"], two["digest"]]


async def test_without_the_api_the_tag_stands_in_and_the_api_is_asked_for_once(image: BuiltImage) -> None:
    child = image.manifests[0]
    index = encode({"schemaVersion": 2, "manifests": [{"mediaType": OCI_MANIFEST, "digest": child.digest, "size": 1}]})
    steps = (refuse(404, "X"), answer(200, index), refuse(404, "MANIFEST_UNKNOWN"))
    async with scripted(*steps) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        found = await registry.client.referrers("app", image.root.digest)
        nothing = await registry.client.referrers("app", child.digest)
    assert ([one.digest for one in found], nothing) == ([child.digest], [])
    paths = [request.line.split()[1].removeprefix("/v2/app/") for request in peer.requests]
    assert paths == [
        f"referrers/{image.root.digest}",
        f"manifests/sha256-{image.root.digest.encoded}",
        f"manifests/sha256-{child.digest.encoded}",
    ]


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_registry_that_has_never_heard_of_referrers_has_none(image: BuiltImage, status: int) -> None:
    steps = (refuse(status, "UNSUPPORTED"), refuse(404, "MANIFEST_UNKNOWN"))
    async with scripted(*steps) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        assert await registry.source("app").referrers(image.root) == []
    assert len(peer.requests) == 2


async def test_referrers_that_may_not_be_read_are_an_error_of_the_source(image: BuiltImage) -> None:
    async with scripted(refuse(403, "DENIED")) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        with pytest.raises(Unauthorized, match="GET referrers of") as caught:
            await registry.source("app").referrers(image.root)
    assert caught.value.side == "source"


async def test_a_repository_that_is_not_there_says_nothing_of_the_api(image: BuiltImage) -> None:
    found = answer(200, b'{"manifests": []}')
    async with scripted(refuse(404, "NAME_UNKNOWN"), found) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        for _ in range(2):
            assert await registry.client.referrers("app", image.root.digest) == []
    assert all("/referrers/" in request.line for request in peer.requests)


async def test_a_list_of_referrers_that_is_no_index_is_refused(image: BuiltImage) -> None:
    step = answer(200, b'{"manifests": [{"digest": "sha256:../../x"}]}')
    async with scripted(step) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        with pytest.raises(InvalidManifest, match="is no index"):
            await registry.client.referrers("app", image.root.digest)


async def test_deleting_what_is_not_there_says_so() -> None:
    step = answer(404, error("MANIFEST_UNKNOWN"))
    async with scripted(step) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        with pytest.raises(NotFound, match="DELETE manifest v1"):
            await registry.client.delete_manifest("app", "v1")


async def test_a_registry_in_trouble_is_asked_again_and_its_page_told_in_one_line() -> None:
    page = answer(503, b"<html><title>Down for\nmaintenance</title>", Content_Type="text/html")
    async with scripted(page) as peer, opened(peer.url[7:], settings=PLAIN) as registry:
        with pytest.raises(RegistryError, match=r"503 with text/html \(Down for maintenance\); try again"):
            await registry.source("app").resolve("v1")
    assert len(peer.requests) == 4


async def test_nobody_there_is_a_failed_connection_of_the_source() -> None:
    async with opened("127.0.0.1:1", settings=PLAIN) as registry:
        with pytest.raises(ConnectionFailed, match="no connection") as caught:
            await registry.source("app").resolve("v1")
    assert caught.value.side == "source"
