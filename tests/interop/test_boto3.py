"""boto3, as it comes, against the embedded registry: all 17 operations, and the errors as its own classes."""

import asyncio
import base64
import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from transfer.server import Server

MIB = 1024 * 1024
ACCOUNT = "123456789012"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}'


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Ecr:
    """boto3's client, each call in a thread, so that the server's loop goes on."""

    def __init__(self, session: boto3.Session, server: Server, **changed: str) -> None:
        environment = server.environment
        options: dict[str, Any] = {
            "endpoint_url": environment["AWS_ENDPOINT_URL_ECR"],
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            "region_name": environment["AWS_REGION"],
        }
        self.client: Any = session.client("ecr", config=Config(retries={"total_max_attempts": 1}), **options | changed)
        self.exceptions = self.client.exceptions

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**parameters: Any) -> Any:
            return await asyncio.to_thread(getattr(self.client, operation), **parameters)

        return call

    async def pages(self, operation: str, size: int, **parameters: Any) -> list[Any]:
        paginator = self.client.get_paginator(operation)
        return await asyncio.to_thread(list, paginator.paginate(PaginationConfig={"PageSize": size}, **parameters))

    async def refused(self, name: str, operation: str, **parameters: Any) -> Any:
        """The answer to a call that must end in boto3's exception class of this name."""
        with pytest.raises(getattr(self.exceptions, f"{name}Exception")) as caught:
            await getattr(self, operation)(**parameters)
        return caught.value.response

    async def part(self, upload_id: str, first: int, content: bytes, repository: str = "app") -> Any:
        return await self.upload_layer_part(
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(content) - 1,
            layerPartBlob=content,
        )

    async def upload(self, content: bytes, repository: str = "app") -> str:
        upload_id = (await self.initiate_layer_upload(repositoryName=repository))["uploadId"]
        await self.part(upload_id, 0, content, repository)
        digest = digest_of(content)
        await self.complete_layer_upload(repositoryName=repository, uploadId=upload_id, layerDigests=[digest])
        return digest

    async def image(self, seed: str = "1") -> str:
        """Upload what an image needs and return its manifest."""
        blobs = [f'{{"{seed}":1}}'.encode(), seed.encode()]
        names = [{"mediaType": "application/x", "digest": await self.upload(b), "size": len(b)} for b in blobs]
        return manifest(names[0], *names[1:])


def manifest(config: dict[str, Any], *layers: dict[str, Any], **members: Any) -> str:
    named = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(named | members)


def index(*children: str) -> str:
    entries = [{"mediaType": OCI_MANIFEST, "digest": digest_of(c.encode()), "size": len(c)} for c in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as running:
        yield running


@pytest.fixture
def connect(session: boto3.Session, server: Server) -> Iterator[Callable[..., Ecr]]:
    opened: list[Ecr] = []

    def connect_(**changed: str) -> Ecr:
        opened.append(Ecr(session, server, **changed))
        return opened[-1]

    yield connect_
    for ecr in opened:
        ecr.client.close()


@pytest.fixture
async def ecr(connect: Callable[..., Ecr]) -> Ecr:
    """A client of a registry that has the repository `app`."""
    client = connect()
    await client.create_repository(repositoryName="app")
    return client


def fetch(url: str, **headers: str) -> tuple[int, bytes, Message]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


async def test_a_layer_of_three_parts_is_uploaded_by_hand(ecr: Ecr, server: Server) -> None:
    content = os.urandom(10 * MIB + 12345)
    started = await ecr.initiate_layer_upload(repositoryName="app")
    assert started["partSize"] == 10 * MIB
    for first in range(0, len(content), 5 * MIB):
        piece = content[first : first + 5 * MIB]
        reply = await ecr.part(started["uploadId"], first, piece)
        assert reply["lastByteReceived"] == first + len(piece) - 1
        assert (reply["registryId"], reply["repositoryName"]) == (ACCOUNT, "app")
    upload = {"repositoryName": "app", "uploadId": started["uploadId"]}
    digests = [f"sha256:{'0' * 64}", digest_of(content)]
    assert (await ecr.complete_layer_upload(**upload, layerDigests=digests))["layerDigest"] == digest_of(content)
    found = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[digest_of(content)])
    assert found["layers"][0]["layerSize"] == len(content)
    assert sum(record.blob_bytes for record in server.requests.of("UploadLayerPart")) == len(content)
    await ecr.refused("UploadNotFound", "complete_layer_upload", **upload, layerDigests=digests)


async def test_a_part_out_of_step_is_told_the_last_valid_byte(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        await ecr.part(upload_id, 3, b"abc")
    assert "lastValidByteReceived" not in caught.value.response
    await ecr.part(upload_id, 0, b"abc")
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        await ecr.part(upload_id, 0, b"abc")
    response: Any = caught.value.response
    assert response["Error"]["Message"] == "First byte of the layer part is 0 instead of 3"
    assert response["lastValidByteReceived"] == 2
    assert (response["registryId"], response["repositoryName"], response["uploadId"]) == (ACCOUNT, "app", upload_id)


async def test_complete_refuses_what_cannot_be_a_layer(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    complete = {"repositoryName": "app", "uploadId": upload_id, "layerDigests": [digest_of(b"other")]}
    await ecr.refused("EmptyUpload", "complete_layer_upload", **complete)
    await ecr.part(upload_id, 0, b"abc")
    refused = await ecr.refused("InvalidLayer", "complete_layer_upload", **complete)
    assert refused["Error"]["Message"].startswith("None of the provided layer digests match")
    await ecr.part(upload_id, 3, b"def")
    refused = await ecr.refused("LayerPartTooSmall", "complete_layer_upload", **complete)
    assert refused["Error"]["Message"] == "All layer parts except the last part should be at least 5MB"


async def test_an_upload_belongs_to_its_repository(ecr: Ecr) -> None:
    await ecr.create_repository(repositoryName="other")
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        await ecr.part(upload_id, 0, b"abc", repository="other")


async def test_a_layer_that_is_there_already_exists_once_per_repository(ecr: Ecr) -> None:
    await ecr.upload(b"layer")
    with pytest.raises(ecr.exceptions.LayerAlreadyExistsException):
        await ecr.upload(b"layer")
    await ecr.create_repository(repositoryName="other")
    await ecr.upload(b"layer", "other")


async def test_a_part_takes_20_mib_and_no_more(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    content = bytes(20 * MIB + 1)
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="layerPartBlob"):
        await ecr.part(upload_id, 0, content)
    assert (await ecr.part(upload_id, 0, content[:-1]))["lastByteReceived"] == 20 * MIB - 1


async def test_availability_is_answered_for_each_digest(ecr: Ecr) -> None:
    absent, present = digest_of(b"absent"), await ecr.upload(b"present")
    found = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[absent, present, "bad", ""])
    assert found["layers"] == [
        {"layerDigest": absent, "layerAvailability": "UNAVAILABLE"},
        {"layerDigest": present, "layerAvailability": "AVAILABLE", "layerSize": 7},
    ]
    codes = {failure["layerDigest"]: failure["failureCode"] for failure in found["failures"]}
    assert codes == {"bad": "InvalidLayerDigest", "": "MissingLayerDigest"}


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


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("describe_repositories", {"nextToken": "bad"}),
        ("describe_repositories", {"repositoryNames": ["app"], "maxResults": 5}),
        ("describe_repositories", {"maxResults": 1001}),
        ("describe_images", {"repositoryName": "app", "imageIds": [{"imageTag": "x"}], "nextToken": "x"}),
        ("describe_images", {"repositoryName": "app", "imageIds": [{}]}),
        ("list_images", {"repositoryName": "app", "nextToken": "bad"}),
        ("create_repository", {"repositoryName": "UPPER"}),
        ("create_repository", {"repositoryName": "mine", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}),
        ("set_repository_policy", {"repositoryName": "app", "policyText": "{}"}),
        ("initiate_layer_upload", {"repositoryName": "app", "registryId": "1"}),
        ("get_download_url_for_layer", {"repositoryName": "app", "layerDigest": "bad"}),
    ],
)
async def test_a_bad_parameter_is_refused(ecr: Ecr, operation: str, parameters: dict[str, Any]) -> None:
    await ecr.refused("InvalidParameter", operation, **parameters)


async def test_a_repository_has_its_names(ecr: Ecr) -> None:
    (found,) = (await ecr.describe_repositories(repositoryNames=["app"]))["repositories"]
    assert found["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
    assert found["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app"
    assert found["imageTagMutability"] == "MUTABLE"
    assert datetime.now(UTC) - found["createdAt"] < timedelta(minutes=1)
    refused = await ecr.refused("RepositoryAlreadyExists", "create_repository", repositoryName="app")
    words = f"The repository with name 'app' already exists in the registry with id '{ACCOUNT}'"
    assert refused["Error"]["Message"] == words


async def test_a_repository_that_is_not_empty_is_deleted_by_force_only(ecr: Ecr, server: Server) -> None:
    await ecr.put_image(repositoryName="app", imageManifest=await ecr.image())
    await ecr.refused("RepositoryNotEmpty", "delete_repository", repositoryName="app")
    deleted = await ecr.delete_repository(repositoryName="app", force=True)
    assert deleted["repository"]["repositoryName"] == "app"
    await ecr.refused("RepositoryNotFound", "list_images", repositoryName="app")


@pytest.mark.parametrize("names", [{"repositoryName": "absent"}, {"repositoryName": "app", "registryId": "1" * 12}])
async def test_an_unknown_repository_is_not_found(ecr: Ecr, names: dict[str, str]) -> None:
    refused = await ecr.refused("RepositoryNotFound", "initiate_layer_upload", **names)
    account = names.get("registryId", ACCOUNT)
    words = f"The repository with name '{names['repositoryName']}' does not exist in the registry with id '{account}'"
    assert refused["Error"]["Message"] == words


async def test_another_accounts_registry_is_out_of_bounds(ecr: Ecr) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await ecr.describe_repositories(registryId="1" * 12)


async def test_a_policy_is_set_read_and_deleted(ecr: Ecr) -> None:
    await ecr.refused("RepositoryPolicyNotFound", "get_repository_policy", repositoryName="app")
    await ecr.set_repository_policy(repositoryName="app", policyText=POLICY)
    assert (await ecr.get_repository_policy(repositoryName="app"))["policyText"] == POLICY
    assert (await ecr.delete_repository_policy(repositoryName="app"))["policyText"] == POLICY
    await ecr.refused("RepositoryPolicyNotFound", "delete_repository_policy", repositoryName="app")


async def test_a_token_is_for_this_registry_and_12_hours(ecr: Ecr, server: Server) -> None:
    (entry,) = (await ecr.get_authorization_token())["authorizationData"]
    user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert password
    assert timedelta(hours=11, minutes=59) < entry["expiresAt"] - datetime.now(UTC) <= timedelta(hours=12)
    assert entry["proxyEndpoint"] == server.url


async def test_a_layer_is_downloaded_whole_and_in_ranges(ecr: Ecr, server: Server) -> None:
    text = await ecr.image("content")
    await ecr.put_image(repositoryName="app", imageManifest=text)
    digest = json.loads(text)["layers"][0]["digest"]
    url = (await ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest))["downloadUrl"]
    status, body, headers = await asyncio.to_thread(fetch, url)
    assert (status, body, headers["Content-Length"], headers["Accept-Ranges"]) == (200, b"content", "7", "bytes")
    assert headers["ETag"]
    status, body, headers = await asyncio.to_thread(fetch, url, Range="bytes=2-4")
    assert (status, body, headers["Content-Range"]) == (206, b"nte", "bytes 2-4/7")
    assert (await asyncio.to_thread(fetch, url, Range="bytes=7-"))[0] == 416
    status, body, _ = await asyncio.to_thread(fetch, url, Authorization="Basic eDp5")
    assert status == 400
    assert b"<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed" in body
    assert (await asyncio.to_thread(fetch, url.replace("Expires=3600", "Expires=9999")))[0] == 403
    records = [(record.status, record.blob_bytes, record.digest) for record in server.requests.of("DownloadLayer")]
    assert records[:2] == [(200, 7, digest), (206, 3, digest)]


async def test_only_layers_of_an_image_have_a_url(ecr: Ecr) -> None:
    layer = await ecr.upload(b"layer")
    ask = {"repositoryName": "app", "layerDigest": layer}
    await ecr.refused("LayerInaccessible", "get_download_url_for_layer", **ask)
    absent = ask | {"layerDigest": digest_of(b"absent")}
    await ecr.refused("LayersNotFound", "get_download_url_for_layer", **absent)


async def test_a_url_expires(session: boto3.Session) -> None:
    async with Server(url_ttl=1) as server:
        ecr = Ecr(session, server)
        await ecr.create_repository(repositoryName="app")
        text = await ecr.image()
        await ecr.put_image(repositoryName="app", imageManifest=text)
        digest = json.loads(text)["config"]["digest"]
        url = (await ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest))["downloadUrl"]
        await asyncio.sleep(2.1)  # a URL counts in whole seconds
        status, body, headers = await asyncio.to_thread(fetch, url)
        ecr.client.close()
    assert status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in body
    assert headers["Content-Type"].startswith("application/xml")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "wrong"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
async def test_wrong_credentials_are_refused(
    connect: Callable[..., Ecr], server: Server, changed: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        await connect(**changed).create_repository(repositoryName="app")
    assert caught.value.response["Error"]["Code"] == code
    (record,) = server.requests
    assert (record.operation, record.status, record.code) == ("CreateRepository", 400, code)


async def test_any_credentials_do_without_authentication(session: boto3.Session) -> None:
    async with Server(auth=False) as server:
        ecr = Ecr(session, server, aws_access_key_id="any", aws_secret_access_key="thing", region_name="eu-west-1")
        await ecr.create_repository(repositoryName="app")
        ecr.client.close()
    assert server.requests.count("CreateRepository", 200) == 1


async def test_an_operation_that_the_registry_does_not_have_is_unknown(ecr: Ecr) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        await ecr.describe_registry()
