"""What a tag holds before a mirror moves it is kept under another one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.mirrors import MirrorSite, asked, writes
from transfer import Server
from transfer.mirror import CreateRepository
from transfer.testing.images import ImageBuilder


@pytest_asyncio.fixture(params=[False, True], ids=["oci", "ecr"])
async def site(request: pytest.FixtureRequest, layout: ImageBuilder, tmp_path: Path) -> AsyncIterator[MirrorSite]:
    async with Server() as source, Server() as target:
        settings = {"backup": "old-{tag}"}
        yield MirrorSite(source, target, layout, tmp_path / "state", by_api=request.param, settings=settings)


@pytest.mark.parametrize("template", ["old-{tag}", "{tag}.{digest}"])
async def test_what_is_overwritten_is_kept_and_no_blob_moves_for_it(template: str, site: MirrorSite) -> None:
    site.settings["backup"] = template
    shared = site.layout.layer(5000, seed=5)
    first, second = (site.layout.image([10], seed=seed, tag=f"t{seed}", layers=[shared]) for seed in (1, 2))
    await site.fill({"v1": first, "v2": first})
    await site.run()
    await site.fill({"v1": second})
    report = await site.run()
    kept = template.format(tag="v1", digest=str(first.root.digest).replace(":", "-"))
    assert report.counts == {"copied": 1, "unchanged": 1}, report
    (copied,) = [one for one in report.images if one.status == "copied"]
    assert copied.notes == (f"{first.root.digest} is kept under {kept}",)
    tags = await site.tags()
    assert tags == {"v1": second.root.digest, "v2": first.root.digest, kept: first.root.digest}
    made = asked(site.target)
    # A config and a layer are new in the second image; the backup is a manifest and nothing else.
    assert made["PutImage" if site.by_api else "PutManifest"] == 2
    assert made["CompleteLayerUpload" if site.by_api else "PutUpload"] == 2
    assert (made["GetBlob"], made["GetDownloadUrlForLayer"], made["MountBlob"]) == (0, 0, 0)
    assert (await site.run()).counts == {"unchanged": 2}
    assert writes(site.target) == []


async def test_a_trimmed_image_that_has_not_changed_is_not_kept_again(site: MirrorSite, tmp_path: Path) -> None:
    site.settings["platforms"] = ("linux/arm64",)
    await site.fill({"v1": site.layout.index()})
    await site.run()
    before = await site.tags()
    site.state = tmp_path / "forgotten"
    assert (await site.run()).counts == {"unchanged": 1}
    assert writes(site.target) == []
    await site.fill({"v1": site.layout.index(seed=5, tag="t5")})
    site.state = tmp_path / "forgotten too"
    assert (await site.run()).counts == {"copied": 1}
    assert (await site.tags())["old-v1"] == before["v1"]


async def test_a_backup_that_cannot_be_moved_leaves_the_tag_as_it_is(layout: ImageBuilder, tmp_path: Path) -> None:
    async with Server() as source, Server() as target:
        create = CreateRepository(mutability="IMMUTABLE_WITH_EXCLUSION", mutability_exclude=("v*",))
        settings = {"backup": "old-{tag}", "create": create}
        site = MirrorSite(source, target, layout, tmp_path / "state", by_api=True, settings=settings)
        images = [layout.image(seed=seed, tag=f"t{seed}") for seed in range(4)]
        for image in images[:2]:
            await site.fill({"v1": image, "v2": images[0]})
            await site.run()
        assert (await site.tags())["old-v1"] == images[0].root.digest

        await site.fill({"v1": images[2], "v2": images[3]})
        report = await site.run()
        assert report.counts == {"copied": 1, "failed": 1}
        (failed,) = report.failed
        assert (failed.target, failed.error) == (f"{site.repository}:v1", "TagImmutable")
        assert "'old-v1'" in (failed.message or "")
        digests = [image.root.digest for image in images]
        assert await site.tags() == {"v1": digests[1], "old-v1": digests[0], "v2": digests[3], "old-v2": digests[0]}


async def test_a_backup_that_is_there_already_is_no_harm_though_it_cannot_move(
    layout: ImageBuilder, tmp_path: Path
) -> None:
    async with Server() as source, Server() as target:
        create = CreateRepository(mutability="IMMUTABLE_WITH_EXCLUSION", mutability_exclude=("v*",))
        settings = {"backup": "old-{tag}", "create": create}
        site = MirrorSite(source, target, layout, tmp_path / "state", by_api=True, settings=settings)
        first, second = (layout.image(seed=seed, tag=f"t{seed}") for seed in range(2))
        for image in (first, second):
            await site.fill({"v1": image})
            assert (await site.run()).counts == {"copied": 1}
        async with site.engine() as engine:
            await engine.copy(f"{site.repository}:old-v1", f"{site.repository}:v1")
        assert (await site.run()).counts == {"copied": 1}
        assert await site.tags() == {"v1": second.root.digest, "old-v1": first.root.digest}
