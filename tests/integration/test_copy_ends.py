"""Copies between ends of different kinds, through the embedded registry's two APIs, counted at the server."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from transfer import AwsCredentials, Engine, Server, TransferConfig, TransferError, copy_image, pull_image, push_image
from transfer.endpoints.registry_access import RegistryAccess
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
LOGIN = RegistryAccess(login="transfer:transfer")


@pytest.fixture
def engine(server: Server) -> Engine:
    credentials = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
    return Engine(TransferConfig(backoff_base=0.01), credentials=credentials)


@pytest.fixture
def host(server: Server) -> str:
    """The embedded registry as docker would name it."""
    return server.url.removeprefix("http://")


def operations(server: Server) -> Counter[str]:
    return Counter(record.operation for record in server.requests)


def digests(path: Path) -> set[str]:
    return {file.name for file in (path / "blobs" / "sha256").iterdir()}


@pytest.mark.parametrize("shape", ["image", "index"])
async def test_an_image_goes_through_every_kind_of_end_and_stays_what_it_was(
    shape: str, server: Server, engine: Engine, host: str, layout: ImageBuilder, tmp_path: Path
) -> None:
    image: BuiltImage = layout.image([3 * MIB, 1000]) if shape == "image" else layout.index()
    way = [image.source, f"{host}/first/app:v1", f"{server.registry}/second/app:v1", f"{host}/third/app:v1"]
    way += [f"oci-archive:{tmp_path / 'image.tar'}:v1", f"oci:{tmp_path / 'out'}:v1"]
    async with engine:
        for source, target in pairwise(way):
            copied = await engine.copy(source, target, source_access=LOGIN, target_access=LOGIN, create_repository=True)
            assert copied.digest == image.root.digest
            # The engine knows what it has put into another repository of the registry.
            assert {blob.status for blob in copied.blobs} == {"mounted" if "/third/" in target else "uploaded"}
    assert digests(tmp_path / "out") == digests(image.path)
    for name in digests(image.path):
        assert (tmp_path / "out/blobs/sha256" / name).read_bytes() == (image.path / "blobs/sha256" / name).read_bytes()


async def test_blobs_are_mounted_within_a_registry_and_nothing_is_sent(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    image = layout.image([MIB, 1000])
    async with engine:
        await engine.copy(image.source, f"{host}/first/app:v1", target_access=LOGIN)
        server.requests.clear()
        copied = await engine.copy(
            f"{host}/first/app:v1", f"{host}/second/app:v1", source_access=LOGIN, target_access=LOGIN
        )
    assert (copied.mounted.count, copied.sent) == (3, 0)
    asked = operations(server)
    assert asked["MountBlob"] == 3
    assert not any("GetBlob" in name or "Upload" in name for name in asked), asked


async def test_an_image_that_is_there_costs_one_question_for_its_tag(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    image = layout.image()
    async with engine:
        await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
        server.requests.clear()
        again = await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
    assert again.present.count == 3
    assert {name: count for name, count in operations(server).items() if name != "Ping"} == {"HeadManifest": 1}


async def test_a_repository_without_tags_is_asked_for_large_blobs_alone(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    image = layout.image([1000] * 12 + [MIB], tag="v1")
    async with engine:
        copied = await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
    assert copied.uploaded.count == 14
    answered = Counter(record.operation for record in server.requests if record.status != 401)
    assert answered == {
        "HeadManifest": 1,
        "ListTags": 1,
        "HeadBlob": 1,
        "PostUpload": 14,
        "PutUpload": 14,
        "PutManifest": 1,
    }


async def test_a_repository_is_asked_once_whether_it_has_tags(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    images = [layout.image([1000] * 8, tag=f"v{number}", seed=number) for number in range(3)]
    async with engine:
        for image in images:
            await engine.copy(image.source, f"{host}/app:{image.tag}", target_access=LOGIN)
    assert operations(server)["ListTags"] == 1
    assert operations(server)["HeadBlob"] == 0


async def test_a_few_small_blobs_are_asked_for_each(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    image = layout.image([1000] * 6)
    async with engine:
        await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
    assert (operations(server)["ListTags"], operations(server)["HeadBlob"]) == (0, 7)


async def test_a_repository_with_tags_is_asked_for_every_blob(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    first, second = layout.image([1000], tag="one", seed=1), layout.image([1000] * 9, tag="two", seed=2)
    async with engine:
        for image in (first, second):
            await engine.copy(image.source, f"{host}/app:{image.tag}", target_access=LOGIN)
    assert (operations(server)["ListTags"], operations(server)["HeadBlob"]) == (1, 2 + 10)


async def test_large_blobs_that_lie_without_a_tag_are_not_sent_again(
    server: Server, host: str, layout: ImageBuilder
) -> None:
    image = layout.image([MIB, MIB + 1] + [1000] * 7)
    config = TransferConfig(backoff_base=0.01, journal=False)
    async with Engine(config) as engine:
        await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
        await engine.delete(f"{host}/app@{image.root.digest}", access=LOGIN)
    server.requests.clear()
    async with Engine(config) as engine:
        copied = await engine.copy(image.source, f"{host}/app:v1", target_access=LOGIN)
    assert (copied.uploaded.count, copied.present.count) == (8, 2)
    assert (operations(server)["HeadBlob"], copied.sent < 10_000) == (2, True)


async def test_a_wrong_login_is_refused_with_its_side(
    server: Server, engine: Engine, host: str, layout: ImageBuilder
) -> None:
    image, wrong = layout.image(), RegistryAccess(login="transfer:canary-83f1")
    async with engine:
        with pytest.raises(TransferError) as caught:
            await engine.copy(image.source, f"{host}/app:v1", target_access=wrong)
    assert caught.value.side == "target"
    assert "canary-83f1" not in f"{caught.value!r}{getattr(caught.value, '__notes__', '')}"
    assert server.requests.count("PutManifest", 201) == 0


async def test_ecr_mounts_by_its_docker_endpoint(server: Server, engine: Engine, layout: ImageBuilder) -> None:
    image, registry = layout.image([MIB, 1000]), server.registry
    async with engine:
        await engine.copy(image.source, f"{registry}/first/app:v1", create_repository=True)
        server.requests.clear()
        copied = await engine.copy(f"{registry}/first/app:v1", f"{registry}/second/app:v1", ecr_protocol="registry")
    assert (copied.mounted.count, copied.sent, copied.digest) == (3, 0, image.root.digest)
    asked = operations(server)
    assert (asked["MountBlob"], asked["GetDownloadUrlForLayer"], asked["UploadLayerPart"]) == (3, 0, 0)


async def test_an_image_is_pushed_copied_and_pulled_by_one_call_each_with_the_same_options(
    server: Server, host: str, layout: ImageBuilder, tmp_path: Path
) -> None:
    keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
    image = layout.index()
    pushed = await push_image(image.source, f"{server.registry}/app:v1", credentials=keys, create_repository=True)
    copied = await copy_image(f"{server.registry}/app:v1", f"{host}/app:v2", credentials=keys, target_access=LOGIN)
    pulled = await pull_image(
        f"{host}/app:v2", f"oci:{tmp_path / 'out'}:v2", source_access=LOGIN, platforms=["linux/arm64"]
    )
    assert (pushed.digest, copied.digest) == (image.root.digest, image.root.digest)
    assert pulled.reference == f"oci:{tmp_path / 'out'}@{pulled.digest}"
    assert digests(tmp_path / "out") < digests(image.path)
