"""Images with layers appended: what is pushed, what is mounted, and what is refused."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.interop.test_skopeo_archives import real_image
from tests.support.archives import layer_content, member, sha256, tar_of
from tests.support.command import Command
from transfer import (
    Engine,
    InvalidConfig,
    InvalidManifest,
    InvalidReference,
    Server,
    TransferConfig,
    copy_image,
)
from transfer.endpoints.registry_access import RegistryAccess
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import OCI_CONFIG
from transfer.model.manifest import Manifest
from transfer.model.platform import host_platform
from transfer.testing.images import BuiltImage, ImageBuilder

ACCESS = RegistryAccess(login="transfer:transfer", plain_http=True)
TAR = layer_content(2000, seed=42)


async def appended(image: BuiltImage, out: Path, *layers: object, **options: Any) -> tuple[Manifest, dict[str, Any]]:
    await copy_image(image.source, f"oci:{out}:v2", append=[str(one) for one in layers], **options)
    source = LayoutSource(out)
    manifest = await source.manifest(await source.resolve("v2"))
    assert manifest.config is not None
    with source.open_file(manifest.config) as file:
        config: dict[str, Any] = json.loads(file.read())
    return manifest, config


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "folder"])
async def test_a_layer_is_appended_and_the_configuration_says_so(
    layout: ImageBuilder, tmp_path: Path, packing: str
) -> None:
    image, path = real_image(layout), tmp_path / "app"
    match packing:
        case "gzip":
            path.write_bytes(gzip.compress(TAR, mtime=0))
        case "zstd":
            path.write_bytes(zstandard.compress(TAR))
        case "folder":
            (path / "etc").mkdir(parents=True)
            (path / "etc" / "app.conf").write_text("x=1")
        case _:
            path.write_bytes(TAR)

    manifest, config = await appended(image, tmp_path / "out", path)
    again, _ = await appended(image, tmp_path / "again", path)

    assert manifest.digest == again.digest
    assert [one.digest for one in manifest.layers[:2]] == [one.digest for one in image.blobs[1:]]
    content = (tmp_path / "out" / "blobs" / "sha256" / manifest.layers[2].digest.encoded).read_bytes()
    plain = (
        zstandard.ZstdDecompressor().decompressobj().decompress(content)
        if packing == "zstd"
        else gzip.decompress(content)
    )
    assert config["rootfs"]["diff_ids"][2] == sha256(plain)
    assert len(config["rootfs"]["diff_ids"]) == 3
    assert manifest.layers[2].media_type.endswith("zstd" if packing == "zstd" else "gzip")
    assert b"etc/app.conf" in plain if packing == "folder" else plain == TAR


async def test_history_and_all_else_of_the_configuration_stay(layout: ImageBuilder, tmp_path: Path) -> None:
    base = real_image(layout)
    members = json.loads(base.content(base.blobs[0])) | {
        "history": [{"created_by": "a"}, {"created_by": "b"}],
        "x": "ü",
    }
    config = layout.blob(json.dumps(members).encode(), OCI_CONFIG)
    root = layout._document(base.root.media_type, config=config, layers=base.blobs[1:], annotations={"kept": "1"})
    image = layout._listed(root, (), (config, *base.blobs[1:]), "history")
    (tmp_path / "app.tar").write_bytes(TAR)

    manifest, found = await appended(image, tmp_path / "out", tmp_path / "app.tar")

    assert [one["created_by"] for one in found["history"]] == ["a", "b", "transfer append app.tar"]
    assert found["x"] == "ü"
    assert json.loads(manifest.raw)["annotations"] == {"kept": "1"}


async def test_the_layers_of_the_base_are_mounted_and_never_read(layout: ImageBuilder, tmp_path: Path) -> None:
    image = real_image(layout)
    (tmp_path / "app.tar").write_bytes(TAR)
    async with Server() as server:
        host = server.url.removeprefix("http://")
        async with Engine(TransferConfig(journal=False)) as engine:
            await engine.push(image.source, f"{host}/team/base:v1", target_access=ACCESS)
            before = len(server.requests)
            result = await engine.copy(
                f"{host}/team/base:v1",
                f"{host}/team/app:v1",
                append=[str(tmp_path / "app.tar")],
                source_access=ACCESS,
                target_access=ACCESS,
            )
        records = server.requests[before:]
    assert (result.mounted.count, result.uploaded.count) == (2, 2)
    read = [record.digest for record in records if record.operation == "GetBlob" and record.status == 200]
    assert read == [image.blobs[0].digest]


async def test_of_an_index_the_image_for_a_platform_is_the_base(layout: ImageBuilder, tmp_path: Path) -> None:
    here = str(host_platform())
    index = layout.index((here, "linux/s390x"))
    (tmp_path / "app.tar").write_bytes(TAR)

    _, config = await appended(index, tmp_path / "one", tmp_path / "app.tar")
    _, other = await appended(index, tmp_path / "two", tmp_path / "app.tar", platforms=["linux/s390x"])

    assert (config["architecture"], other["architecture"]) == (here.split("/")[1], "s390x")


NO_LAYERS = {
    "missing": None,
    "no tar": b"no tar" * 200,
    "gzip cut short": gzip.compress(TAR, mtime=0)[:-9],
    "gzip of no tar": gzip.compress(b"no tar" * 200, mtime=0),
    "bzip2 of nothing": b"BZh91AY&SY" + bytes(100),
    "tar cut short": tar_of([member("a", b"x" * 5000)])[:3000],
}


@pytest.mark.parametrize("content", NO_LAYERS.values(), ids=NO_LAYERS)
async def test_what_is_no_layer_is_refused(layout: ImageBuilder, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "app.tar").write_bytes(content)
    with pytest.raises(InvalidReference, match=r"app\.tar") as caught:
        await appended(real_image(layout), tmp_path / "out", tmp_path / "app.tar")
    assert "\n" not in str(caught.value)


async def test_zstd_has_no_name_among_docker_s_media_types(tmp_path: Path) -> None:
    image = ImageBuilder(tmp_path / "docker", docker=True).image()
    (tmp_path / "app").write_bytes(zstandard.compress(TAR))
    with pytest.raises(InvalidConfig, match="zstd"):
        await appended(image, tmp_path / "out", tmp_path / "app")


async def test_an_artifact_is_no_base(layout: ImageBuilder, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(TAR)
    artifact = layout.referrer(layout.image().root, tag="sig")
    with pytest.raises(InvalidManifest, match="no container image"):
        await appended(artifact, tmp_path / "out", tmp_path / "app.tar")


def test_the_command_appends_tars_and_folders(command: Command, layout: ImageBuilder, tmp_path: Path) -> None:
    image = real_image(layout)
    (tmp_path / "app.tar").write_bytes(TAR)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "hello").write_text("hi")
    os.chmod(tmp_path / "root" / "hello", 0o700)  # noqa: PTH101 - as people do

    printed = command.ok("append", image.source, tmp_path / "app.tar", tmp_path / "root", f"oci:{tmp_path / 'out'}:v2")

    assert printed.startswith("oci:")
    raw = command.ok("inspect", f"oci:{tmp_path / 'out'}:v2", "--json")
    assert raw.count("image.layer.v1.tar+gzip") == 4
