"""What refers to what in a layout, and which of its images is meant where none is named."""

import shutil

import pytest

from transfer.errors import InvalidLayout
from transfer.local.layout.source import LayoutSource
from transfer.testing.images import BuiltImage, ImageBuilder, blob_file


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.index()


async def found(layout: ImageBuilder, image: BuiltImage) -> list[str]:
    return [one.digest for one in await LayoutSource(layout.path).referrers(image.root)]


async def test_a_referrer_is_found_though_only_an_index_names_it(layout: ImageBuilder, image: BuiltImage) -> None:
    referrer = layout.referrer(image.root)
    listed = layout.index_of([referrer.root], tag=image.root.digest.as_tag)
    layout.forget(referrer.root)

    assert await found(layout, image) == [referrer.root.digest]
    assert await found(layout, listed) == []


async def test_a_damaged_image_does_not_hide_what_refers_to_another(layout: ImageBuilder, image: BuiltImage) -> None:
    damaged, referrer = layout.image(seed=1, tag="v2"), layout.referrer(image.root)
    blob_file(layout.path, damaged.root.digest).write_bytes(b"x")

    assert await found(layout, image) == [referrer.root.digest]


async def test_what_is_pushed_later_is_found_by_the_same_source(layout: ImageBuilder, image: BuiltImage) -> None:
    source = LayoutSource(layout.path)
    first = layout.referrer(image.root)
    assert [one.digest for one in await source.referrers(image.root)] == [first.root.digest]

    second = layout.referrer(image.root, seed=1)

    expected = sorted([first.root.digest, second.root.digest])
    assert [one.digest for one in await source.referrers(image.root)] == expected


async def test_what_is_no_layout_has_no_referrers_to_list(layout: ImageBuilder, image: BuiltImage) -> None:
    shutil.rmtree(layout.path)

    with pytest.raises(InvalidLayout) as caught:
        await found(layout, image)

    assert caught.value.side == "source"


async def test_the_only_image_is_meant_though_others_are_there_for_its_sake(
    layout: ImageBuilder, image: BuiltImage
) -> None:
    layout.referrer(image.root)
    layout.image(seed=5, tag=f"{image.root.digest.as_tag}.sig")

    assert (await LayoutSource(layout.path).resolve(None)).digest == image.root.digest


async def test_a_layout_of_nothing_but_a_referrer_means_that(layout: ImageBuilder, image: BuiltImage) -> None:
    other = ImageBuilder(layout.path.with_name("other"))
    referrer = other.referrer(image.root)

    assert (await LayoutSource(other.path).resolve(None)).digest == referrer.root.digest


async def test_two_images_are_still_one_too_many(layout: ImageBuilder, image: BuiltImage) -> None:
    layout.referrer(image.root)
    layout.image(seed=1, tag="v2")

    with pytest.raises(InvalidLayout, match="no single image but 2 different images"):
        await LayoutSource(layout.path).resolve(None)
