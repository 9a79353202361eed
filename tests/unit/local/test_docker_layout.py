"""Archives that are `docker save`'s and OCI layouts at once, as docker 25 to 29 write them, and contradictions."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.archives import Saved, layer_content, sha256, tar_of_files
from transfer.errors import ContentMissing, InvalidLayout
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Platform
from transfer.model.manifest import Manifest
from transfer.testing.images import REF_NAME, ImageBuilder, encode

CONTAINERD_NAME = "io.containerd.image.name"
NAMES = {CONTAINERD_NAME: "docker.io/library/app:v1", REF_NAME: "v1"}
LAYERS = [layer_content(3000, seed=1), layer_content(500, seed=2)]
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/s390x")


class Files(dict[str, bytes]):
    """The members of an archive."""

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        digest = sha256(content)
        self[f"blobs/sha256/{digest.partition(':')[2]}"] = content
        return msgspec.convert(
            {"mediaType": media_type, "digest": digest, "size": len(content)},
            Descriptor,
            dec_hook=lambda kind, x: kind(x),
        )

    def list(self, roots: Sequence[Descriptor], saved: Sequence[dict[str, Any]]) -> None:
        named = [msgspec.structs.replace(root, annotations=NAMES) for root in roots]
        self["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
        self["index.json"] = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named})
        self["manifest.json"] = json.dumps(saved).encode()

    def write(self, folder: Path) -> Path:
        path = folder / "saved.tar"
        path.write_bytes(tar_of_files(self))
        return path


def saved(config: Descriptor, layers: Sequence[Descriptor], **members: Any) -> dict[str, Any]:
    paths = [f"blobs/sha256/{one.digest.encoded}" for one in (config, *layers)]
    return {"Config": paths[0], "RepoTags": ["app:v1"], "Layers": paths[1:], **members}


def manifest(config: Descriptor, layers: Sequence[Descriptor] | None) -> bytes:
    return encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})


def add_image(files: Files, contents: Sequence[bytes] = LAYERS, **config: str) -> tuple[Descriptor, list[Descriptor]]:
    """An image whose layers lie compressed in the archive."""
    layers = [files.blob(gzip.compress(content, mtime=0), OCI_LAYER_GZIP) for content in contents]
    return files.blob(Saved(contents, extra=config).config, OCI_CONFIG), layers


async def image_of(path: Path, reference: str | None = None) -> Manifest:
    async with DockerArchiveSource(path) as source:
        return await source.manifest(await source.resolve(reference))


@pytest.mark.parametrize("reference", [None, "v1", "app:v1", "docker.io/library/app:v1"])
@pytest.mark.parametrize("listed", ["no layers", "null", "one layer too few", "another layer", "another image"])
async def test_manifest_json_counts_where_the_index_contradicts_it(
    tmp_path: Path, listed: str, reference: str | None
) -> None:
    files = Files()
    config, layers = add_image(files)
    shown: dict[str, tuple[Descriptor, list[Descriptor] | None]] = {
        "no layers": (config, []),
        "null": (config, None),
        "one layer too few": (config, layers[:1]),
        "another layer": (config, [layers[0], files.blob(gzip.compress(b"other"), OCI_LAYER_GZIP)]),
        "another image": add_image(files, LAYERS[:1], author="other"),
    }
    files.list([files.blob(manifest(*shown[listed]), OCI_MANIFEST)], [saved(config, layers)])

    made = await image_of(files.write(tmp_path), reference)

    assert made.config is not None
    assert made.config.digest == config.digest
    assert [layer.digest for layer in made.layers] == [layer.digest for layer in layers]


async def test_where_both_agree_the_manifest_is_taken_as_it_is(tmp_path: Path) -> None:
    files = Files()
    config, layers = add_image(files)
    root = files.blob(manifest(config, layers), OCI_MANIFEST)
    files.list([root], [saved(config, layers)])

    assert (await image_of(files.write(tmp_path))).digest == root.digest


@pytest.mark.parametrize("members", [{"Layers": None}, {"Layers": []}])
@pytest.mark.parametrize("rootfs", [{"type": "layers"}, {"type": "layers", "diff_ids": None}, {"diff_ids": []}])
async def test_an_image_from_scratch_has_no_layers(
    tmp_path: Path, members: dict[str, Any], rootfs: dict[str, Any]
) -> None:
    files = Files()
    config = files.blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode(), OCI_CONFIG)
    files["manifest.json"] = json.dumps([saved(config, [], **members)]).encode()

    made = await image_of(files.write(tmp_path))

    assert (made.layers, made.config and made.config.digest) == ((), config.digest)


def save(layout: ImageBuilder, there: Sequence[str], *, nested: bool, attested: bool = False) -> Files:
    """What docker 29 saves of an index of which the machine has some platforms alone."""
    files = Files()
    children = [
        layout.image([1000, 10], seed=number, platform=_platform(name), tag=None)
        for number, name in enumerate(PLATFORMS)
    ]
    entries = [msgspec.structs.replace(child.root, annotations=None) for child in children]
    if attested:
        statement = layout.image([5], seed=99, platform=Platform(os="unknown", architecture="unknown"), tag=None)
        notes = {"vnd.docker.reference.digest": children[0].root.digest}
        entries.append(msgspec.structs.replace(statement.root, annotations=notes))
        children.append(statement)
    wanted = [child for child in children if str(child.root.platform) in (*there, "unknown/unknown")]
    index = layout.index_of(entries)
    roots = [layout.index_of([index.root]), index] if nested else [index]
    for image in (*wanted, *roots):
        for blob in (*image.manifests, *image.blobs):
            files[f"blobs/sha256/{blob.digest.encoded}"] = image.content(blob)
    files.list([roots[0].root], [saved(child.blobs[0], child.blobs[1:]) for child in wanted if child.blobs])
    return files


def _platform(name: str) -> Platform:
    os, architecture = name.split("/")
    return Platform(os=os, architecture=architecture)


@pytest.mark.parametrize("nested", [False, True], ids=["index", "index in an index"])
async def test_of_an_index_docker_saves_the_platforms_that_are_there(
    tmp_path: Path, layout: ImageBuilder, nested: bool
) -> None:
    one = save(layout, ["linux/arm64"], nested=nested).write(tmp_path)
    image = await image_of(one, "app:v1")
    assert (image.descriptor.is_index, len(image.layers)) == (False, 2)
    assert image.descriptor.platform == _platform("linux/arm64")

    two = save(layout, PLATFORMS[:2], nested=nested).write(tmp_path)
    assert [str(child.platform) for child in (await image_of(two)).manifests] == list(PLATFORMS[:2])

    files = save(layout, PLATFORMS, nested=nested)
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert (await image_of(files.write(tmp_path))).digest == root


async def test_an_attestation_goes_with_its_image_and_is_none_itself(tmp_path: Path, layout: ImageBuilder) -> None:
    attested = save(layout, PLATFORMS[:2], nested=True, attested=True).write(tmp_path)
    found = (await image_of(attested)).manifests
    assert [str(child.platform) for child in found] == [*PLATFORMS[:2], "unknown/unknown"]

    alone = save(layout, PLATFORMS[:1], nested=True, attested=True).write(tmp_path)
    image = await image_of(alone)
    assert (image.descriptor.is_index, str(image.descriptor.platform)) == (False, PLATFORMS[0])


async def test_an_index_of_which_nothing_is_there_is_refused(tmp_path: Path, layout: ImageBuilder) -> None:
    files = save(layout, [], nested=False)

    with pytest.raises(ContentMissing, match="no image of index"):
        await image_of(files.write(tmp_path))


@pytest.mark.attack("index-bombs")
async def test_indexes_that_name_each_other_come_to_an_end(tmp_path: Path, layout: ImageBuilder) -> None:
    files, deep = Files(), layout.image().root
    for _ in range(200):
        deep = layout.index_of([deep, deep]).root
        files[f"blobs/sha256/{deep.digest.encoded}"] = (layout.path / "blobs/sha256" / deep.digest.encoded).read_bytes()
    files.list([deep], [])

    with pytest.raises(InvalidLayout, match="no image of index"):
        await image_of(files.write(tmp_path))


async def test_as_an_oci_archive_the_manifests_are_read_as_they_are(tmp_path: Path, layout: ImageBuilder) -> None:
    path = save(layout, ["linux/arm64"], nested=True).write(tmp_path)

    async with OciArchiveSource(path) as source:
        root = await source.manifest(await source.resolve("v1"))
        with pytest.raises(ContentMissing, match="is missing"):
            await source.manifest((await source.manifest(root.manifests[0])).manifests[0])
