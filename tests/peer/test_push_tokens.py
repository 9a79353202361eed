"""How many tokens a registry is asked for, and to do what: by who writes to it, and by who only reads."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.distribution_ends import ATTEMPTS, CONFIG, Registry, opened
from tests.support.quirky import QuirkyRegistry, kind, method_of, quirky
from tests.support.scripted import Arrived, Peer, Step, answer, listening
from transfer import Engine, Preview, TransferConfig
from transfer.auth.credentials import Anonymous
from transfer.auth.tokens import Authenticator, TokenScope
from transfer.concurrency.tasks import gather
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import RegistryError, Unauthorized
from transfer.http.transport import Transport
from transfer.job import Destination, Job
from transfer.mirror import MirrorConfig, MirrorReport, MirrorRule, RegistryConfig, TagFilter, mirror
from transfer.model.digest import Digest
from transfer.testing.images import BuiltImage, ImageBuilder

FAST = TransferConfig(journal=False, max_attempts=2, backoff_base=0.001, backoff_max=0.002)
ME = RegistryAccess(login="me:canary-1a7e", plain_http=True)
PULL, PUSH = "pull", "pull,push"
# What a token server grants of the actions that it is asked for; None refuses.
Grant = Callable[[str], str | None]


def everything(asked: str) -> str | None:
    return asked


def only_pull(asked: str) -> str | None:
    """What the token specification says: of what is asked for, that which the client may do."""
    return ",".join({"pull"} & set(asked.split(",")))


def all_or_refuse(asked: str) -> str | None:
    return asked if asked == PULL else None


def nothing(asked: str) -> str | None:
    del asked
    return None


class Issuer(Peer):
    """A token server, whose tokens spell out what they allow."""

    def __init__(self, grant: Grant, refusal: Step) -> None:
        super().__init__((refusal,), scheme="http")
        self._grant = grant

    @property
    def asked(self) -> list[str]:
        """The actions of each request, in order; of several scopes, those of each."""
        scopes = [parse_qs(urlsplit(one.line.split()[1]).query)["scope"] for one in self.requests]
        return [" ".join(scope.rpartition(":")[2] for scope in each) for each in scopes]

    async def choose(self, request: Arrived) -> Step:
        granted = self._grant(self.asked[-1])
        if granted is None:
            return await super().choose(request)
        return answer(200, {"token": f"{granted.replace(' ', ',')}.{len(self.requests)}", "expires_in": 300})


@dataclass
class Guarded:
    """A registry and its token server."""

    registry: QuirkyRegistry
    issuer: Issuer

    @property
    def app(self) -> str:
        return f"{self.registry.registry}/app"

    @property
    def asked(self) -> list[str]:
        return self.issuer.asked

    def judge(self, request: Arrived) -> Step | None:
        """Challenge who brings no token, or one that does not allow what is asked for."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        writes = "upload" in kind(request) or method_of(request) == "PUT"
        if ("push" if writes else "pull") in token.rpartition(".")[0].split(","):
            return self._listed(request)
        scope = f"repository:app:{PUSH if writes else PULL}"
        return answer(401, b"", WWW_Authenticate=f'Bearer realm="{self.issuer.url}/token",service="r",scope="{scope}"')

    def _listed(self, request: Arrived) -> Step | None:
        """What the registry tells besides what it holds."""
        if kind(request) == "tags" and self.registry.manifests:
            return answer(200, {"tags": ["v1"]})
        return answer(200) if request.line.split()[1] == "/v2/" else None

    def fill(self, image: BuiltImage) -> None:
        held = self.registry
        held.manifests["v1"] = held.manifests[image.root.digest] = image.content(image.root)
        held.blobs.update({blob.digest: image.content(blob) for blob in image.blobs})


@asynccontextmanager
async def guarded(grant: Grant = everything, refusal: int = 403) -> AsyncIterator[Guarded]:
    denied = answer(refusal, {"errors": [{"code": "DENIED", "message": "requested access is denied"}]})
    issuer = Issuer(grant, denied)
    async with listening(issuer), quirky() as registry:
        both = Guarded(registry, issuer)
        registry.quirk = both.judge
        yield both


@asynccontextmanager
async def client_of(both: Guarded) -> AsyncIterator[Registry]:
    async with opened(both.registry.registry, settings=ME.settings(), logins=ME.logins()) as registry:
        yield registry


async def push(image: BuiltImage, both: Guarded) -> None:
    async with Engine(FAST) as engine:
        await engine.push(image.source, f"{both.app}:v1", target_access=ME)


@pytest.mark.parametrize("sizes", [[10], [1000] * 12, [3 * 1024 * 1024]])
async def test_a_push_asks_for_one_token(layout: ImageBuilder, sizes: list[int]) -> None:
    image = layout.image(sizes)
    async with guarded() as target:
        await push(image, target)
        assert target.registry.manifests["v1"] == image.content(image.root)
        assert target.asked == [PUSH]
        assert [one.headers.get("authorization") for one in target.registry.requests].count(None) == 1


async def test_a_push_of_what_is_there_asks_for_one_token(layout: ImageBuilder) -> None:
    image = layout.image([10])
    async with guarded() as target:
        target.fill(image)
        await push(image, target)
        assert target.asked == [PUSH]


async def test_a_copy_asks_its_source_to_pull_alone(layout: ImageBuilder) -> None:
    image = layout.image([10])
    async with guarded() as source, guarded() as target, Engine(FAST) as engine:
        source.fill(image)
        await engine.copy(f"{source.app}:v1", f"{target.app}:v1", source_access=ME, target_access=ME)
        assert target.registry.manifests["v1"] == image.content(image.root)
        assert (source.asked, target.asked) == ([PULL], [PUSH])


async def test_a_mounts_other_repository_is_in_the_same_token() -> None:
    async with guarded() as target, client_of(target) as registry:
        await registry.target("app").present([], tag="v1")
        await registry.client.mount_blob("app", Digest.of(b"x"), "other")
        assert target.asked == [PUSH, f"{PUSH} {PULL}"]


# What a client that may only pull can do: how many tokens that takes, of which the last one is good.
PULLERS = [
    pytest.param(only_pull, 403, [PUSH], id="the server grants a part"),
    pytest.param(all_or_refuse, 403, [PUSH, PULL], id="it refuses with 403"),
    pytest.param(all_or_refuse, 401, [PUSH, PULL], id="it refuses with 401"),
    pytest.param(all_or_refuse, 400, [PUSH, PULL], id="it refuses with DENIED"),
]


@pytest.mark.parametrize(("grant", "refusal", "asked"), PULLERS)
async def test_who_may_only_pull_finds_out_that_there_is_nothing_to_push(
    layout: ImageBuilder, grant: Grant, refusal: int, asked: list[str]
) -> None:
    image = layout.image([10])
    async with guarded(grant, refusal) as target:
        target.fill(image)
        await push(image, target)
        assert target.asked == asked


@pytest.mark.parametrize(("grant", "refusal", "asked"), PULLERS)
async def test_who_may_only_pull_may_find_out_what_a_push_would_do(
    layout: ImageBuilder, grant: Grant, refusal: int, asked: list[str]
) -> None:
    async with guarded(grant, refusal) as target, Engine(FAST) as engine:
        job = Job(layout.image([10, 20]).source, (Destination(f"{target.app}:v1", ME),))
        (preview,) = await engine.preview(job)
        assert isinstance(preview, Preview)
        assert target.asked == asked


@pytest.mark.parametrize(("grant", "refusal", "asked"), PULLERS)
async def test_who_may_only_pull_fails_when_something_is_to_be_pushed(
    layout: ImageBuilder, grant: Grant, refusal: int, asked: list[str]
) -> None:
    async with guarded(grant, refusal) as target:
        with pytest.raises(Unauthorized, match="check the credentials"):
            await push(layout.image([10]), target)
        assert target.asked[: len(asked)] == asked
        assert set(target.asked[len(asked) :]) == {PUSH}
        assert target.registry.manifests == {}


@pytest.mark.parametrize("refusal", [401, 403])
async def test_who_may_do_nothing_is_refused_after_two_tokens(refusal: int) -> None:
    async with guarded(nothing, refusal) as target, client_of(target) as registry:
        with pytest.raises(Unauthorized, match="requested access is denied"):
            await registry.target("app").present([], tag="v1")
        assert target.asked == [PUSH, PULL]


async def test_a_token_server_in_trouble_is_no_refusal() -> None:
    async with guarded(nothing, 503) as target, client_of(target) as registry:
        with pytest.raises(RegistryError, match="requested access is denied"):
            await registry.target("app").present([], tag="v1")
        assert target.asked == [PUSH] * ATTEMPTS


async def test_many_at_once_share_what_was_refused_and_what_was_granted() -> None:
    async with guarded(all_or_refuse) as target, client_of(target) as registry:
        client = registry.client.before_push()
        found = await gather(client.has_blob("app", Digest.of(bytes([number]))) for number in range(10))
        assert found == [False] * 10
        assert target.asked == [PUSH, PULL]


async def test_who_only_reads_asks_to_pull(layout: ImageBuilder) -> None:
    image = layout.image([10])
    async with guarded() as registry:
        registry.fill(image)
        async with Engine(FAST) as engine:
            assert [tag async for tag in engine.tags(registry.app, access=ME)] == ["v1"]
            assert (await engine.inspect(f"{registry.app}:v1", access=ME)).graph.root.digest == image.root.digest
            assert await engine.digests(registry.app, ["v1"], access=ME) == {"v1": image.root.digest}
            assert (await engine.check_login(registry.app, access=ME)).permission == "pull"
        assert registry.asked == [PULL]


async def run(source: Guarded, target: Guarded, *, dry_run: bool = False, listed: bool = False) -> MirrorReport:
    tags = TagFilter(glob=("v*",)) if listed else TagFilter(exact=("v1",))
    mapping = MirrorRule(source=source.app, targets=(target.app,), tags=(tags,))
    login = RegistryConfig(username="me", password="canary-1a7e", plain_http=True)
    config = MirrorConfig(
        mappings=(mapping,), registries={source.registry.registry: login, target.registry.registry: login}
    )
    return await mirror(config, limits=FAST, dry_run=dry_run)


@pytest.mark.parametrize("listed", [False, True])
async def test_a_mirror_asks_for_one_token_at_each_end(layout: ImageBuilder, listed: bool) -> None:
    async with guarded() as source, guarded() as target:
        source.fill(layout.image([10]))
        for dry_run, counts in ((True, {"planned": 1}), (False, {"copied": 1}), (False, {"unchanged": 1})):
            source.issuer.requests.clear()
            target.issuer.requests.clear()
            assert (await run(source, target, dry_run=dry_run, listed=listed)).counts == counts
            assert (source.asked, target.asked) == ([PULL], [PUSH])


@pytest.mark.parametrize(("grant", "refusal", "asked"), PULLERS)
async def test_a_mirror_with_nothing_to_copy_works_for_who_may_only_pull(
    layout: ImageBuilder, grant: Grant, refusal: int, asked: list[str]
) -> None:
    image = layout.image([10])
    async with guarded() as source, guarded(grant, refusal) as target:
        source.fill(image)
        assert (await run(source, target, dry_run=True)).counts == {"planned": 1}
        assert target.asked == asked
        target.fill(image)
        assert (await run(source, target)).counts == {"unchanged": 1}
        assert target.asked == asked * 2


async def reported(issuer: Issuer, auth: Authenticator, *accesses: TokenScope) -> list[list[str]]:
    """For each request in turn, what the token server was asked for its sake."""
    await auth.challenged({"www-authenticate": f"Bearer realm={issuer.url}"}, accesses[0], None, what="GET")
    asked = [issuer.asked]
    for access in accesses[1:]:
        before = len(issuer.requests)
        await auth.header(access, what="GET")
        asked.append(issuer.asked[before:])
    return asked


READ, AHEAD, WRITE = TokenScope("app"), TokenScope("app", before_push=True), TokenScope("app", PUSH)


@pytest.mark.parametrize(
    ("accesses", "asked"),
    [
        ((AHEAD, READ, WRITE, AHEAD), [[PUSH], [], [], []]),
        ((WRITE, READ, AHEAD), [[PUSH], [], []]),
        ((READ, AHEAD, READ), [[PULL], [PUSH], []]),
        ((AHEAD, TokenScope("other"), TokenScope("app", "delete")), [[PUSH], [PULL], ["delete"]]),
        ((TokenScope("app", PUSH, "other"), AHEAD, TokenScope("other")), [[f"{PUSH} {PULL}"], [PUSH], [PULL]]),
    ],
)
async def test_a_token_to_push_serves_who_pulls_from_the_same_repository(
    accesses: tuple[TokenScope, ...], asked: list[list[str]]
) -> None:
    issuer = Issuer(everything, answer(500))
    async with listening(issuer), Transport(CONFIG) as transport:
        auth = Authenticator("r", issuer.url, logins=Anonymous(), transport=transport)
        assert await reported(issuer, auth, *accesses) == asked


async def test_what_was_refused_once_is_not_asked_for_when_the_token_ends() -> None:
    issuer = Issuer(all_or_refuse, answer(403))
    async with listening(issuer), Transport(CONFIG) as transport:
        times = [1000.0]
        auth = Authenticator("r", issuer.url, logins=Anonymous(), transport=transport, clock=lambda: times[0])
        assert await reported(issuer, auth, AHEAD, AHEAD) == [[PUSH, PULL], []]
        times[0] += 1000
        assert await reported(issuer, auth, AHEAD) == [[PUSH, PULL, PULL]]


async def test_a_token_to_push_that_does_not_let_pull_is_replaced_by_one_that_does() -> None:
    issuer = Issuer(everything, answer(500))
    async with listening(issuer), Transport(CONFIG) as transport:
        auth = Authenticator("r", issuer.url, logins=Anonymous(), transport=transport)
        challenge = {"www-authenticate": f"Bearer realm={issuer.url}"}
        await auth.challenged(challenge, AHEAD, None, what="GET")
        sent = await auth.header(READ, what="GET")
        assert await auth.challenged(challenge, READ, sent, what="GET")
        assert issuer.asked == [PUSH, PULL]


@pytest.mark.parametrize(
    ("access", "scopes", "served_by"),
    [
        (TokenScope(""), (), [()]),
        (TokenScope("", "catalog"), ("registry:catalog:*",), [("registry:catalog:*",)]),
        (TokenScope("", before_push=True), (), [()]),
        (READ, ("repository:app:pull",), [("repository:app:pull",), ("repository:app:pull,push",)]),
        (AHEAD, ("repository:app:pull,push",), [("repository:app:pull,push",)]),
        (WRITE, ("repository:app:pull,push",), [("repository:app:pull,push",)]),
        (TokenScope("app", "delete"), ("repository:app:delete",), [("repository:app:delete",)]),
        (
            TokenScope("app", PUSH, "other"),
            ("repository:app:pull,push", "repository:other:pull"),
            [("repository:app:pull,push", "repository:other:pull")],
        ),
    ],
)
def test_what_a_token_is_asked_for_and_which_ones_serve(
    access: TokenScope, scopes: tuple[str, ...], served_by: list[tuple[str, ...]]
) -> None:
    assert access.scopes == scopes
    assert list(access.served_by) == served_by
    assert access.alone == TokenScope(access.repository, access.actions, access.also_from)
