"""push_image into the embedded registry: what arrives, and what it cost, counted at the server."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from transfer import (
    AwsCredentials,
    ContentMismatch,
    CredentialsMissing,
    Engine,
    InvalidManifest,
    InvalidReference,
    NotFound,
    PushResult,
    Server,
    TagImmutable,
    TransferConfig,
    Unauthorized,
    open_ecr,
    push_image,
)
from transfer.events import BlobFinished, BlobProgress, Event, ManifestPushed, Planned
from transfer.model.digest import Digest
from transfer.registry.ecr.client import EcrClient
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024


def credentials(server: Server) -> AwsCredentials:
    return AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)


@pytest_asyncio.fixture
async def ecr(server: Server) -> AsyncIterator[EcrClient]:
    """A client of the embedded registry, with a repository `app`."""
    async with open_ecr(region="us-east-1", credentials=credentials(server)) as client:
        await client.create_repository(repositoryName="app")
        server.requests.clear()
        yield client


def operations(server: Server) -> Counter[str]:
    return Counter(record.operation for record in server.requests)


async def push(server: Server, image: BuiltImage, name: str = "app:v1", **options: object) -> PushResult:
    config = options.pop("config", None)
    assert config is None or isinstance(config, TransferConfig)
    async with Engine(config, credentials=credentials(server)) as engine:
        return await engine.push(image.source, f"{server.registry}/{name}", **options)  # type: ignore[arg-type]  # any


async def tags(ecr: EcrClient, repository: str = "app") -> dict[str, str]:
    return {
        i["imageTag"]: i["imageDigest"] async for i in ecr.list_images(repositoryName=repository) if "imageTag" in i
    }


async def test_a_hundred_blobs_cost_exactly_one_request_of_each_kind_they_need(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    image = layout.image([1000 + number for number in range(99)])
    result = await push(server, image)
    assert operations(server) == {
        "BatchGetImage": 1,
        "BatchCheckLayerAvailability": 1,
        "InitiateLayerUpload": 100,
        "UploadLayerPart": 100,
        "CompleteLayerUpload": 100,
        "PutImage": 1,
    }
    assert (result.uploaded.count, result.present.count, result.resumed.count) == (100, 0, 0)
    server.requests.clear()
    again = await push(server, image)
    assert operations(server) == {"BatchGetImage": 1}
    assert (again.uploaded.count, again.present.count, again.sent) == (0, 100, 0)
    assert again.digest == result.digest


async def test_every_byte_that_arrives_is_the_image_s(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.image([12 * MIB + 17, 5 * MIB, 100])
    result = await push(server, image)
    sent = sum(record.blob_bytes or 0 for record in server.requests.of("UploadLayerPart"))
    assert sent == sum(blob.size for blob in image.blobs) == result.sent
    stored = await ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert stored["images"][0]["imageManifest"].encode() == image.content(image.root)
    checked = await ecr.batch_check_layer_availability(
        repositoryName="app", layerDigests=[blob.digest for blob in image.blobs]
    )
    assert {(layer["layerDigest"], layer["layerSize"]) for layer in checked["layers"]} == {
        (blob.digest, blob.size) for blob in image.blobs
    }


async def test_an_index_is_pushed_whole_children_first(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.index(("linux/amd64", "linux/arm64", "linux/arm/v7"))
    result = await push(server, image)
    assert result.digest == image.root.digest
    assert result.reference == f"{server.registry}/app@{image.root.digest}"
    put = [(record.digest, record.tag) for record in server.requests.of("PutImage")]
    assert {digest for digest, _ in put[:-1]} == {one.digest for one in image.manifests[:-1]}
    assert put[-1] == (image.root.digest, "v1")
    assert await tags(ecr) == {"v1": image.root.digest}
    assert server.requests.count("InitiateLayerUpload") == len(image.blobs)


async def test_a_layer_named_twice_in_one_image_is_uploaded_once(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    layer = layout.layer(3000, seed=7)
    await push(server, layout.image([500], layers=[layer, layer]))
    assert server.requests.count("InitiateLayerUpload") == 3


async def test_two_pushes_at_once_in_one_engine_upload_a_shared_layer_once(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    shared = layout.layer(6 * MIB, seed=1)
    images = [layout.image([1000 + n], seed=n, tag=f"v{n}", layers=[shared]) for n in range(4)]
    async with Engine(credentials=credentials(server)) as engine:
        await asyncio.gather(*(engine.push(image.source, f"{server.registry}/app:{image.tag}") for image in images))
    assert server.requests.count("InitiateLayerUpload") == 1 + 2 * len(images)
    assert await tags(ecr) == {image.tag: image.root.digest for image in images}


async def test_an_engine_remembers_what_is_there(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    shared = layout.layer(2000, seed=1)
    first, second = layout.image([], tag="a", layers=[shared]), layout.image([10], seed=2, tag="b", layers=[shared])
    async with Engine(credentials=credentials(server)) as engine:
        await engine.push(first.source, f"{server.registry}/app:a")
        server.requests.clear()
        result = await engine.push(second.source, f"{server.registry}/app:b")
    assert result.present.count == 1
    assert server.requests.of("BatchCheckLayerAvailability")[0].status == 200
    assert server.requests.count("InitiateLayerUpload") == 2


async def test_more_than_a_hundred_blobs_are_asked_for_a_hundred_at_a_time(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    await push(server, layout.image([10 + number for number in range(230)]))
    assert server.requests.count("BatchCheckLayerAvailability") == 3


async def test_the_same_digest_under_an_immutable_tag_is_success(server: Server, layout: ImageBuilder) -> None:
    image = layout.image([1000])
    async with open_ecr(region="us-east-1", credentials=credentials(server)) as client:
        await client.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    await push(server, image)
    server.requests.clear()
    result = await push(server, image)
    assert result.present.count == len(image.blobs)
    assert operations(server) == {"BatchGetImage": 1}


async def test_another_digest_under_an_immutable_tag_is_refused_before_a_byte_is_sent(
    server: Server, layout: ImageBuilder
) -> None:
    first, second = layout.image([1000], tag="a"), layout.image([2000], seed=5, tag="b")
    async with open_ecr(region="us-east-1", credentials=credentials(server)) as client:
        await client.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        await push(server, first, "app:v1")
        server.requests.clear()
        with pytest.raises(TagImmutable, match=r"'v1'.*push under another tag"):
            await push(server, second, "app:v1")
        assert operations(server) == {"BatchGetImage": 1, "DescribeRepositories": 1}
        assert await tags(client) == {"v1": first.root.digest}


async def test_a_known_image_under_a_new_tag_sends_no_layer(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    image = layout.image([1000])
    await push(server, image)
    server.requests.clear()
    await push(server, image, "app:v2")
    assert operations(server) == {"BatchGetImage": 1, "PutImage": 1}
    assert await tags(ecr) == {"v1": image.root.digest, "v2": image.root.digest}


async def test_a_missing_repository_is_an_error_that_says_what_to_do(server: Server, layout: ImageBuilder) -> None:
    with pytest.raises(NotFound, match=r"'nowhere'.*--create-repository"):
        await push(server, layout.image([1000]), "nowhere:v1")
    assert operations(server) == {"BatchGetImage": 1}


async def test_a_missing_repository_is_created_when_asked_to(server: Server, layout: ImageBuilder) -> None:
    result = await push(server, layout.image([1000]), "team/new:v1", create_repository=True)
    assert result.uploaded.count == 2
    assert server.requests.count("CreateRepository") == 1


async def test_a_blob_with_other_content_is_refused_before_its_upload_completes(
    server: Server, ecr: EcrClient, layout: ImageBuilder
) -> None:
    image = layout.image([11 * MIB])
    damaged = image.file(image.blobs[1])
    with damaged.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"damage")
    with pytest.raises(ContentMismatch, match=damaged.name) as caught:
        await push(server, image)
    assert str(damaged) in str(caught.value)
    assert caught.value.side == "source"
    completed = [record.digest for record in server.requests.of("CompleteLayerUpload")]
    assert image.blobs[1].digest not in completed
    assert await tags(ecr) == {}


async def test_an_empty_blob_is_refused_with_a_reason(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    with pytest.raises(InvalidManifest, match="ECR cannot store an empty blob"):
        await push(server, layout.image([0]))


async def test_a_target_by_digest_must_be_the_source_s(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.image([1000])
    await push(server, image, f"app@{image.root.digest}")
    assert await tags(ecr) == {}
    with pytest.raises(ContentMismatch, match="the target asks for"):
        await push(server, image, f"app@{Digest.of(b'other')}")


async def test_a_target_without_tag_is_latest(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image = layout.image([1000])
    await push(server, image, "app")
    assert await tags(ecr) == {"latest": image.root.digest}


async def test_events_tell_the_whole_story_in_order(server: Server, ecr: EcrClient, layout: ImageBuilder) -> None:
    image, events = layout.image([11 * MIB, 1000]), list[Event]()
    await push(server, image, observer=events.append)
    assert events[0] == Planned(3, sum(b.size for b in image.blobs), 3, sum(b.size for b in image.blobs))
    offsets = [e.offset for e in events if isinstance(e, BlobProgress) and e.digest == image.blobs[1].digest]
    assert offsets == [10 * MIB, 11 * MIB]
    assert {e.descriptor.digest for e in events if isinstance(e, BlobFinished)} == {b.digest for b in image.blobs}
    assert events[-1] == ManifestPushed(image.root.digest, "v1")


async def test_the_environment_alone_is_enough(
    server: Server, ecr: EcrClient, layout: ImageBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    image = layout.image([1000])
    result = await push_image(image.source, f"{server.registry}/app:v1")
    assert await tags(ecr) == {"v1": result.digest}


async def test_wrong_keys_are_refused_as_such(server: Server, layout: ImageBuilder) -> None:
    image = layout.image([1000])
    for key, secret in (("transfer", "wrong-secret-value"), ("stranger", "transfer")):
        wrong = AwsCredentials(access_key_id=key, secret_access_key=secret, endpoint_url=server.url)
        with pytest.raises(Unauthorized) as caught:
            await push_image(image.source, f"{server.registry}/app:v1", credentials=wrong)
        assert "wrong-secret-value" not in str(caught.value)


async def test_no_credentials_is_an_error_of_its_own(layout: ImageBuilder) -> None:
    with pytest.raises(CredentialsMissing):
        await push_image(layout.image([10]).source, "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("containers-storage:x", "R/app:v1", "or an OCI image layout"),
        ("oci:X", "app:v1", "must start with a registry host"),
        ("oci:X", "R.evil.example/app:v1", "not an ECR registry"),
        ("oci:X", "R/App:v1", "not a repository name"),
        ("oci:X", "R/app:v 1", "not a tag"),
        ("oci:X", "R/app@sha256:12", "expected sha256:<64 hex digits>"),
    ],
)
async def test_what_is_misspelled_is_named(source: str, target: str, message: str, tmp_path: Path) -> None:
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    spelled = source.replace("X", str(tmp_path))
    with pytest.raises(InvalidReference, match=message):
        await push_image(spelled, target.replace("R", registry, 1))


async def test_a_docker_image_keeps_its_media_types(server: Server, ecr: EcrClient, tmp_path: Path) -> None:
    image = ImageBuilder(tmp_path / "docker", docker=True).image([1000])
    await push(server, image)
    stored = await ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert stored["images"][0]["imageManifestMediaType"] == json.loads(image.content(image.root))["mediaType"]


async def test_an_engine_that_is_entered_again_keeps_its_journal(
    server: Server, layout: ImageBuilder, tmp_path: Path
) -> None:
    state = tmp_path / "journal.sqlite"
    engine = Engine(TransferConfig(state_path=state), credentials=credentials(server))
    async with engine:
        pass
    assert not state.exists()
    async with engine:
        result = await engine.push(layout.image().source, f"{server.registry}/app:v1", create_repository=True)
    assert result.uploaded.count > 0
    assert state.exists()
