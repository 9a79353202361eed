"""Pushes of the same layers at the same time: both succeed, whatever they share."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.behind_peer import PART, Site
from transfer.events import Event, Notice
from transfer.testing.images import BuiltImage, ImageBuilder


async def start_push(site: Site, image: BuiltImage, tag: str, state: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transfer", "push", image.source, site.name(tag), "--state", str(state)),
        *("--progress", "plain"),
        env={**os.environ, **site.server.environment, "AWS_ENDPOINT_URL_ECR": site.between.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("journals", [("same", "same"), ("one", "other")])
async def test_two_processes_that_push_the_same_layers_both_succeed(
    site: Site, layout: ImageBuilder, tmp_path: Path, journals: tuple[str, str]
) -> None:
    image = layout.image([4 * PART, 3 * PART, *range(10, 16)])
    both = asyncio.Barrier(2)
    # Neither goes on before the other has got as far: both find all layers missing.
    site.between.on("BatchCheckLayerAvailability", *[site.between.after(both.wait)] * 2)
    processes = [await start_push(site, image, f"v{n}", tmp_path / name) for n, name in enumerate(journals)]
    reported = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0], reported
    assert all(b"journal" not in err for _, err in reported), reported
    assert [out.decode().strip() for out, _ in reported] == [f"{site.server.registry}/app@{image.root.digest}"] * 2
    for tag in ("v0", "v1"):
        await site.assert_whole(image, tag)


@pytest.mark.parametrize("journals", [("same", "same"), ("one", "other")])
async def test_two_engines_in_one_process_that_push_the_same_layers_both_succeed(
    site: Site, layout: ImageBuilder, tmp_path: Path, journals: tuple[str, str]
) -> None:
    image, events, both = layout.image([4 * PART, *range(10, 16)]), list[Event](), asyncio.Barrier(2)
    site.between.on("BatchCheckLayerAvailability", *[site.between.after(both.wait)] * 2)
    results = await asyncio.gather(
        *(
            site.push(image, f"v{n}", observer=events.append, state_path=tmp_path / name)
            for n, name in enumerate(journals)
        )
    )
    assert [result.digest for result in results] == [image.root.digest] * 2
    assert not [event for event in events if isinstance(event, Notice)]
    for tag in ("v0", "v1"):
        await site.assert_whole(image, tag)


async def test_a_second_push_of_a_layer_that_is_under_way_neither_takes_nor_spoils_its_row(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([4 * PART])
    await site.add_config(image)
    held = site.between.held()
    site.between.on("UploadLayerPart", site.between.forward, site.between.forward, held)
    first = asyncio.create_task(site.push(image, "first"))
    await held.came.wait()
    second = await site.push(image, "second")
    assert site.journal_rows() == 1
    held.released.set()
    assert (second.blobs[1].sent, (await first).blobs[1].sent) == (4 * PART, 4 * PART)
    codes = sorted(str(one.code) for one in site.server.requests.of("CompleteLayerUpload"))
    assert codes == ["LayerAlreadyExistsException", "None"]
