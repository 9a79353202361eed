"""A mirror between registries in whose ways something changes while it runs."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.quirky import QuirkyRegistry, on, quirky, refuse
from tests.support.scripted import Arrived, answer
from transfer import TransferConfig
from transfer.mirror import MirrorConfig, MirrorReport, MirrorRule, TagFilter, mirror
from transfer.mirror.run.run import MirrorRun
from transfer.model.digest import Digest
from transfer.testing.images import BuiltImage, ImageBuilder

FAST = TransferConfig(journal=False, max_attempts=2, backoff_base=0.001, backoff_max=0.002)
OLDER = Digest.of(b"what the tag held before")


@pytest_asyncio.fixture
async def source() -> AsyncIterator[QuirkyRegistry]:
    async with quirky() as running:
        yield running


@pytest_asyncio.fixture
async def target() -> AsyncIterator[QuirkyRegistry]:
    async with quirky() as running:
        yield running


def fill(registry: QuirkyRegistry, image: BuiltImage, tag: str) -> None:
    registry.manifests[tag] = registry.manifests[image.root.digest] = image.content(image.root)
    registry.blobs.update({blob.digest: image.content(blob) for blob in image.blobs})


async def run(source: QuirkyRegistry, target: QuirkyRegistry, *tags: str) -> MirrorReport:
    mapping = MirrorRule(
        source=f"{source.registry}/app", targets=(f"{target.registry}/copy",), tags=(TagFilter(exact=tags),)
    )
    return await mirror(MirrorConfig(mappings=(mapping,)), limits=FAST)


async def test_a_tag_that_moves_while_it_is_copied_is_copied_as_it_is_now_and_told(
    source: QuirkyRegistry, target: QuirkyRegistry, layout: ImageBuilder
) -> None:
    image = layout.image()
    fill(source, image, "v1")
    source.quirk = on("HEAD manifest", answer(200, b"", Docker_Content_Digest=OLDER))
    report = await run(source, target, "v1")
    assert report.counts == {"copied": 1}
    assert report.images[0].digest == image.root.digest
    assert any(str(OLDER) in note and "moved" in note for note in report.images[0].notes)
    assert target.manifests["v1"] == image.content(image.root)


async def test_an_image_that_vanishes_while_it_is_copied_fails_alone(
    source: QuirkyRegistry, target: QuirkyRegistry, layout: ImageBuilder
) -> None:
    fill(source, layout.image(), "v1")
    source.manifests["v2"] = b"{}"
    source.quirk = on("GET manifest", refuse(404, "MANIFEST_UNKNOWN"), times=1)
    report = await run(source, target, "v1")
    assert report.counts == {"failed": 1}
    assert (report.failed[0].error, report.failed[0].side) == ("NotFound", "source")
    assert "v1" not in target.manifests


async def test_a_source_that_answers_one_tag_with_an_error_page_loses_that_one_alone(
    source: QuirkyRegistry, target: QuirkyRegistry, layout: ImageBuilder
) -> None:
    fill(source, layout.image(), "v1")
    source.manifests["v2"] = b"<html><title>Sign in</title></html>"
    report = await run(source, target, "v1", "v2")
    assert report.counts == {"copied": 1, "failed": 1}
    assert report.failed[0].error == "InvalidManifest"


async def test_a_target_that_refuses_a_manifest_is_named_with_what_it_said(
    source: QuirkyRegistry, target: QuirkyRegistry, layout: ImageBuilder
) -> None:
    fill(source, layout.image(), "v1")
    target.quirk = on("PUT manifest", refuse(403, "DENIED"))
    report = await run(source, target, "v1")
    assert (report.failed[0].error, report.failed[0].side) == ("Unauthorized", "target")
    assert "it is so" in (report.failed[0].message or "")


async def test_a_registry_that_hangs_while_it_is_looked_at_does_not_outlast_the_grace(
    source: QuirkyRegistry, target: QuirkyRegistry
) -> None:
    came = asyncio.Event()

    async def hang(request: Arrived) -> None:
        came.set()
        await asyncio.Event().wait()

    source.quirk = on("HEAD manifest", hang)
    running: list[MirrorRun] = []
    mapping = MirrorRule(source=f"{source.registry}/app:v1", targets=(f"{target.registry}/copy",))
    mirroring = asyncio.create_task(mirror(MirrorConfig(mappings=(mapping,)), limits=FAST, on_start=running.append))
    await came.wait()
    running[0].stop(grace=0)
    report = await mirroring
    assert report.stopped
    assert [(one.mapping, one.status, one.message) for one in report.mistakes] == [
        ("mappings[0]", "stopped", "cut off before all of it was looked at")
    ]
