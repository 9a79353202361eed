"""A mirror that only tells what it would do: what it asks, and that what it says is what a run then does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.mirrors import LOGIN, MirrorSite, asked, host, writes
from transfer import Engine, InvalidConfig, Server, TransferConfig
from transfer.config import MIB
from transfer.job import Destination, Job
from transfer.mirror import CreateRepository, MirrorRule, Prune, TagFilter
from transfer.mirror.run.report import ImageReport
from transfer.testing.images import ImageBuilder


@pytest_asyncio.fixture(params=[False, True], ids=["oci", "ecr"])
async def site(request: pytest.FixtureRequest, layout: ImageBuilder, tmp_path: Path) -> AsyncIterator[MirrorSite]:
    async with Server() as source, Server() as target:
        yield MirrorSite(source, target, layout, tmp_path / "state", by_api=request.param)


def sums(images: tuple[ImageReport, ...]) -> tuple[int, int]:
    return sum(one.uploaded for one in images), sum(one.mounted for one in images)


async def test_a_dry_run_writes_nothing_and_says_what_a_run_then_does(site: MirrorSite) -> None:
    shared = site.layout.layer(5000, seed=5)
    await site.fill({f"v{n}": site.layout.image([11 * MIB], seed=n, tag=f"v{n}", layers=[shared]) for n in range(3)})
    planned = await site.run(dry_run=True)
    assert planned.counts == {"planned": 3}
    assert writes(site.source) == writes(site.target) == []
    assert site.source.requests.count("GetBlob") == 0
    notes = {note for one in planned.images for note in one.notes}
    assert notes == ({"its repository would be created"} if site.by_api else set())

    done = await site.run()
    assert done.counts == {"copied": 3}
    assert sums(planned.images) == sums(done.images)
    assert {one.target: one.digest for one in planned.images} == {one.target: one.digest for one in done.images}
    calls = {
        kind: sum(one.calls.get(kind, 0) for one in planned.images) for one in planned.images for kind in one.calls
    }
    made = asked(site.target)
    if site.by_api:
        assert calls == {kind: made[kind] for kind in calls}
        assert set(calls) == set(writes(site.target))
    else:
        assert calls == {"POST upload": 7, "PUT upload": 7, "PUT manifest": 3}
        assert (made["PostUpload"], made["PutUpload"], made["PutManifest"]) == (7, 7, 3)

    again = await site.run(dry_run=True)
    assert (again.counts, writes(site.target)) == ({"unchanged": 3}, [])


async def test_what_quotas_make_of_three_hundred_images_is_told(layout: ImageBuilder, tmp_path: Path) -> None:
    async with Server() as source, Server() as target:
        site = MirrorSite(source, target, layout, tmp_path / "state", by_api=True)
        image = layout.image([10])
        async with site.engine() as engine:
            for number in range(300):
                await engine.push(image.source, f"{host(source)}/app:v{number}", target_access=LOGIN)
        report = await site.run(dry_run=True)
    assert report.counts == {"planned": 300}
    assert report.quota_seconds == pytest.approx(30.0)


async def test_what_would_fail_fails_in_a_dry_run_too(site: MirrorSite) -> None:
    await site.fill({"v1": site.layout.image()})
    site.settings = {"tags": (TagFilter(exact=("v1", "absent")),), "create": None}
    report = await site.run(dry_run=True)
    assert report.counts == ({"failed": 2} if site.by_api else {"planned": 1, "failed": 1})
    assert writes(site.target) == []


async def test_what_would_be_pruned_and_kept_is_told(site: MirrorSite) -> None:
    images = [site.layout.image(seed=number, tag=f"t{number}") for number in range(3)]
    await site.fill({"v1": images[0], "v2": images[1]})
    site.settings = {"prune": Prune(limit=50), "backup": "old-{tag}"}
    await site.run()
    await site.fill({"v1": images[2]})
    await site.unfill("v2")
    before = await site.tags()
    report = await site.run(dry_run=True)
    assert writes(site.target) == []
    reported = {one.target.rpartition(":")[2]: (one.status, one.notes) for one in report.images}
    assert reported == {
        "v1": ("planned", (f"{images[0].root.digest} would be kept under old-v1",)),
        "v2": ("planned", ("it would be pruned",)),
    }
    assert await site.tags() == before


async def test_blobs_of_the_same_registry_are_told_as_mounted(
    server: Server, layout: ImageBuilder, tmp_path: Path
) -> None:
    site = MirrorSite(server, server, layout, tmp_path / "state")
    image = layout.image([MIB])
    await site.fill({"v1": image})
    report = await site.run(dry_run=True)
    assert sums(report.images) == (0, sum(blob.size for blob in image.blobs))
    assert writes(server) == []
    done = await site.run()
    assert sums(done.images) == sums(report.images)


async def test_what_another_repository_of_the_target_gets_is_told_as_mounted(
    layout: ImageBuilder, tmp_path: Path
) -> None:
    async with Server() as source, Server() as target:
        site = MirrorSite(source, target, layout, tmp_path / "state")
        image = layout.image([5000])
        await site.fill({"v1": image})
        second = MirrorRule(source=f"{host(source)}/app", targets=(f"{host(target)}/other",))
        size = sum(blob.size for blob in image.blobs)
        planned = await site.run(second, dry_run=True)
        assert (planned.counts, sums(planned.images)) == ({"planned": 2}, (size, size))
        done = await site.run(second)
        assert sums(done.images) == sums(planned.images)


async def test_chunks_are_counted_as_they_are_sent(server: Server, layout: ImageBuilder) -> None:
    image = layout.image([5 * MIB])
    config = TransferConfig(journal=False, upload_chunk_bytes=2 * MIB, upload_chunk_threshold=2 * MIB)
    job = Job(image.source, (Destination(f"{host(server)}/app:v1", LOGIN),))
    async with Engine(config) as engine:
        (preview,) = await engine.preview(job)
        assert writes(server) == []
        await engine.run(job)
    assert not isinstance(preview, Exception)
    assert preview.requests == {
        "POST upload": asked(server)["PostUpload"],
        "PATCH upload": asked(server)["PatchUpload"],
        "PUT upload": asked(server)["PutUpload"],
        "PUT manifest": 1,
    }


async def test_only_what_goes_into_a_registry_can_be_previewed(layout: ImageBuilder, tmp_path: Path) -> None:
    async with Engine(TransferConfig(journal=False)) as engine:
        with pytest.raises(InvalidConfig, match="only a push to a registry"):
            await engine.preview(Job(layout.image().source, (Destination(f"oci-archive:{tmp_path / 'x.tar'}"),)))
    assert not (tmp_path / "x.tar").exists()


async def test_two_mappings_into_one_repository_count_a_blob_once(site: MirrorSite) -> None:
    image = site.layout.image()
    await site.fill({"v1": image})
    second = MirrorRule(
        source=f"{host(site.source)}/app:v1", targets=(f"{site.repository}:other",), create=CreateRepository()
    )
    report = await site.run(second, dry_run=True)
    assert report.counts == {"planned": 2}
    assert sums(report.images) == (sum(blob.size for blob in image.blobs), 0)
    assert sorted(one.calls.get("CreateRepository", 0) for one in report.images) == [0, int(site.by_api)]


async def test_a_preview_that_is_cancelled_leaves_nothing_behind(site: MirrorSite) -> None:
    await site.fill({f"v{number}": site.layout.image(seed=number, tag=f"v{number}") for number in range(5)})
    task = asyncio.create_task(site.run(dry_run=True))
    while not site.source.requests.count("GetManifest"):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert writes(site.target) == []


async def test_a_tag_that_cannot_move_is_found_out_beforehand(layout: ImageBuilder, tmp_path: Path) -> None:
    async with Server() as source, Server() as target:
        site = MirrorSite(source, target, layout, tmp_path / "state", by_api=True)
        site.settings = {"create": CreateRepository(mutability="IMMUTABLE")}
        for seed in (1, 2):
            await site.fill({"v1": layout.image(seed=seed, tag=f"t{seed}")})
            if seed == 1:
                await site.run()
        report = await site.run(dry_run=True)
        assert (report.counts, report.failed[0].error) == ({"failed": 1}, "TagImmutable")
        assert writes(target) == []
