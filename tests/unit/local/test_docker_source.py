"""docker save archives as a source: names, layers, manifests that are made, and what is refused."""

import gzip
import json
import os
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard

from tests.support.archives import (
    Saved,
    docker_archive,
    expected_image,
    layer_content,
    member,
    sha256,
    tar_of,
    tar_of_files,
    tar_of_folder,
)
from transfer.errors import ContentMismatch, InvalidConfig, InvalidLayout, TransferError
from transfer.local.archive.docker_documents import SavedImage, choose_image
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.layout.index import full_name
from transfer.model.descriptor import DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST, Descriptor
from transfer.model.manifest import Manifest
from transfer.testing.images import REF_NAME, ImageBuilder, encode

LAYERS = [layer_content(3_000_000, seed=1), layer_content(500, seed=2)]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "saved.tar"
    path.write_bytes(content)
    return path


async def image_of(path: Path, reference: str | None = None, **options: Any) -> Manifest:
    async with DockerArchiveSource(path, **options) as source:
        return await source.manifest(await source.resolve(reference))


async def read(source: DockerArchiveSource, blob: Descriptor) -> bytes:
    async with source.open_blob(blob) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_layers_are_compressed_and_the_manifest_is_made_the_same_each_time(
    tmp_path: Path, layout: ImageBuilder
) -> None:
    saved = Saved(LAYERS)
    expected = expected_image(layout, saved)
    path = written(tmp_path, docker_archive(saved))

    made = [(await image_of(path)).raw for _ in range(2)]

    assert made == [expected.content(expected.root)] * 2


async def test_the_digest_of_an_archive_does_not_change_with_a_release(tmp_path: Path) -> None:
    # Known bytes of zlib-ng 2.3.3, of this file's settings and of this module's JSON: a change here changes the
    # digests of everybody's images.
    manifest = await image_of(written(tmp_path, docker_archive(Saved([layer_content(2_500_000)]))))

    assert manifest.digest == "sha256:c28bbd41e69781cd53d66b14b2d81fc8b90c6cbc1a7ba601edc08c14e3949e6d"


async def test_layers_decompress_to_what_was_saved(tmp_path: Path) -> None:
    async with DockerArchiveSource(written(tmp_path, docker_archive(Saved(LAYERS)))) as source:
        manifest = await source.manifest(await source.resolve(None))

        assert [gzip.decompress(await read(source, layer)) for layer in manifest.layers] == LAYERS
        assert [layer.media_type for layer in manifest.layers] == ["application/vnd.oci.image.layer.v1.tar+gzip"] * 2


async def test_zstd_is_one_option_away(tmp_path: Path) -> None:
    path = written(tmp_path, docker_archive(Saved(LAYERS)))
    async with DockerArchiveSource(path, compression="zstd") as source:
        manifest = await source.manifest(await source.resolve(None))
        contents = [await read(source, layer) for layer in manifest.layers]

    assert [zstandard.ZstdDecompressor().decompressobj().decompress(content) for content in contents] == LAYERS
    assert {layer.media_type for layer in manifest.layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}


async def test_dockers_media_types_are_one_option_away(tmp_path: Path) -> None:
    manifest = await image_of(written(tmp_path, docker_archive(Saved(LAYERS))), docker_types=True)

    assert manifest.media_type == DOCKER_MANIFEST
    assert manifest.config is not None
    assert manifest.config.media_type == "application/vnd.docker.container.image.v1+json"
    assert {one.media_type for one in manifest.layers} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}


def test_zstd_with_dockers_media_types_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="zstd"):
        DockerArchiveSource(tmp_path / "x", compression="zstd", docker_types=True)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
async def test_layers_that_are_compressed_already_stay_as_they_are(tmp_path: Path, pack: Any) -> None:
    contents = [pack(layer) for layer in LAYERS]
    saved = Saved(contents, diff_ids=[sha256(layer) for layer in LAYERS])

    async with DockerArchiveSource(written(tmp_path, docker_archive(saved))) as source:
        manifest = await source.manifest(await source.resolve(None))

        assert [layer.digest for layer in manifest.layers] == [sha256(content) for content in contents]
        assert [await read(source, layer) for layer in manifest.layers] == contents


async def test_a_layer_that_two_images_share_is_compressed_once(tmp_path: Path) -> None:
    images = [Saved(LAYERS, tags=["app:v1"]), Saved(LAYERS, tags=["app:v2"], extra={"author": "other"})]
    async with DockerArchiveSource(written(tmp_path, docker_archive(*images))) as source:
        first = await source.manifest(await source.resolve("app:v1"))
        spooled = os.fstat(spool(source)).st_size
        second = await source.manifest(await source.resolve("app:v2"))

        assert first.digest != second.digest
        assert first.layers == second.layers
        assert os.fstat(spool(source)).st_size == spooled == sum(layer.size for layer in first.layers)


def spool(source: DockerArchiveSource) -> int:
    # Counting bytes on the disk is the only way to see that nothing was compressed twice.
    file = source._layers._spool
    assert file is not None
    return file.fileno()


async def test_one_layer_twice_in_an_image_is_named_twice(tmp_path: Path) -> None:
    config = Saved([LAYERS[1]] * 2).config
    name = f"{sha256(LAYERS[1]).partition(':')[2]}/layer.tar"
    listed = [{"Config": "c.json", "RepoTags": None, "Layers": [name, "twin/layer.tar"]}]
    members = [member(name, LAYERS[1]), member("twin/layer.tar", type=tarfile.SYMTYPE, linkname=f"../{name}")]
    path = written(
        tmp_path, tar_of([*members, member("c.json", config), member("manifest.json", json.dumps(listed).encode())])
    )

    manifest = await image_of(path)

    assert manifest.layers[0] == manifest.layers[1]


@pytest.mark.parametrize(
    "reference", ["app:v2", "docker.io/library/app:v2", "library/app:v2", "docker.io/app:v2", "v2", "IMAGE ID"]
)
async def test_an_image_is_found_by_every_name_that_docker_knows(tmp_path: Path, reference: str) -> None:
    wanted = Saved([LAYERS[1]], tags=["app:v2"])
    path = written(tmp_path, docker_archive(Saved([layer_content(9)], tags=["app:v1"]), wanted))

    manifest = await image_of(path, sha256(wanted.config) if reference == "IMAGE ID" else reference)

    assert manifest.config is not None
    assert manifest.config.digest == sha256(wanted.config)
    assert (await image_of(path, manifest.digest)).digest == manifest.digest


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:v1", "docker.io/library/app:v1"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("host:5000/app", "host:5000/app:latest"),
        ("host.example/a/b:v1", "host.example/a/b:v1"),
    ],
)
def test_names_are_completed_as_docker_does(text: str, name: str) -> None:
    assert full_name(text) == name


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (None, "no single image but 2 images"),
        ("app:v3", "no image 'app:v3', only 'app:v1', 'other:v1'"),
        ("v1", "'v1' for 2"),
    ],
)
def test_a_name_that_does_not_choose_one_image_lists_them(reference: str | None, words: str) -> None:
    images = [SavedImage(config=f"{tag}.json", layers=(), repo_tags=(tag,)) for tag in ("app:v1", "other:v1")]

    found = choose_image(images, reference)

    assert isinstance(found, str)
    assert words in found
    assert "docker-archive:PATH:NAME:TAG" in found


def test_an_image_without_a_tag_is_listed_by_its_config() -> None:
    images = [SavedImage(config=f"{number}.json", layers=()) for number in range(20)]

    found = choose_image(images, None)

    assert isinstance(found, str)
    assert "'0.json'" in found
    assert "and 10 more" in found


async def test_an_archive_of_docker_25_is_compressed_too(tmp_path: Path) -> None:
    # Its OCI layout holds the layers as they are saved, uncompressed.
    layout = ImageBuilder(tmp_path / "layout")
    saved = Saved(LAYERS)
    config = layout.blob(saved.config, OCI_CONFIG)
    layers = [layout.blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in LAYERS]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    root = layout.blob(encode(document), OCI_MANIFEST)
    names = {REF_NAME: "v1", "io.containerd.image.name": "docker.io/library/app:v1"}
    entry = {"mediaType": OCI_MANIFEST, "digest": root.digest, "size": root.size, "annotations": names}
    (layout.path / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": [entry]}))
    paths = [f"blobs/sha256/{one.digest.encoded}" for one in (config, *layers)]
    listed = [{"Config": paths[0], "RepoTags": ["app:v1"], "Layers": paths[1:]}]
    (layout.path / "manifest.json").write_text(json.dumps(listed))
    path = written(tmp_path, tar_of_folder(layout.path))
    old = tmp_path / "old.tar"
    old.write_bytes(docker_archive(saved))

    assert [(await image_of(path, name)).raw for name in (None, "app:v1")] == [(await image_of(old)).raw] * 2


@pytest.mark.parametrize("reference", [None, "v1", "app:v1", "docker.io/library/app:v1"])
async def test_a_layout_in_the_archive_is_taken_byte_for_byte(tmp_path: Path, reference: str | None) -> None:
    layout = ImageBuilder(tmp_path / "layout")
    image = layout.image(tag="docker.io/library/app:v1")

    manifest = await image_of(written(tmp_path, tar_of_folder(layout.path)), reference)

    assert manifest.raw == image.content(image.root)


GOOD = Saved([LAYERS[1]])
NAME = f"{sha256(LAYERS[1]).partition(':')[2]}/layer.tar"


def listing(**changed: object) -> bytes:
    return json.dumps([{"Config": "c.json", "RepoTags": ["app:v1"], "Layers": [NAME], **changed}]).encode()


def archive(**changed: bytes | None) -> bytes:
    files = {"c.json": GOOD.config, NAME: LAYERS[1], "manifest.json": listing(), **changed}
    return tar_of_files({name: content for name, content in files.items() if content is not None})


BAD = {
    "no manifest.json": archive(**{"manifest.json": None}),
    "a manifest.json that is an object": archive(**{"manifest.json": b"{}"}),
    "an empty manifest.json": archive(**{"manifest.json": b"[]"}),
    "a manifest.json of 5 MiB": archive(**{"manifest.json": b"[" + b" " * 5 * 1024 * 1024 + b"]"}),
    "a key twice": archive(**{"manifest.json": listing()[:-2] + b', "Config": "x"}]'}),
    "layers that are no list": archive(**{"manifest.json": listing(Layers="x")}),
    "a config outside": archive(**{"manifest.json": listing(Config="../../etc/passwd")}),
    "a config that is absolute": archive(**{"manifest.json": listing(Config="/etc/passwd")}),
    "a config that is missing": archive(**{"c.json": None}),
    "a config without diff_ids": archive(**{"c.json": b'{"rootfs": {}}'}),
    "a config of 5 MiB": archive(**{"c.json": GOOD.config + b" " * 5 * 1024 * 1024}),
    "a diff_id that is a path": archive(**{"c.json": b'{"rootfs": {"diff_ids": ["sha256:../x"]}}'}),
    "a layer too many": archive(**{"manifest.json": listing(Layers=[NAME, NAME])}),
    "a layer that is missing": archive(**{NAME: None}),
    "a layer compressed with xz": archive(**{NAME: b"\xfd7zXZ\0" + bytes(20)}),
    "a layer of damaged gzip": archive(**{NAME: gzip.compress(LAYERS[1])[:-9]}),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.attack("CVE-2023-25153")
async def test_an_archive_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    path = written(tmp_path, BAD[case])

    with pytest.raises(InvalidLayout) as caught:
        await image_of(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.side == "source"


@pytest.mark.parametrize("content", [LAYERS[0], gzip.compress(LAYERS[0], mtime=0), b"", LAYERS[1] + b"x"])
async def test_a_layer_with_another_digest_than_the_config_says_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ContentMismatch, match=sha256(LAYERS[1])) as caught:
        await image_of(written(tmp_path, archive(**{NAME: content})))

    assert caught.value.side == "source"


async def test_a_bad_image_does_not_spoil_the_others_of_the_archive(tmp_path: Path) -> None:
    bad = Saved([layer_content(2_000_000, seed=7)], tags=["bad:v1"], diff_ids=[sha256(b"other")])
    good = Saved(LAYERS, tags=["good:v1"])
    async with DockerArchiveSource(written(tmp_path, docker_archive(bad, good))) as source:
        with pytest.raises(TransferError):
            await source.resolve("bad:v1")
        manifest = await source.manifest(await source.resolve("good:v1"))

        assert [gzip.decompress(await read(source, layer)) for layer in manifest.layers] == LAYERS


async def test_compressing_stops_when_the_source_is_closed(tmp_path: Path) -> None:
    layer = Random(0).randbytes(1 << 20) * 30
    source = DockerArchiveSource(written(tmp_path, docker_archive(Saved([layer]))))
    async with source:
        source._stop.set()
        with pytest.raises(InvalidLayout, match="closed"):
            await source.resolve(None)
