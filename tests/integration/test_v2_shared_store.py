"""One store behind both APIs of the embedded registry: what one is given, the other has."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.server_calls import Calls, Refused
from tests.support.v2_calls import V2, digest_of, image
from transfer.server import Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False) as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


@pytest.fixture
async def ecr(server: Server) -> AsyncIterator[Calls]:
    async with Calls(server.url) as calls:
        yield calls


async def test_an_image_pushed_at_v2_is_an_image_of_the_ecr_api(v2: V2, ecr: Calls) -> None:
    document = await v2.image("v1")
    (found,) = (await ecr("BatchGetImage", imageIds=[{"imageTag": "v1"}]))["images"]
    assert (found["imageManifest"].encode(), found["imageId"]["imageDigest"]) == (document, digest_of(document))
    assert await ecr.availability(digest_of(b"v1"), digest_of(b"absent")) == ["AVAILABLE", "UNAVAILABLE"]
    (detail,) = (await ecr("DescribeImages"))["imageDetails"]
    assert (detail["imageTags"], detail["imageSizeInBytes"]) == (["v1"], 4)
    assert (await ecr("DescribeRepositories"))["repositories"][0]["imageTagMutability"] == "MUTABLE"


async def test_an_image_pushed_by_the_ecr_api_is_pulled_at_v2(v2: V2, ecr: Calls) -> None:
    await ecr("CreateRepository")
    manifest = await ecr.image("v1")
    assert (await v2("GET", "app/manifests/v1")).body.decode() == manifest
    layer = json.loads(manifest)["layers"][0]["digest"]
    assert (await v2("GET", f"app/blobs/{layer}")).body == b"v1"
    assert (await v2("GET", "app/tags/list")).json["tags"] == ["v1"]


async def test_an_upload_goes_from_one_api_to_the_other(v2: V2, ecr: Calls) -> None:
    location = await v2.start()
    await v2("PATCH", location, b"one")
    upload_id = location.rpartition("/")[2]
    assert await ecr.part(upload_id, 3, b"two") == 6
    assert (await v2("GET", location)).headers["Range"] == "0-5"
    assert (await v2.finish(location, digest_of(b"onetwo"))).status == 201
    with pytest.raises(Refused, match="UploadNotFoundException"):
        await ecr.part(upload_id, 6, b"more")


async def test_any_manifest_of_v2_is_shown_by_the_ecr_api(v2: V2, ecr: Calls) -> None:
    kind = "application/vnd.example.thing.v1+json"
    await v2.manifest(b'{"any":"thing"}', "v1", kind=kind)
    (found,) = (await ecr("BatchGetImage", imageIds=[{"imageTag": "v1"}]))["images"]
    assert (found["imageManifest"], found["imageManifestMediaType"]) == ('{"any":"thing"}', kind)
    assert (await ecr("DescribeImages"))["imageDetails"][0]["imageSizeInBytes"] == 15


async def test_an_immutable_tag_stays_where_it_is(v2: V2, ecr: Calls) -> None:
    await ecr("CreateRepository", imageTagMutability="IMMUTABLE")
    document = await v2.image("v1")
    other = image(b"{}", annotations={"other": "one"})
    refused = await v2.manifest(other, "v1")
    assert (refused.status, refused.code) == (412, "PRECONDITION")
    assert (await v2.manifest(document, "v1")).status == 201
    assert (await v2("GET", f"app/manifests/{digest_of(other)}")).status == 404


async def test_a_deleted_repository_is_gone_at_v2(v2: V2, ecr: Calls) -> None:
    await v2.image("v1")
    await ecr("DeleteRepository", force=True)
    assert (await v2("GET", "app/manifests/v1")).code == "NAME_UNKNOWN"
    assert (await v2("GET", f"app/blobs/{digest_of(b'v1')}")).code == "NAME_UNKNOWN"


async def test_a_layer_url_leads_to_a_blob_of_v2(v2: V2, ecr: Calls) -> None:
    await v2.image("v1")
    url = (await ecr("GetDownloadUrlForLayer", layerDigest=digest_of(b"v1")))["downloadUrl"]
    async with v2.session.get(url) as reply:
        assert await reply.read() == b"v1"
