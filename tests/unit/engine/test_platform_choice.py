"""The images of an index for some platforms, wherever they are listed, and images that are not there."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from transfer import copy_image
from transfer.engine.graph import Graph, read_graph
from transfer.errors import AmbiguousImage, ContentMissing, InvalidManifest
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.model.platform import parse_platform
from transfer.testing.images import BuiltImage, ImageBuilder

AMD, ARM, S390 = "linux/amd64", "linux/arm64", "linux/s390x"


def images(layout: ImageBuilder, *platforms: str) -> dict[str, BuiltImage]:
    return {
        name: layout.image([100], seed=number, platform=parse_platform(name), tag=None)
        for number, name in enumerate(platforms)
    }


def unplaced(image: BuiltImage) -> Descriptor:
    """An image as an entry that does not name its platform."""
    return msgspec.structs.replace(image.root, platform=None)


async def graph_of(layout: ImageBuilder, root: Descriptor, *platforms: str) -> Graph:
    return await read_graph(LayoutSource(layout.path), root, [parse_platform(name) for name in platforms])


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("named", [True, False], ids=["with platforms", "by their configurations"])
async def test_images_are_found_at_any_depth(layout: ImageBuilder, depth: int, named: bool) -> None:
    built = images(layout, AMD, ARM, S390)
    entries = [one.root if named else unplaced(one) for one in built.values()]
    root = layout.index_of(entries).root
    for _ in range(depth):
        root = layout.index_of([root]).root

    one = await graph_of(layout, root, "aarch64")
    assert one.root.digest == built[ARM].root.digest

    two = await graph_of(layout, root, AMD, ARM)
    assert [child.digest for child in two.root.manifests] == [built[name].root.digest for name in (AMD, ARM)]
    assert len(two.manifests) == 3

    with pytest.raises(InvalidManifest, match="no image for linux/riscv64, only for linux/amd64, linux/arm64"):
        await graph_of(layout, root, "linux/riscv64")


async def test_images_of_several_indexes_are_one_shorter_index(layout: ImageBuilder) -> None:
    built = images(layout, AMD, ARM, S390)
    parts = [layout.index_of([built[name].root]).root for name in (ARM, S390)]
    root = layout.index_of([built[AMD].root, *parts]).root

    graph = await graph_of(layout, root, S390, AMD)

    assert [child.digest for child in graph.root.manifests] == [built[name].root.digest for name in (AMD, S390)]


@pytest.mark.attack("index-bombs")
async def test_an_index_that_is_listed_twice_is_read_once(layout: ImageBuilder) -> None:
    built = images(layout, AMD, ARM)
    root = layout.index_of([one.root for one in built.values()]).root
    for _ in range(6):
        root = layout.index_of([root, root]).root

    graph = await graph_of(layout, root, AMD, ARM)

    assert len(graph.root.manifests) == 2


@pytest.mark.parametrize("named", [True, False], ids=["with platforms", "by their configurations"])
async def test_of_several_images_without_names_the_platform_chooses(
    layout: ImageBuilder, tmp_path: Path, named: bool
) -> None:
    built = images(layout, AMD, ARM)
    rewritten(layout, [one.root if named else unplaced(one) for one in built.values()])
    source = f"oci:{layout.path}"

    with pytest.raises(AmbiguousImage, match="no single image"):
        await copy_image(source, f"oci:{tmp_path / 'out'}:v1")
    one = await copy_image(source, f"oci:{tmp_path / 'out'}:v1", platforms=["arm64"])
    both = await copy_image(source, f"oci:{tmp_path / 'out'}:v2", platforms=[AMD, ARM])

    assert one.digest == built[ARM].root.digest
    graph = await read_graph(LayoutSource(tmp_path / "out"), await LayoutSource(tmp_path / "out").resolve("v2"))
    assert both.digest == graph.root.digest
    assert [child.digest for child in graph.root.manifests] == [one.root.digest for one in built.values()]


def rewritten(layout: ImageBuilder, entries: Sequence[Descriptor]) -> None:
    index = {"schemaVersion": 2, "manifests": entries}
    (layout.path / "index.json").write_bytes(msgspec.json.encode(index, enc_hook=str))


@pytest.mark.parametrize(("gone", "advice"), [([ARM], f"--platform {AMD},{S390}"), ([AMD, ARM, S390], "write them")])
async def test_images_that_are_not_there_are_named_with_what_to_do(
    layout: ImageBuilder, gone: list[str], advice: str
) -> None:
    built = images(layout, AMD, ARM, S390)
    root = layout.index_of([one.root for one in built.values()]).root
    for name in gone:
        built[name].file(built[name].root).unlink()

    with pytest.raises(ContentMissing, match=f"its images for {', '.join(gone)} are not there: .*{advice}") as caught:
        await graph_of(layout, root)

    assert "\n" not in str(caught.value)


async def test_what_is_not_asked_for_need_not_be_there(layout: ImageBuilder) -> None:
    built = images(layout, AMD, ARM)
    root = layout.index_of([one.root for one in built.values()]).root
    built[ARM].file(built[ARM].root).unlink()

    assert (await graph_of(layout, root, AMD)).root.digest == built[AMD].root.digest
