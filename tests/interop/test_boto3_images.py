"""boto3, as it comes, puts, reads, lists and deletes images of the embedded registry."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.boto3_ecr import OCI_INDEX, OCI_MANIFEST, Ecr, digest_of, index, manifest


async def test_an_image_comes_back_byte_for_byte(ecr: Ecr) -> None:
    text = await ecr.image() + "\n"
    put = (await ecr.put_image(repositoryName="app", imageManifest=text, imageTag="v1"))["image"]
    assert put["imageId"] == {"imageDigest": digest_of(text.encode()), "imageTag": "v1"}
    got = await ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert got["images"] == [put]
    assert (put["imageManifest"], put["imageManifestMediaType"]) == (text, OCI_MANIFEST)
    layers = json.loads(text)["layers"]
    found = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[layers[0]["digest"]])
    assert found["layers"][0]["mediaType"] == "application/x"


async def test_each_image_that_is_not_there_fails_for_itself(ecr: Ecr) -> None:
    one, two = await ecr.image("1"), await ecr.image("2")
    await ecr.put_image(repositoryName="app", imageManifest=one, imageTag="v1")
    wanted = [
        {"imageTag": "v2"},
        {},
        {"imageDigest": "bad"},
        {"imageTag": "-"},
        {"imageTag": "v1", "imageDigest": digest_of(two.encode())},
    ]
    found = await ecr.batch_get_image(repositoryName="app", imageIds=wanted)
    assert found["images"] == []
    assert [(failure["imageId"], failure["failureCode"]) for failure in found["failures"]] == [
        (wanted[0], "ImageNotFound"),
        (wanted[1], "MissingDigestAndTag"),
        (wanted[2], "InvalidImageDigest"),
        (wanted[3], "InvalidImageTag"),
        (wanted[4], "ImageTagDoesNotMatchDigest"),
    ]
    assert found["failures"][0]["failureReason"] == "Requested image not found"


async def test_accepted_media_types_count_for_a_tag_only(ecr: Ecr) -> None:
    text = await ecr.image()
    await ecr.put_image(repositoryName="app", imageManifest=text, imageTag="v1")
    names = [{"imageTag": "v1"}, {"imageDigest": digest_of(text.encode())}]
    found = await ecr.batch_get_image(repositoryName="app", imageIds=names, acceptedMediaTypes=[OCI_INDEX])
    assert [image["imageId"] for image in found["images"]] == [names[1]]
    assert found["failures"][0]["failureCode"] == "ImageNotFound"


async def test_an_image_needs_its_layers_and_an_index_its_images(ecr: Ecr) -> None:
    absent = {"mediaType": "application/x", "digest": digest_of(b"absent"), "size": 6}
    refused = await ecr.refused("LayersNotFound", "put_image", repositoryName="app", imageManifest=manifest(absent))
    assert absent["digest"] in refused["Error"]["Message"]
    child = await ecr.image()
    refused = await ecr.refused(
        "ReferencedImagesNotFound", "put_image", repositoryName="app", imageManifest=index(child)
    )
    assert digest_of(child.encode()) in refused["Error"]["Message"]
    await ecr.put_image(repositoryName="app", imageManifest=child)
    await ecr.put_image(repositoryName="app", imageManifest=index(child), imageTag="multi")
    foreign = absent | {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}
    await ecr.put_image(repositoryName="app", imageManifest=manifest(json.loads(child)["config"], foreign))


async def test_an_image_that_is_there_and_a_wrong_digest_are_refused(ecr: Ecr) -> None:
    text = await ecr.image()
    put = {"repositoryName": "app", "imageManifest": text, "imageTag": "v1"}
    await ecr.refused("ImageDigestDoesNotMatch", "put_image", **put, imageDigest=digest_of(b"other"))
    await ecr.put_image(**put, imageDigest=digest_of(text.encode()))
    refused = await ecr.refused("ImageAlreadyExists", "put_image", **put)
    assert "and tag 'v1' already exists in the repository with name 'app'" in refused["Error"]["Message"]
    await ecr.put_image(**put | {"imageTag": "v2"})


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("{", "Invalid JSON syntax"),
        ('{"schemaVersion":2,"manifests":[],"layers":[]}', "Invalid JSON syntax"),
        (manifest({"mediaType": "x", "digest": "sha256:00", "size": 1}), "Invalid JSON syntax"),
        (
            manifest(
                {"mediaType": "x", "digest": digest_of(b""), "size": 1},
                *({"mediaType": "x", "digest": digest_of(b""), "size": 1} for _ in range(501)),
            ),
            "Limit on number of layers per image exceeded",
        ),
        (
            manifest({"mediaType": "x", "digest": digest_of(b""), "size": 1}, mediaType=None),
            "must be specified when the image manifest does not contain the mediaType field",
        ),
    ],
)
async def test_a_bad_manifest_is_an_invalid_parameter(ecr: Ecr, text: str, constraint: str) -> None:
    refused = await ecr.refused("InvalidParameter", "put_image", repositoryName="app", imageManifest=text)
    assert refused["Error"]["Message"].endswith(f"failed to satisfy constraint: '{constraint}'")


async def test_a_tag_moves_and_leaves_the_older_image_untagged(ecr: Ecr) -> None:
    one, two = await ecr.image("1"), await ecr.image("2")
    for text in (one, two):
        await ecr.put_image(repositoryName="app", imageManifest=text, imageTag="v1")
    untagged = await ecr.list_images(repositoryName="app", filter={"tagStatus": "UNTAGGED"})
    assert untagged["imageIds"] == [{"imageDigest": digest_of(one.encode())}]
    tagged = await ecr.list_images(repositoryName="app", filter={"tagStatus": "TAGGED"})
    assert tagged["imageIds"] == [{"imageDigest": digest_of(two.encode()), "imageTag": "v1"}]


async def test_an_immutable_tag_stays(ecr: Ecr) -> None:
    one, two = await ecr.image("1"), await ecr.image("2")
    await ecr.delete_repository(repositoryName="app", force=True)
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    created = await ecr.create_repository(
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
    )
    assert created["repository"]["imageTagMutabilityExclusionFilters"] == filters
    for seed in ("1", "2"):
        await ecr.image(seed)
    for tag in ("v1", "dev-1"):
        await ecr.put_image(repositoryName="app", imageManifest=one, imageTag=tag)
    put = {"repositoryName": "app", "imageManifest": two}
    refused = await ecr.refused("ImageTagAlreadyExists", "put_image", **put, imageTag="v1")
    assert refused["Error"]["Message"].endswith("cannot be overwritten because the tag is immutable.")
    await ecr.refused("ImageAlreadyExists", "put_image", repositoryName="app", imageManifest=one, imageTag="v1")
    await ecr.put_image(**put, imageTag="dev-1")


async def test_deleting_the_last_tag_deletes_the_image_but_not_its_layers(ecr: Ecr) -> None:
    text = await ecr.image()
    digest = digest_of(text.encode())
    for tag in ("v1", "v2"):
        await ecr.put_image(repositoryName="app", imageManifest=text, imageTag=tag)
    for tag in ("v1", "v2"):
        gone = await ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": tag}])
        assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": tag}]
    found = await ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": digest}])
    assert found["failures"][0]["failureCode"] == "ImageNotFound"
    layers = [layer["digest"] for layer in json.loads(text)["layers"]]
    kept = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=layers)
    assert {layer["layerAvailability"] for layer in kept["layers"]} == {"AVAILABLE"}


async def test_deleting_by_digest_takes_all_tags_but_no_child_of_an_index(ecr: Ecr) -> None:
    child = await ecr.image()
    for text, tag in ((child, "child"), (child, "same"), (index(child), "multi")):
        await ecr.put_image(repositoryName="app", imageManifest=text, imageTag=tag)
    name = {"imageDigest": digest_of(child.encode())}
    refused = await ecr.batch_delete_image(repositoryName="app", imageIds=[name])
    assert refused["failures"][0]["failureCode"] == "ImageReferencedByManifestList"
    ids = [{"imageTag": "multi"}, name]
    gone = await ecr.batch_delete_image(repositoryName="app", imageIds=ids)
    assert gone["failures"] == []
    assert gone["imageIds"][1:] == [name | {"imageTag": "child"}, name | {"imageTag": "same"}]


async def test_images_are_described(ecr: Ecr) -> None:
    child = await ecr.image()
    await ecr.put_image(repositoryName="app", imageManifest=child)
    await ecr.put_image(repositoryName="app", imageManifest=index(child), imageTag="multi")
    (found,) = (await ecr.describe_images(repositoryName="app", imageIds=[{"imageTag": "multi"}]))["imageDetails"]
    assert found["imageTags"] == ["multi"]
    assert found["imageSizeInBytes"] == len('{"1":1}') + len("1")
    assert (found["imageManifestMediaType"], found["imageStatus"]) == (OCI_INDEX, "ACTIVE")
    assert datetime.now(UTC) - found["imagePushedAt"] < timedelta(minutes=1)
    untagged = await ecr.describe_images(repositoryName="app", filter={"tagStatus": "UNTAGGED"})
    assert [detail["imageDigest"] for detail in untagged["imageDetails"]] == [digest_of(child.encode())]
    archived = await ecr.describe_images(repositoryName="app", filter={"imageStatus": "ARCHIVED"})
    assert archived["imageDetails"] == []
    refused = await ecr.refused("ImageNotFound", "describe_images", repositoryName="app", imageIds=[{"imageTag": "x"}])
    assert "{imageDigest:'null', imageTag:'x'}" in refused["Error"]["Message"]


async def test_lists_are_read_over_all_pages(ecr: Ecr) -> None:
    for name in ("b", "c"):
        await ecr.create_repository(repositoryName=f"app/{name}")
    pages = await ecr.pages("describe_repositories", 2)
    assert [[found["repositoryName"] for found in page["repositories"]] for page in pages] == [
        ["app", "app/b"],
        ["app/c"],
    ]
    texts = [await ecr.image(str(number)) for number in range(3)]
    for number, text in enumerate(texts):
        await ecr.put_image(repositoryName="app", imageManifest=text, imageTag=f"v{number}")
    await ecr.put_image(repositoryName="app", imageManifest=texts[0], imageTag="again")
    digests = sorted(digest_of(text.encode()) for text in texts)
    pages = await ecr.pages("describe_images", 1, repositoryName="app")
    assert [page["imageDetails"][0]["imageDigest"] for page in pages] == digests
    names = [name for page in await ecr.pages("list_images", 1, repositoryName="app") for name in page["imageIds"]]
    assert sorted(name["imageTag"] for name in names) == ["again", "v0", "v1", "v2"]
