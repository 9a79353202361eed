"""The image builder that other tests stand on: same seed same image, real digests, constant memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from transfer.local.layout.source import LayoutSource
from transfer.model.digest import Digest
from transfer.testing.images import BLOCK, ImageBuilder, blob_file, blocks


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_a_layer_has_the_size_and_the_digest_it_says(layout: ImageBuilder, size: int) -> None:
    layer = layout.layer(size, seed=1)

    content = blob_file(layout.path, layer.digest).read_bytes()
    assert (layer.size, layer.digest) == (size, Digest.of(content))
    assert len(content) == size


def test_every_block_of_a_layer_and_every_seed_differ() -> None:
    one, other = list(blocks(4 * BLOCK, 1)), list(blocks(4 * BLOCK, 2))

    assert len({*one, *other}) == 8


def test_the_same_seed_makes_the_same_image(tmp_path: Path) -> None:
    first, second = (ImageBuilder(tmp_path / name).index(seed=3) for name in "ab")

    assert first.root == second.root
    assert ImageBuilder(tmp_path / "c").index(seed=4).root != first.root


@pytest.mark.parametrize("docker", [False, True])
async def test_an_index_names_an_image_for_each_platform_with_one_layer_in_common(tmp_path: Path, docker: bool) -> None:
    built = ImageBuilder(tmp_path, docker=docker).index(("linux/amd64", "linux/arm/v7"), (10, 20, 30))

    source = LayoutSource(tmp_path)
    index = await source.manifest(await source.resolve("v1"))
    images = [await source.manifest(child) for child in index.manifests]

    assert [str(child.platform) for child in index.manifests] == ["linux/amd64", "linux/arm/v7"]
    assert len({image.layers[0] for image in images}) == 1
    assert len(built.blobs) == 2 + 1 + 2 * 2
    assert {blob.digest for image in images for blob in image.blobs} == {blob.digest for blob in built.blobs}
    assert [manifest.digest for manifest in built.manifests] == [*(image.digest for image in images), index.digest]


def test_a_layout_lists_all_that_was_built_in_it(layout: ImageBuilder) -> None:
    built = [layout.image(tag="one"), layout.image(seed=2, tag=None), layout.index(tag="three")]

    entries = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    assert [entry["digest"] for entry in entries] == [image.root.digest for image in built]
    assert [image.source.removeprefix(f"oci:{layout.path}") for image in built] == [
        ":one",
        f"@{built[1].root.digest}",
        ":three",
    ]


def test_a_large_layer_needs_the_memory_of_a_few_blocks(layout: ImageBuilder) -> None:
    tracemalloc.start()
    try:
        layout.layer(32 * BLOCK)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * BLOCK
