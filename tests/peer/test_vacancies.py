"""What a target asks of a repository that may have nothing yet, and the connections that it makes meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.distribution_ends import CONFIG, Registry, opened
from tests.support.quirky import QuirkyRegistry, quirky
from transfer.engine.protocols import Hints, Presence
from transfer.http.settings import RegistrySettings
from transfer.testing.images import ImageBuilder

PLAIN = RegistrySettings(plain_http=True)


@pytest.fixture
async def peer() -> AsyncIterator[QuirkyRegistry]:
    async with quirky() as registry:
        yield registry


@pytest.fixture
async def registry(peer: QuirkyRegistry) -> AsyncIterator[Registry]:
    async with opened(peer.registry, settings=PLAIN) as registry:
        yield registry


async def test_a_vacant_repository_is_asked_twice_and_connections_are_made_for_all_uploads(
    peer: QuirkyRegistry, registry: Registry, layout: ImageBuilder
) -> None:
    image = layout.image([1000] * 11)
    target, blobs = registry.target("app"), tuple(image.blobs)
    assert await target.present(image.manifests, tag="v1", hints=Hints(blobs=blobs)) == Presence()
    assert await target.missing(blobs) == {blob.digest for blob in blobs}
    assert [line.split()[0] for line in peer.lines] == ["HEAD", "GET"], "the tag, and whether there is any"
    assert peer.connections == len(blobs) == 12


async def test_no_more_connections_are_made_than_uploads_run_at_once(
    peer: QuirkyRegistry, layout: ImageBuilder
) -> None:
    image = layout.image([1000] * 11)
    config = replace(CONFIG, max_concurrent_blobs=4)
    async with opened(peer.registry, settings=PLAIN, config=config) as few:
        await few.target("app").missing(tuple(image.blobs))
    assert peer.connections == 4


async def test_connections_that_cannot_be_made_are_no_failure_yet(layout: ImageBuilder) -> None:
    image, peer = layout.image([1000] * 11), QuirkyRegistry()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    async with opened(peer.registry, settings=PLAIN) as registry:
        target = registry.target("app")
        await target.present([], tag="v1")
        server.close()
        assert len(await target.missing(tuple(image.blobs))) == 12
        assert peer.connections == 1
    await peer.hang_up()


async def test_a_tag_that_was_just_seen_is_not_asked_for(
    peer: QuirkyRegistry, registry: Registry, layout: ImageBuilder
) -> None:
    image = layout.image([1000])
    target = registry.target("app")
    held = image.root.digest
    assert (await target.present(image.manifests, tag="v1", hints=Hints(tagged=held))).tagged == held
    assert peer.lines == []
    assert (await target.present(image.manifests, tag="v1", hints=Hints(tagged=None))).tagged is None
    assert peer.lines == ["HEAD manifest"], "by its digest"
