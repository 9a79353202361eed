"""What a mirror removes from its target, and what it leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.mirrors import LOGIN, MirrorSite, asked, host, writes
from transfer import AwsCredentials, Server, open_ecr
from transfer.mirror import CreateRepository, ImageReport, MirrorReport, MirrorRule, Prune, TagFilter
from transfer.mirror.run.run import MirrorRun
from transfer.testing.images import BuiltImage, ImageBuilder

TAGS = [f"v{number}" for number in range(4)]


@pytest_asyncio.fixture(params=[False, True], ids=["oci", "ecr"])
async def site(request: pytest.FixtureRequest, layout: ImageBuilder, tmp_path: Path) -> AsyncIterator[MirrorSite]:
    async with Server() as source, Server() as target:
        yield MirrorSite(source, target, layout, tmp_path / "state", by_api=request.param)


@pytest_asyncio.fixture
async def images(site: MirrorSite) -> list[BuiltImage]:
    """Four tags that are mirrored, and two more tags at the target that are not."""
    built = [site.layout.image(seed=number, tag=f"t{number}") for number in range(len(TAGS))]
    await site.fill(dict(zip(TAGS, built, strict=True)))
    site.settings = {"prune": Prune(limit=50), "tags": (TagFilter(glob=("v*",)),)}
    assert (await site.run()).counts == {"copied": len(TAGS)}
    access = {} if site.by_api else {"target_access": LOGIN}
    async with site.engine() as engine:
        for tag in ("mine", f"{built[0].root.digest.as_tag}.sig"):
            await engine.push(built[0].source, f"{site.repository}:{tag}", **access)  # type: ignore[arg-type]
    return built


async def left(site: MirrorSite) -> set[str]:
    """The tags of the target that are not covered by the mapping are there always."""
    found = set(await site.tags())
    assert {tag for tag in found if not tag.startswith("v")} >= {"mine"}
    assert any(tag.endswith(".sig") for tag in found)
    return {tag for tag in found if tag.startswith("v")}


async def test_only_covered_tags_that_the_source_lost_are_removed_and_what_others_hold_stays(
    site: MirrorSite, images: list[BuiltImage]
) -> None:
    await site.unfill("v0", "v3")
    report = await site.run()
    assert report.counts == {"unchanged": 2, "pruned": 2}
    assert await left(site) == {"v1", "v2"}
    assert (await site.tags())["mine"] == str(images[0].root.digest)
    assert len(writes(site.target)) == 2


async def test_more_than_the_limit_removes_nothing(site: MirrorSite, images: list[BuiltImage]) -> None:
    await site.unfill("v0", "v1", "v2")
    report = await site.run()
    assert report.counts == {"unchanged": 1, "failed": 1}
    assert "no more than 50 percent may be pruned" in (report.failed[0].message or "")
    assert await left(site) == set(TAGS)


async def test_protected_tags_stay(site: MirrorSite, images: list[BuiltImage]) -> None:
    await site.unfill("v0", "v3")
    site.settings["prune"] = Prune(limit=50, protect=("v0",))
    assert (await site.run()).counts == {"unchanged": 2, "pruned": 1}
    assert await left(site) == {"v0", "v1", "v2"}


async def test_nothing_is_removed_when_the_source_cannot_be_listed_or_only_failures_are_done(
    site: MirrorSite, images: list[BuiltImage]
) -> None:
    await site.unfill("v0")
    assert (await site.run(only=frozenset({f"{site.repository}:v1"}))).counts == {"unchanged": 1}
    keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=site.source.url)
    async with open_ecr(region="us-east-1", credentials=keys) as ecr:
        await ecr.delete_repository(repositoryName="app", force=True)
    report = await site.run()
    assert (report.counts, report.failed[0].error) == ({"failed": 1}, "NotFound")
    assert await left(site) == set(TAGS)


async def test_nothing_is_removed_where_another_mapping_that_failed_may_write(
    site: MirrorSite, images: list[BuiltImage]
) -> None:
    await site.unfill("v0")
    gone = MirrorRule(source=f"{host(site.source)}/gone", targets=(site.repository,), create=CreateRepository())
    report = await site.run(gone)
    assert report.counts == {"unchanged": 3, "failed": 1}
    assert any("what else belongs there is unknown" in warning for warning in report.warnings)
    assert await left(site) == set(TAGS)


async def test_what_another_mapping_writes_is_not_removed(site: MirrorSite, images: list[BuiltImage]) -> None:
    await site.unfill("v0")
    async with site.engine() as engine:
        await engine.push(images[0].source, f"{host(site.source)}/other:v0", target_access=LOGIN)
    other = MirrorRule(source=f"{host(site.source)}/other", targets=(site.repository,), create=CreateRepository())
    report = await site.run(other)
    assert report.counts == {"unchanged": 4}
    assert await left(site) == set(TAGS)


async def test_a_repository_that_is_not_there_yet_has_nothing_to_remove(site: MirrorSite) -> None:
    await site.fill({"x": site.layout.image()})
    site.settings = {"prune": Prune(), "tags": (TagFilter(glob=("v*",)),), "create": None}
    report = await site.run()
    assert (report.counts, writes(site.target)) == ({}, [])
    assert asked(site.source)["ListTags"] == 1


async def test_a_mirror_that_is_stopped_removes_nothing_more(site: MirrorSite, images: list[BuiltImage]) -> None:
    await site.unfill("v0", "v3")
    running: list[MirrorRun] = []

    def stop(image: ImageReport) -> None:
        if image.status == "pruned":
            running[0].stop(grace=0)

    report = await site.run(on_image=stop, on_start=running.append, jobs=1)
    assert report.counts == {"unchanged": 2, "pruned": 1, "stopped": 1}
    assert len(await left(site)) == 3


async def test_a_mirror_that_is_cancelled_while_it_removes_leaves_nothing_behind(
    site: MirrorSite, images: list[BuiltImage]
) -> None:
    await site.unfill("v0", "v3")
    running: list[asyncio.Task[MirrorReport]] = []

    def cancel(image: ImageReport) -> None:
        if image.status == "pruned":
            running[0].cancel()

    running.append(task := asyncio.create_task(site.run(on_image=cancel)))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await left(site)) < 4
