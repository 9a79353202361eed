"""Answers that are lost, and parts that are cut: what it costs, counted at the registry."""

import pytest

from tests.support.behind_peer import PART, Site
from transfer.events import Retrying
from transfer.testing.images import ImageBuilder


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("BatchGetImage", 2),
        ("BatchCheckLayerAvailability", 2),
        ("InitiateLayerUpload", 3),
        ("PutImage", 2),
    ],
)
async def test_a_lost_answer_is_asked_for_again_and_costs_no_byte(
    site: Site, layout: ImageBuilder, operation: str, asked: int
) -> None:
    image = layout.image([2 * PART])
    site.between.on(operation, site.between.lose)
    result = await site.push(image)
    assert result.retries == 1
    assert site.server.requests.count(operation) == asked
    assert sorted(site.parts()) == [(0, 200), (0, 200), (PART, 200)]
    assert result.sent == sum(blob.size for blob in image.blobs)
    await site.assert_whole(image)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_part_whose_answer_was_lost_is_sent_once_more(site: Site, layout: ImageBuilder, lost: int) -> None:
    image, reported = layout.image([2 * PART + 1]), list[Retrying]()
    await site.add_config(image)
    site.between.on("UploadLayerPart", *[site.between.forward] * lost, site.between.lose)
    result = await site.push(
        image, observer=lambda event: reported.append(event) if isinstance(event, Retrying) else None
    )
    accepted = [(0, 200), (PART, 200), (2 * PART, 200)]
    assert site.parts() == [*accepted[: lost + 1], (lost * PART, 400), *accepted[lost + 1 :]]
    layer = result.blobs[1]
    assert (layer.status, layer.sent, layer.retries, result.retries) == ("uploaded", 2 * PART + 1, 1, 1)
    assert len(reported) == 1
    await site.assert_whole(image)


async def test_a_lost_complete_is_settled_by_asking_for_the_layer(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    site.between.on("CompleteLayerUpload", site.between.lose)
    result = await site.push(image)
    assert [(one.status, one.code) for one in site.server.requests.of("CompleteLayerUpload")] == [
        (200, None),
        (400, "UploadNotFoundException"),
    ]
    assert site.server.requests.count("BatchCheckLayerAvailability") == 2
    assert site.parts() == [(0, 200), (PART, 200)]
    assert result.blobs[1].status == "uploaded"
    await site.assert_whole(image)


async def test_a_lost_complete_that_is_answered_with_layer_exists_is_an_upload_all_the_same(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([PART])
    await site.add_config(image)
    site.between.on("CompleteLayerUpload", site.between.disowned("LayerAlreadyExistsException"))
    result = await site.push(image)
    assert (result.blobs[1].status, result.blobs[1].sent) == ("uploaded", PART)
    await site.assert_whole(image)


@pytest.mark.parametrize("cut", [0, 1])
async def test_a_connection_cut_inside_a_part_costs_that_part_alone(site: Site, layout: ImageBuilder, cut: int) -> None:
    image = layout.image([3 * PART])
    await site.add_config(image)
    site.between.on("UploadLayerPart", *[site.between.forward] * cut, site.between.cut)
    result = await site.push(image)
    assert [part for part in site.parts() if part[1] == 200] == [(0, 200), (PART, 200), (2 * PART, 200)]
    assert site.between.operations.count("UploadLayerPart") == 4
    assert (result.blobs[1].sent, result.blobs[1].retries) == (3 * PART, 1)
    await site.assert_whole(image)


async def test_every_answer_of_a_push_may_be_lost_once(site: Site, layout: ImageBuilder) -> None:
    image = layout.index(sizes=(PART + 5, 10))
    for operation in ("BatchGetImage", "BatchCheckLayerAvailability", "PutImage"):
        site.between.on(operation, site.between.lose)
    for operation in ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"):
        site.between.on(operation, *[site.between.lose] * len(image.blobs))
    result = await site.push(image)
    assert result.retries == 3 + 3 * len(image.blobs)
    assert result.uploaded.count == len(image.blobs)
    await site.assert_whole(image)
