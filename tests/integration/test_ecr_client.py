"""The ECR client and the embedded registry: the named operations, from end to end, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from itertools import pairwise

import pybase64
import pytest
import pytest_asyncio

from transfer.config import TransferConfig
from transfer.errors import NotFound, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest
from transfer.http.transport import Transport
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from transfer.registry.ecr.client import EcrClient, open_ecr
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.server import Server

PART = 5 * 1024 * 1024


@pytest_asyncio.fixture
async def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcrClient]:
    """A client that knows of the registry what `transfer serve` says to export."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    async with open_ecr(config=TransferConfig(max_attempts=2)) as client:
        yield client


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


async def upload(client: EcrClient, content: bytes, *, part_size: int = PART) -> str:
    """Upload a layer by hand, part after part."""
    upload_id = (await client.initiate_layer_upload(repositoryName="app"))["uploadId"]
    bounds = [*range(0, len(content), part_size), len(content)]
    for first, end in pairwise(bounds):
        await client.upload_layer_part(
            repositoryName="app",
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=end - 1,
            layerPartBlob=content[first:end],
        )
    reply = await client.complete_layer_upload(
        repositoryName="app", uploadId=upload_id, layerDigests=[digest_of(content)]
    )
    return reply["layerDigest"]


async def put_image(client: EcrClient, layer: bytes, tag: str, *, note: str = "") -> str:
    """Put an image of one layer that is there, with a config of its own."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "author": note}).encode()
    await upload(client, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": OCI_LAYER_GZIP, "digest": digest_of(layer), "size": len(layer)}],
    }
    reply = await client.put_image(repositoryName="app", imageManifest=json.dumps(manifest), imageTag=tag)
    return reply["image"]["imageId"]["imageDigest"]


async def test_a_layer_of_three_parts_arrives_and_comes_back_through_its_url(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    layer = bytes(range(256)) * (11 * 4096)
    assert await upload(client, layer) == digest_of(layer)
    await put_image(client, layer, "v1")
    reply = await client.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(layer))
    request = HttpRequest("GET", reply["downloadUrl"], {"Range": "bytes=5-"})
    async with Transport() as transport, transport.stream(request, what="layer") as stream:
        assert stream.status == 206
        assert b"".join([chunk async for chunk in stream.chunks]) == layer[5:]


async def test_a_part_that_is_built_beforehand_is_taken(client: EcrClient, server: Server) -> None:
    await client.create_repository(repositoryName="app")
    upload_id = (await client.initiate_layer_upload(repositoryName="app"))["uploadId"]
    members = {"repositoryName": "app", "uploadId": upload_id, "partFirstByte": 0, "partLastByte": 2}
    head, blob = json.dumps(members).encode()[:-1] + b',"layerPartBlob":"', pybase64.b64encode(b"abc")
    chunks = (head, blob, b'"}')
    body = RequestBody(chunks)
    assert (await client.send_layer_part(body))["lastByteReceived"] == 2
    (record,) = server.requests.of("UploadLayerPart")
    assert (record.status, record.blob_bytes) == (200, 3)


async def test_a_part_out_of_order_tells_where_to_go_on(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    upload_id = (await client.initiate_layer_upload(repositoryName="app"))["uploadId"]
    await client.upload_layer_part(
        repositoryName="app", uploadId=upload_id, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc"
    )
    with pytest.raises(RegistryError) as caught:
        await client.upload_layer_part(
            repositoryName="app", uploadId=upload_id, partFirstByte=9, partLastByte=9, layerPartBlob=b"x"
        )
    assert (caught.value.code, caught.value.details["lastValidByteReceived"]) == ("InvalidLayerPartException", 2)


async def test_an_upload_that_is_not_known_is_lost(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    with pytest.raises(UploadLost):
        await client.complete_layer_upload(
            repositoryName="app", uploadId="00000000-0000-0000-0000-000000000000", layerDigests=[digest_of(b"")]
        )


async def test_repositories_are_made_listed_page_by_page_and_deleted(client: EcrClient) -> None:
    for number in range(5):
        await client.create_repository(repositoryName=f"app/{number}")
    found = [one["repositoryName"] async for one in client.describe_repositories(maxResults=2)]
    assert sorted(found) == [f"app/{number}" for number in range(5)]
    await client.delete_repository(repositoryName="app/3", force=True)
    assert len([one async for one in client.describe_repositories()]) == 4


async def test_images_are_listed_described_fetched_and_deleted(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    await upload(client, b"layer")
    digests = {tag: await put_image(client, b"layer", tag, note=tag) for tag in ("a", "b", "c")}
    listed = {
        one["imageTag"]: one["imageDigest"] async for one in client.list_images(repositoryName="app", maxResults=1)
    }
    described = [one["imageDigest"] async for one in client.describe_images(repositoryName="app", maxResults=2)]
    assert listed == digests
    assert sorted(described) == sorted(digests.values())
    reply = await client.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "a"}, {"imageTag": "z"}])
    assert digest_of(reply["images"][0]["imageManifest"].encode()) == digests["a"]
    assert reply["failures"][0]["failureCode"] == "ImageNotFound"
    await client.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "a"}])
    assert {one["imageTag"] async for one in client.list_images(repositoryName="app")} == {"b", "c"}


async def test_availability_is_told_for_each_layer(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    await upload(client, b"layer")
    reply = await client.batch_check_layer_availability(
        repositoryName="app", layerDigests=[digest_of(b"layer"), digest_of(b"other")]
    )
    answers = {one["layerDigest"]: one["layerAvailability"] for one in reply["layers"]}
    assert answers[digest_of(b"layer")] == "AVAILABLE"
    assert answers.get(digest_of(b"other"), "UNAVAILABLE") == "UNAVAILABLE"


async def test_a_policy_is_set_read_and_deleted(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app")
    statement = {"Sid": "pull", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await client.set_repository_policy(repositoryName="app", policyText=text)
    assert json.loads((await client.get_repository_policy(repositoryName="app"))["policyText"]) == json.loads(text)
    await client.delete_repository_policy(repositoryName="app")
    with pytest.raises(NotFound):
        await client.get_repository_policy(repositoryName="app")


async def test_a_token_says_for_which_registry_and_until_when(client: EcrClient, server: Server) -> None:
    (data,) = (await client.get_authorization_token())["authorizationData"]
    assert server.registry in data["proxyEndpoint"] or server.url == data["proxyEndpoint"]
    assert data["expiresAt"].tzinfo is not None


async def test_an_immutable_tag_does_not_move(client: EcrClient) -> None:
    await client.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    await upload(client, b"layer")
    await put_image(client, b"layer", "v1")
    with pytest.raises(TagImmutable):
        await put_image(client, b"layer", "v1", note="another")


async def test_a_repository_that_does_not_exist_says_what_to_do(client: EcrClient) -> None:
    with pytest.raises(NotFound, match="create it, or push with --create-repository"):
        await client.initiate_layer_upload(repositoryName="nothing-here")


async def test_a_wrong_secret_is_refused_and_not_tried_again(server: Server) -> None:
    keys = AwsCredentials(
        access_key_id="transfer", secret_access_key="canary-7d1f", region="us-east-1", endpoint_url=server.url
    )
    async with open_ecr(credentials=keys) as client:
        with pytest.raises(
            Unauthorized, match="check the secret access key, the region and this machine's clock"
        ) as caught:
            await client.call("DescribeRepositories")
    assert "canary" not in str(caught.value)
    assert len(server.requests) == 1


async def test_a_hundred_calls_at_once_share_connections_and_all_succeed(client: EcrClient, server: Server) -> None:
    await client.create_repository(repositoryName="app")
    replies = await asyncio.gather(*(client.initiate_layer_upload(repositoryName="app") for _ in range(100)))
    assert len({reply["uploadId"] for reply in replies}) == 100
    assert server.requests.count("InitiateLayerUpload") == 100
