"""What belongs to an image travels with it between two of Debian's docker-registry, which know no referrers API."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.copying import copy_image, new_sharing
from tests.support.distribution_ends import Registry, opened
from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from transfer import Engine, TransferConfig
from transfer.engine.protocols import Source
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.registry.oci.target import DistributionTarget
from transfer.testing.images import ARTIFACT, BuiltImage, ImageBuilder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=INSTALL)


@pytest_asyncio.fixture
async def registries(tmp_path: Path) -> AsyncIterator[tuple[Registry, Registry]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            address = await stack.enter_async_context(docker_registry(folder))
            found.append(await stack.enter_async_context(opened(address)))
        yield found[0], found[1]


async def copy(source: Source, root: Descriptor, target: DistributionTarget, to: Registry, tag: str | None) -> None:
    await copy_image(source, root, target, tag=tag, sharing=new_sharing(to.limits))


async def content(source: Source, image: BuiltImage) -> dict[str, bytes]:
    """Every manifest and blob of an image, byte for byte, by its digest."""
    found = {str(one.digest): (await source.manifest(one)).raw for one in image.manifests}
    for blob in image.blobs:
        async with source.open_blob(blob) as pieces:
            found[blob.digest] = b"".join([piece async for piece in pieces])
    return found


async def test_signatures_and_referrers_arrive_bit_for_bit_and_are_found(
    registries: tuple[Registry, Registry], layout: ImageBuilder
) -> None:
    one, two = registries
    image = layout.index(sizes=(100_000, 5))
    child = image.manifests[0]
    prefix = image.root.digest.as_tag
    signature = layout.image(seed=7, sizes=(300,), tag=f"{prefix}.sig")
    sbom = layout.referrer(child, annotations={"org.opencontainers.image.created": "2026-01-31T12:00:00Z"})
    seal = layout.referrer(sbom.root, seed=1)
    other = layout.image(seed=9, tag="other")
    local = LayoutSource(layout.path)
    for each in (image, signature, sbom, seal, other):
        await copy(local, each.root, one.target("team/app"), one, each.tag)

    async with Engine(TransferConfig(journal=False)) as engine:
        reference = f"{one.client.registry}/team/app:v1"
        for _ in range(2):
            copied = await engine.copy(reference, f"{two.client.registry}/mirror/app:v1", referrers=True)
            assert set(copied.attached) == {signature.root.digest, sbom.root.digest, seal.root.digest}

    source, target = one.source("team/app"), two.source("mirror/app")
    for each in (image, signature, sbom, seal):
        assert await content(target, each) == await content(source, each)
    assert sorted([tag async for tag in target.tags()]) == sorted(
        ["v1", f"{prefix}.sig", child.digest.as_tag, sbom.root.digest.as_tag]
    )
    assert (await target.resolve("v1")).digest == image.root.digest
    assert (await target.resolve(f"{prefix}.sig")).digest == signature.root.digest
    for subject, referrer in ((child, sbom), (sbom.root, seal)):
        (found,) = await target.referrers(subject)
        assert found.digest == referrer.root.digest
        tag = subject.digest.as_tag
        listed = (await two.client.get_manifest("mirror/app", tag)).raw
        assert listed == (await one.client.get_manifest("team/app", tag)).raw
        assert json.loads(listed)["manifests"][0]["artifactType"] == ARTIFACT
