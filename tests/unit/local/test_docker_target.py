"""A docker archive as a target: what `docker load` takes, under the names that it was given."""

import json
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from transfer import copy_image
from transfer.errors import InvalidLayout, InvalidManifest, InvalidReference
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.model.descriptor import OCI_MANIFEST, Platform
from transfer.model.platform import host_platform
from transfer.testing.images import BuiltImage, ImageBuilder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images.tar"


def listed(path: Path) -> list[dict[str, Any]]:
    with tarfile.open(path) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        found: list[dict[str, Any]] = json.loads(member.read())
        return found


def blob_path(image: BuiltImage, number: int) -> str:
    return f"blobs/sha256/{image.blobs[number].digest.encoded}"


async def test_an_image_is_listed_under_its_name_with_its_layers_as_they_are(path: Path, layout: ImageBuilder) -> None:
    image = layout.image()

    await copy_image(image.source, f"docker-archive:{path}:app:v1")

    names = [blob_path(image, number) for number in range(3)]
    assert listed(path) == [{"Config": names[0], "RepoTags": ["app:v1"], "Layers": names[1:]}]
    with tarfile.open(path) as archive:
        for blob in image.blobs:
            member = archive.extractfile(f"blobs/sha256/{blob.digest.encoded}")
            assert member is not None
            assert member.read() == image.content(blob)


async def test_many_images_share_an_archive_and_a_name_moves(path: Path, layout: ImageBuilder) -> None:
    shared = [layout.layer(5000, seed=9)]
    images = [layout.image([100], seed=number, layers=shared, tag=f"v{number}") for number in range(2)]

    await copy_image(images[0].source, f"docker-archive:{path}:app:v1")
    again = await copy_image(images[1].source, f"docker-archive:{path}:docker.io/library/app:v2")
    assert again.present.count == 1
    await copy_image(images[1].source, f"docker-archive:{path}:host.example/app")
    await copy_image(images[1].source, f"docker-archive:{path}:docker.io/library/app:v1")

    tags = [image["RepoTags"] for image in listed(path)]
    assert tags == [None, ["docker.io/library/app:v2", "host.example/app:latest", "docker.io/library/app:v1"]]


async def test_of_an_index_the_image_for_this_machine_is_taken(path: Path, layout: ImageBuilder) -> None:
    here = str(host_platform())
    index = layout.index((here, "linux/s390x"))

    await copy_image(index.source, f"docker-archive:{path}:app:v1")
    await copy_image(index.source, f"docker-archive:{path}:app:s390x", platforms=["linux/s390x"])

    configs = [json.loads(index.file(blob).read_bytes()) for blob in index.blobs if "config" in blob.media_type]
    by_name = {config["architecture"]: config for config in configs}
    with tarfile.open(path) as archive:
        for image in listed(path):
            member = archive.extractfile(image["Config"])
            assert member is not None
            wanted = "s390x" if image["RepoTags"] == ["app:s390x"] else here.split("/")[1]
            assert json.loads(member.read()) == by_name[wanted]


async def test_what_was_written_is_read_again(path: Path, layout: ImageBuilder) -> None:
    image = layout.image([3000])
    await copy_image(image.source, f"docker-archive:{path}:app:v1")

    async with DockerArchiveSource(path) as source:
        assert [name async for name in source.tags()] == ["app:v1"]
        manifest = await source.manifest(await source.resolve("app:v1"))
    assert manifest.config is not None
    assert manifest.config.digest == image.blobs[0].digest


@pytest.mark.parametrize("kind", ["an artifact", "foreign layers"])
async def test_what_docker_cannot_load_is_refused(path: Path, layout: ImageBuilder, kind: str) -> None:
    image = layout.image()
    if kind == "an artifact":
        broken = layout.referrer(image.root, tag="broken")
    else:
        layer = msgspec.structs.replace(
            image.blobs[1], media_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=("https://x",)
        )
        root = layout._document(OCI_MANIFEST, config=image.blobs[0], layers=[layer])
        broken = layout._listed(root, (), (), "broken")
    with pytest.raises(InvalidManifest, match="write an OCI archive"):
        await copy_image(broken.source, f"docker-archive:{path}:app:v1")
    assert not path.exists()


@pytest.mark.parametrize("name", ["App:v1", "app@sha256:" + "a" * 64, "app:v1:x", "a b"])
async def test_what_is_no_name_is_refused(path: Path, layout: ImageBuilder, name: str) -> None:
    with pytest.raises(InvalidReference):
        await copy_image(layout.image().source, f"docker-archive:{path}:{name}")


async def test_an_archive_of_another_kind_is_left_alone(path: Path, layout: ImageBuilder) -> None:
    image = layout.image()
    await copy_image(image.source, f"oci-archive:{path}:v1")
    before = path.read_bytes()

    with pytest.raises(InvalidLayout, match="cannot be appended to"):
        await copy_image(image.source, f"docker-archive:{path}:app:v1")
    assert path.read_bytes() == before


def test_the_platform_of_this_machine_is_normalized() -> None:
    assert host_platform() == Platform(os="linux", architecture=host_platform().architecture)
    assert host_platform().architecture not in {"x86_64", "aarch64"}
