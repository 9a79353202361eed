"""A mirror of many images into a registry that throttles as ECR does: none fails, and hardly a call is refused."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from transfer import AwsCredentials, Engine, Server, TransferConfig
from transfer.concurrency.tasks import gather
from transfer.mirror import CreateRepository, MirrorConfig, MirrorRule, mirror
from transfer.testing.images import ImageBuilder

QUOTAS = {"PutImage": 10, "InitiateLayerUpload": 100}


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Server, Server]]:
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Server(auth=False))
        yield source, await stack.enter_async_context(Server(throttle=QUOTAS))


async def filled(source: Server, layout: ImageBuilder, count: int) -> str:
    """Many images that share a layer and have a tiny one of their own each; the repository that holds them."""
    repository = f"{source.url.removeprefix('http://')}/team/app"
    shared = [layout.layer(100_000, seed=300)]
    images = [layout.image([50], seed=number, tag=f"v{number}", layers=shared) for number in range(count)]
    async with Engine(TransferConfig(journal=False)) as engine:
        await engine.push(images[0].source, f"{repository}:v0")
        await gather(engine.push(image.source, f"{repository}:{image.tag}") for image in images[1:])
    return repository


# The one test that measures time: to keep up with a quota is nothing else. The server lets a second's worth pass at
# once, which is not counted on: of 300 images it takes 29 s at least.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("images", [80, pytest.param(300, marks=pytest.mark.nightly)])
async def test_many_images_take_what_the_quota_allows_and_are_hardly_throttled(
    ends: tuple[Server, Server], layout: ImageBuilder, images: int
) -> None:
    source, target = ends
    mapping = MirrorRule(
        source=await filled(source, layout, images), targets=(f"{target.registry}/mirror/",), create=CreateRepository()
    )
    keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=target.url)
    began = time.monotonic()
    report = await mirror(MirrorConfig(mappings=(mapping,)), limits=TransferConfig(journal=False), credentials=keys)
    seconds = time.monotonic() - began
    assert report.counts == {"copied": images}
    assert target.requests.count("PutImage", 200) == images
    throttled = [record.operation for record in target.requests if record.code == "ThrottlingException"]
    assert len(throttled) < len(target.requests) / 100
    assert seconds < 1.2 * images / QUOTAS["PutImage"]
