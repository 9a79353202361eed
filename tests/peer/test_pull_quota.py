"""A registry that counts pulls as Docker Hub does: what it says is known, and its last pulls are left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.clock import Time
from tests.support.command import started
from tests.support.distribution_ends import ATTEMPTS, CONFIG, Registry, opened
from tests.support.scripted import Arrived, Peer, Step, answer, listening
from transfer import Engine, RateLimited, TransferConfig
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import PULLS_RESERVED
from transfer.http.settings import RegistrySettings
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transfer.model.digest import Digest
from transfer.testing.images import encode

PLAIN = RegistrySettings(plain_http=True)
ACCESS = RegistryAccess(anonymous=True, plain_http=True)
BLOBS = {OCI_CONFIG: b"{}", OCI_LAYER_GZIP: b"layer"}
NAMED = [{"mediaType": kind, "digest": Digest.of(content), "size": len(content)} for kind, content in BLOBS.items()]
MANIFEST = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": NAMED[0], "layers": NAMED[1:]})
CHILD = {"mediaType": OCI_MANIFEST, "digest": Digest.of(MANIFEST), "size": len(MANIFEST)}
INDEX = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [CHILD]})


class Hub(Peer):
    """
    One image under every tag but `index`, which is an index of it, and a quota.

    What counts is refused once that is used up, with a time to wait.
    """

    def __init__(self, remaining: int) -> None:
        super().__init__((answer(404),), scheme="http")
        self.remaining = remaining

    @property
    def registry(self) -> str:
        return f"127.0.0.1:{self.port}"

    def counted(self) -> int:
        """How many requests arrived that count."""
        return sum(one.line.startswith("GET") and "/manifests/" in one.line for one in self.requests)

    async def choose(self, request: Arrived) -> Step:
        method, path, _ = request.line.split()
        if "/blobs/" in path:
            return answer(200, next(content for content in BLOBS.values() if Digest.of(content) in path))
        if "/manifests/" not in path:
            return answer(200, {})
        if method == "GET" and self.remaining == 0:
            return answer(429, {"errors": [{"code": "TOOMANYREQUESTS", "message": "limit"}]}, Retry_After="33")
        self.remaining -= method == "GET"
        raw, kind = (INDEX, OCI_INDEX) if path.endswith("/index") else (MANIFEST, OCI_MANIFEST)
        headers = {
            "Content-Type": kind,
            "Docker-Content-Digest": Digest.of(raw),
            "RateLimit-Limit": "100;w=21600",
            "RateLimit-Remaining": f"{self.remaining};w=21600",
            "Docker-RateLimit-Source": "192.0.2.1",
        }
        return _head(headers) if method == "HEAD" else answer(200, raw, **headers)


def _head(headers: dict[str, str]) -> Step:
    async def step(request: Arrived) -> None:
        request.reply(200, b"", headers, length=len(MANIFEST))
        await request.writer.drain()

    return step


@asynccontextmanager
async def hub(remaining: int) -> AsyncIterator[Hub]:
    peer = Hub(remaining)
    async with listening(peer):
        yield peer


def image(peer: Hub, tag: str) -> str:
    return f"{peer.registry}/app:{tag}"


async def test_what_is_left_is_known_after_a_pull() -> None:
    async with hub(77) as peer, Engine(TransferConfig(journal=False)) as engine:
        assert engine.pull_quotas() == {}
        await engine.inspect(image(peer, "v1"), access=ACCESS, referrers=False)
        quota = engine.pull_quotas()[peer.registry]
    assert (quota.limit, quota.remaining, quota.window_seconds, quota.source) == (100, 76, 21600, "192.0.2.1")
    assert peer.counted() == 1


async def test_the_reserve_is_left_and_nothing_is_tried_again(tmp_path: Path) -> None:
    config = TransferConfig(journal=False, hub_reserve=75)
    async with hub(77) as peer, Engine(config) as engine:
        for tag in ("v1", "v2"):
            await engine.inspect(image(peer, tag), access=ACCESS, referrers=False)
        with pytest.raises(RateLimited, match="75 of 100 pulls are left and 75 are reserved") as caught:
            await engine.copy(image(peer, "v3"), f"oci:{tmp_path}/out:v3", source_access=ACCESS)
        assert (caught.value.code, caught.value.side) == (PULLS_RESERVED, "source")
    assert (peer.counted(), peer.remaining) == (2, 75)


@asynccontextmanager
async def client(peer: Hub, clock: Time) -> AsyncIterator[Registry]:
    async with opened(peer.registry, settings=PLAIN, config=CONFIG, sleep=clock.sleep) as registry:
        yield registry


async def test_a_head_tells_and_costs_nothing() -> None:
    async with hub(5) as peer, client(peer, Time()) as registry:
        assert await registry.client.head_manifest("app", "v1") == Digest.of(MANIFEST)
        assert registry.client.pulls.quota is not None
        assert (registry.client.pulls.quota.remaining, peer.counted()) == (5, 0)


async def test_a_quota_that_is_used_up_unseen_is_waited_for_as_long_as_it_says() -> None:
    clock = Time()
    async with hub(0) as peer, client(peer, clock) as registry:
        with pytest.raises(RateLimited) as caught:
            await registry.client.get_manifest("app", "v1")
    assert clock.slept == [33.0] * (ATTEMPTS - 1)
    assert caught.value.code == "TOOMANYREQUESTS"


async def test_blobs_of_a_manifest_that_was_pulled_are_still_fetched(tmp_path: Path) -> None:
    async with hub(1) as peer, Engine(TransferConfig(journal=False)) as engine:
        copied = await engine.copy(image(peer, "v1"), f"oci:{tmp_path}/out:v1", source_access=ACCESS)
    assert (copied.digest, peer.remaining) == (Digest.of(MANIFEST), 0)


async def test_the_command_line_leaves_the_reserve(tmp_path: Path) -> None:
    options = ("--src-plain-http", "--src-no-creds", "--no-journal", "--quiet", "--hub-reserve", 5)
    async with hub(6) as peer:
        with started("copy", image(peer, "index"), f"oci:{tmp_path}/out:v1", *options) as process:
            out, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert (process.returncode, out, peer.counted()) == (1, "", 1)
    assert "5 of 100 pulls are left and 5 are reserved; all are there again by " in err
    assert err.startswith("transfer: GET manifest sha256:")
