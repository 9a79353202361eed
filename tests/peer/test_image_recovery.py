"""What the registry says of tags and of things that are there: believed, or asked again."""

import pytest

from tests.support.behind_peer import PART, Site
from tests.support.interposer import Members, refusal
from transfer import BlobUnknown, TagImmutable
from transfer.testing.images import ImageBuilder


def all_there(request: Members, _: Members) -> Members:
    layers = [{"layerDigest": one, "layerAvailability": "AVAILABLE"} for one in request["layerDigests"]]
    return {"layers": layers, "failures": []}


async def test_layers_that_were_only_said_to_be_there_are_asked_for_anew_and_sent_once(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([PART, 10])
    site.between.on("BatchCheckLayerAvailability", site.between.rewriting(all_there))
    result = await site.push(image)
    codes = [one.code for one in site.server.requests.of("PutImage")]
    assert codes == ["LayersNotFoundException", None]
    assert site.server.requests.count("BatchCheckLayerAvailability") == 2
    assert site.server.requests.count("InitiateLayerUpload") == len(image.blobs) == result.uploaded.count
    await site.assert_whole(image)


async def test_a_registry_that_insists_on_layers_it_does_not_have_is_an_error(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([10])
    site.between.on("BatchCheckLayerAvailability", site.between.rewriting(all_there), for_ever=True)
    with pytest.raises(BlobUnknown, match=str(image.blobs[1].digest)):
        await site.push(image)
    assert site.server.requests.count("PutImage") == 2
    assert await site.tags() == {}


async def test_children_that_were_only_said_to_be_there_are_pushed_before_their_index(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.index(sizes=(PART, 10))
    children = [one.digest for one in image.manifests[:-1]]

    def children_there(request: Members, _: Members) -> Members:
        asked = [one for one in request["imageIds"] if one.get("imageDigest") in children]
        return {"images": [{"imageId": one} for one in asked], "failures": []}

    site.between.on("BatchGetImage", site.between.rewriting(children_there))
    await site.push(image)
    put = [(one.digest, one.code) for one in site.server.requests.of("PutImage")]
    assert put[0] == (image.root.digest, "ReferencedImagesNotFoundException")
    assert sorted(put[1:3]) == sorted((child, None) for child in children)
    assert put[3:] == [(image.root.digest, None)]
    assert site.server.requests.count("InitiateLayerUpload") == len(image.blobs)
    await site.assert_whole(image)


async def test_layers_that_vanished_since_an_engine_saw_them_are_sent_again(site: Site, layout: ImageBuilder) -> None:
    shared = layout.layer(PART, seed=1)
    first, second = layout.image([], tag="a", layers=[shared]), layout.image([10], seed=2, tag="b", layers=[shared])
    async with site.engine() as engine:
        await engine.push(first.source, site.name("a"))
        await site.renew()
        await engine.push(second.source, site.name("b"))
    await site.assert_whole(second, "b")


@pytest.mark.parametrize("code", ["ImageTagAlreadyExistsException", "ImageAlreadyExistsException"])
async def test_the_same_image_under_the_tag_is_success_whatever_it_is_called(
    site: Site, layout: ImageBuilder, code: str
) -> None:
    image = layout.image([PART])
    site.between.on("PutImage", site.between.disowned(code))
    result = await site.push(image)
    assert result.digest == image.root.digest
    assert site.server.requests.count("PutImage") == 1
    await site.assert_whole(image)


async def test_another_image_that_takes_an_immutable_tag_in_between_is_told(site: Site, layout: ImageBuilder) -> None:
    ours, theirs = layout.image([10], tag="ours"), layout.image([20], seed=5, tag="theirs")
    await site.renew("IMMUTABLE")
    await site.push(theirs, "other")
    site.between.on("PutImage", site.between.after(lambda: site.put(theirs)))
    with pytest.raises(TagImmutable, match=f"'v1'.*{theirs.root.digest}.*push under another tag"):
        await site.push(ours)
    assert await site.tags() == {"other": theirs.root.digest, "v1": theirs.root.digest}


async def test_the_same_image_that_somebody_else_pushes_in_between_is_success(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([PART])
    site.between.on("PutImage", site.between.after(lambda: site.put(image)))
    await site.push(image)
    assert [one.code for one in site.server.requests.of("PutImage")] == [None, "ImageAlreadyExistsException"]
    await site.assert_whole(image)


async def test_a_tag_that_was_refused_and_is_gone_when_it_is_asked_for_is_the_refusal(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([10])
    site.between.on("PutImage", refusal("ImageTagAlreadyExistsException"))
    with pytest.raises(TagImmutable, match="it holds another digest"):
        await site.push(image)
    assert await site.tags() == {}
