"""Copies from one ECR repository into another, counted at the server."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from transfer import AwsCredentials, Engine, InvalidReference, NotFound, Server, TransferConfig, open_ecr
from transfer.concurrency.retry import Retrier
from transfer.http.transport import Transport
from transfer.model.descriptor import Descriptor
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.source import EcrSource
from transfer.testing.images import ARTIFACT, BuiltImage, ImageBuilder

MIB = 1024 * 1024


def credentials(server: Server) -> AwsCredentials:
    return AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)


@pytest_asyncio.fixture
async def ecr(server: Server) -> AsyncIterator[EcrClient]:
    async with open_ecr(region="us-east-1", credentials=credentials(server)) as client:
        for name in ("source", "target"):
            await client.create_repository(repositoryName=name)
        yield client


async def copied(server: Server, image: BuiltImage, source: str = "source:v1", target: str = "target:v1") -> str:
    async with Engine(credentials=credentials(server)) as engine:
        await engine.push(image.source, f"{server.registry}/source:v1")
        server.requests.clear()
        return (await engine.copy(f"{server.registry}/{source}", f"{server.registry}/{target}")).digest


@asynccontextmanager
async def opened_source(server: Server) -> AsyncIterator[EcrSource]:
    config = TransferConfig()
    async with (
        open_ecr(region="us-east-1", credentials=credentials(server)) as client,
        Transport(config) as transport,
    ):
        yield EcrSource(client, transport, Retrier(config), registry_id="123456789012", repository="source")


def operations(server: Server) -> Counter[str]:
    return Counter(record.operation for record in server.requests)


async def test_an_image_is_copied_with_each_layer_read_once(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    image = layout.image([12 * MIB + 5, 1000])
    assert await copied(server, image) == image.root.digest
    asked = operations(server)
    assert asked.pop("DownloadLayer") > 3, "the large one is read in ranges"
    assert asked == {
        "BatchGetImage": 2,
        "BatchCheckLayerAvailability": 1,
        "GetDownloadUrlForLayer": 3,
        "InitiateLayerUpload": 3,
        "UploadLayerPart": 4,
        "CompleteLayerUpload": 3,
        "PutImage": 1,
    }
    read = sum(record.blob_bytes for record in server.requests.of("DownloadLayer"))
    assert read == sum(blob.size for blob in image.blobs)
    stored = await ecr.batch_get_image(repositoryName="target", imageIds=[{"imageTag": "v1"}])
    assert stored["images"][0]["imageManifest"].encode() == image.content(image.root)


async def test_an_index_is_copied_bit_for_bit(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.index()
    assert await copied(server, image) == image.root.digest
    put = {record.digest for record in server.requests.of("PutImage")}
    assert put == {manifest.digest for manifest in image.manifests}


async def test_an_image_is_copied_by_digest(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.image()
    assert await copied(server, image, f"source@{image.root.digest}", "target:by-digest") == image.root.digest


async def test_a_new_tag_in_the_same_repository_moves_no_layer(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    await copied(server, layout.image(), "source:v1", "source:v2")
    assert operations(server) == {"BatchGetImage": 2, "PutImage": 1}


async def test_an_image_onto_itself_is_refused(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    with pytest.raises(InvalidReference, match="the same image"):
        await copied(server, layout.image(), "source:v1", "source:v1")


async def test_an_image_that_is_not_there_is_named_with_its_side(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    with pytest.raises(NotFound, match="source has no image 'v9'") as caught:
        await copied(server, layout.image(), "source:v9")
    assert caught.value.side == "source"


async def test_an_address_that_expired_is_asked_for_again(layout: ImageBuilder) -> None:
    image = layout.image([3 * MIB])
    layer = image.blobs[1]
    async with Server(url_ttl=1) as server, opened_source(server) as source:
        async with Engine(credentials=credentials(server)) as engine:
            await engine.push(image.source, f"{server.registry}/source:v1", create_repository=True)
        read = await bytes_of(source, layer, 0, MIB)
        await asyncio.sleep(2.1)  # a URL counts in whole seconds
        read += await bytes_of(source, layer, MIB, layer.size)
    assert read == image.content(layer)
    assert server.requests.count("GetDownloadUrlForLayer") == 2
    assert [record.status for record in server.requests.of("DownloadLayer")] == [206, 403, 206]


async def bytes_of(source: EcrSource, layer: Descriptor, offset: int, end: int) -> bytes:
    async with source.open_blob(layer, offset=offset, end=end) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_referrers_are_listed_fifty_a_call_and_read_ten_a_call(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    image = layout.image()
    await copied(server, image)
    referrer = layout.referrer(image.root)
    await copied(server, referrer)
    document = json.loads(referrer.content(referrer.root))
    texts = [json.dumps(document | {"annotations": {"n": str(number)}}) for number in range(51)]
    for text in texts:
        await ecr.put_image(repositoryName="source", imageManifest=text)
    async with opened_source(server) as source:
        server.requests.clear()
        found = await source.referrers(image.root)
        read = [(await source.manifest(one)).raw.decode() for one in found if one.annotations]
        assert [tag async for tag in source.tags()] == ["v1"]
    assert sorted(read) == sorted(texts)
    assert {one.artifact_type for one in found} == {ARTIFACT}
    assert operations(server) == {"ListImageReferrers": 2, "BatchGetImage": 6, "ListImages": 1}
