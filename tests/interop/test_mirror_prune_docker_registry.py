"""Pruning at Debian's docker-registry, which deletes no tags but only what they hold."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from transfer import Engine, TransferConfig
from transfer.mirror import MirrorConfig, MirrorReport, MirrorRule, Prune, TagFilter, mirror
from transfer.testing.images import BuiltImage, ImageBuilder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=INSTALL)

FAST = TransferConfig(journal=False)


@pytest_asyncio.fixture
async def registries(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in ("source", "target"):
            (tmp_path / name).mkdir()
            found.append(await stack.enter_async_context(docker_registry(tmp_path / name)))
        yield found[0], found[1]


async def run(registries: tuple[str, str], **options: bool) -> MirrorReport:
    source, target = registries
    mapping = MirrorRule(
        source=f"{source}/app",
        targets=(f"{target}/app",),
        tags=(TagFilter(glob=("v*",)),),
        prune=Prune(limit=100, protect=("v9",)),
    )
    return await mirror(MirrorConfig(mappings=(mapping,)), limits=FAST, **options)  # type: ignore[arg-type]


async def push(place: str, **tags: BuiltImage) -> None:
    async with Engine(FAST) as engine:
        for tag, image in tags.items():
            await engine.push(image.source, f"{place}/app:{tag}")


async def tags(place: str) -> dict[str, str]:
    async with Engine(FAST) as engine:
        names = [tag async for tag in engine.tags(f"{place}/app")]
        return {tag: str(one) for tag, one in (await engine.digests(f"{place}/app", names)).items()}


async def test_what_no_tag_that_stays_needs_is_deleted_by_digest(
    registries: tuple[str, str], layout: ImageBuilder
) -> None:
    source, target = registries
    stays, goes, shared = (layout.image(seed=number, tag=f"t{number}") for number in range(3))
    index = layout.index(seed=9, tag="t9")
    await push(source, v1=stays, v9=index)
    await push(target, v1=stays, v2=goes, v3=goes, v4=shared, mine=shared, v9=index)
    async with Engine(FAST) as engine:
        await engine.copy(f"{target}/app@{index.manifests[0].digest}", f"{target}/app:v5")
    planned = await run(registries, dry_run=True)
    assert planned.counts == {"unchanged": 2, "planned": 4}
    assert set(await tags(target)) == {"v1", "v2", "v3", "v4", "v5", "mine", "v9"}

    report = await run(registries)
    assert report.counts == {"unchanged": 2, "pruned": 2, "failed": 2}
    reported = {one.target.rpartition(":")[2]: one for one in report.images}
    assert (
        reported["v2"].notes == reported["v3"].notes == ("it was deleted by its digest: the registry deletes no tags",)
    )
    assert "which 'mine' needs" in (reported["v4"].message or "")
    assert "which 'v9' needs" in (reported["v5"].message or "")
    assert set(await tags(target)) == {"v1", "v4", "v5", "mine", "v9"}
    assert (await tags(target))["v1"] == stays.root.digest


async def test_nothing_is_deleted_while_a_tag_that_stays_cannot_be_read(
    registries: tuple[str, str], layout: ImageBuilder, tmp_path: Path
) -> None:
    source, target = registries
    stays, goes, mine = (layout.image(seed=number, tag=f"t{number}") for number in range(3))
    await push(source, v1=stays)
    await push(target, v1=stays, v2=goes, mine=mine)
    stored = tmp_path / "target/storage/docker/registry/v2/blobs/sha256"
    (stored / mine.root.digest.encoded[:2] / mine.root.digest.encoded / "data").unlink()
    report = await run(registries)
    assert report.counts == {"unchanged": 1, "failed": 1}
    assert "manifest mine of" in (report.failed[0].message or "")
    async with Engine(FAST) as engine:
        assert (await engine.digests(f"{target}/app", ["v2"])) == {"v2": goes.root.digest}
