"""What it costs to find out that nothing changed, of trimmed images and of those with signatures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.mirrors import LOGIN, MirrorSite, asked, host
from transfer import Server
from transfer.mirror import CreateRepository, MirrorRule, TagFilter
from transfer.testing.images import BuiltImage, ImageBuilder


@pytest_asyncio.fixture(params=[False, True], ids=["oci", "ecr"])
async def site(request: pytest.FixtureRequest, layout: ImageBuilder, tmp_path: Path) -> AsyncIterator[MirrorSite]:
    async with Server() as source, Server() as target:
        yield MirrorSite(source, target, layout, tmp_path / "state", by_api=request.param)


@pytest.mark.parametrize("platforms", [("linux/arm64",), ("linux/arm64", "linux/amd64")])
async def test_a_trimmed_image_costs_one_question_at_each_end(platforms: tuple[str, ...], site: MirrorSite) -> None:
    image = site.layout.index(("linux/amd64", "linux/arm64", "linux/s390x"))
    await site.fill({"v1": image})
    site.settings = {"platforms": platforms, "tags": (TagFilter(exact=("v1",)),)}
    first = await site.run()
    assert first.counts == {"copied": 1}
    second = await site.run()
    assert second.counts == {"unchanged": 1}
    assert second.images[0].digest == first.images[0].digest != image.root.digest
    assert asked(site.source) == {"HeadManifest": 1}
    assert asked(site.target) == ({"BatchGetImage": 1} if site.by_api else {"HeadManifest": 1})


async def test_a_trimmed_image_that_changed_is_copied(site: MirrorSite) -> None:
    site.settings = {"platforms": ("linux/arm64",)}
    for seed in (1, 2):
        await site.fill({"v1": site.layout.index(seed=seed, tag=f"t{seed}")})
        assert (await site.run()).counts == {"copied": 1}


async def test_a_tag_is_looked_at_once_before_its_image_is_copied(site: MirrorSite) -> None:
    await site.fill({f"v{number}": site.layout.image(seed=number, tag=f"t{number}") for number in range(3)})
    site.settings = {"tags": (TagFilter(exact=("v0", "v1", "v2")),)}
    assert (await site.run()).counts == {"copied": 3}
    if not site.by_api:
        assert asked(site.target)["HeadManifest"] == 2 * 3, "by its tag, and by its digest"
    await site.fill({"v0": site.layout.image(seed=9, tag="t9")})
    assert (await site.run()).counts == {"copied": 1, "unchanged": 2}
    if not site.by_api:
        assert asked(site.target)["HeadManifest"] == 3 + 1


async def push(site: MirrorSite, image: BuiltImage, name: str) -> None:
    async with site.engine() as engine:
        await engine.push(image.source, f"{host(site.source)}/app{name}", target_access=LOGIN)


@pytest_asyncio.fixture
async def signed(site: MirrorSite) -> BuiltImage:
    """An image with a referrer and a tag of cosign's, mirrored with both."""
    image = site.layout.image()
    await site.fill({"v1": image})
    referrer = site.layout.referrer(image.root)
    await push(site, referrer, f"@{referrer.root.digest}")
    await push(site, site.layout.image(seed=9, tag="t9"), f":{image.root.digest.as_tag}.sig")
    site.settings = {"referrers": True, "tags": (TagFilter(glob=("v*",)),)}
    assert (await site.run()).counts == {"copied": 1}
    return image


async def test_referrers_that_have_not_changed_cost_one_question_at_each_end(
    site: MirrorSite, signed: BuiltImage
) -> None:
    assert (await site.run()).counts == {"unchanged": 1}
    assert asked(site.source) == {"ListTags": 1, "HeadManifest": 2, "ListReferrers": 1}
    if site.by_api:
        assert asked(site.target) == {"BatchGetImage": 2, "ListImageReferrers": 1}
    else:
        assert asked(site.target) == {"GetBase": 1, "HeadManifest": 2, "ListReferrers": 1}


async def test_tags_are_listed_once_for_all_images_that_are_named(site: MirrorSite, signed: BuiltImage) -> None:
    await site.fill({"v2": signed, "v3": signed})
    site.settings["tags"] = (TagFilter(exact=("v1", "v2", "v3")),)
    await site.run()
    assert (await site.run()).counts == {"unchanged": 3}
    assert (asked(site.source)["ListTags"], asked(site.source)["ListReferrers"]) == (1, 3)


async def test_tags_are_listed_once_for_all_mappings_of_a_repository(site: MirrorSite, signed: BuiltImage) -> None:
    source, target = f"{host(site.source)}/app", f"{site.repository}/other"
    other = MirrorRule(source=source, targets=(target,), create=CreateRepository() if site.by_api else None)
    assert (await site.run(other)).counts == {"unchanged": 1, "copied": 2}
    assert asked(site.source)["ListTags"] == 1


async def test_a_new_referrer_is_taken_along(site: MirrorSite, signed: BuiltImage) -> None:
    referrer = site.layout.referrer(signed.root, seed=3)
    await push(site, referrer, f"@{referrer.root.digest}")
    assert (await site.run()).counts == {"copied": 1}
    assert asked(site.target)["PutImage" if site.by_api else "PutManifest"] == 1
    assert (await site.run()).counts == {"unchanged": 1}


async def test_a_signature_that_moved_is_taken_along(site: MirrorSite, signed: BuiltImage) -> None:
    tag, other = f"{signed.root.digest.as_tag}.sig", site.layout.image(seed=10, tag="t10")
    await push(site, other, f":{tag}")
    assert (await site.run()).counts == {"copied": 1}
    assert (await site.tags())[tag] == other.root.digest
    assert (await site.run()).counts == {"unchanged": 1}


async def test_what_refers_to_the_copy_alone_is_no_change(site: MirrorSite, signed: BuiltImage) -> None:
    referrer = site.layout.referrer(signed.root, seed=4)
    async with site.engine() as engine:
        access = {} if site.by_api else {"target_access": LOGIN}
        await engine.push(referrer.source, f"{site.repository}@{referrer.root.digest}", **access)  # type: ignore[arg-type]
    assert (await site.run()).counts == {"unchanged": 1}
