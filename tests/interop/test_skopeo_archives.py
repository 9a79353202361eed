"""skopeo reads the layouts and archives that are written here, and what it writes is read here."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.archives import layer_content, packed, sha256
from tests.support.local_writer import copy
from transfer.engine.protocols import Source
from transfer.local.archive.docker_source import DockerArchiveSource
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from transfer.model.manifest import Manifest
from transfer.testing.images import BuiltImage, ImageBuilder, blob_file

SKOPEO = shutil.which("skopeo")
pytestmark = pytest.mark.skipif(SKOPEO is None, reason="needs skopeo: apt-get install -y skopeo")


def skopeo(*arguments: str | Path) -> bytes:
    command = [SKOPEO or "", "--insecure-policy", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def real_image(layout: ImageBuilder, *, seed: int = 0, tag: str = "v1") -> BuiltImage:
    """An image whose layers are tars, as programs need them that look inside."""
    contents = [layer_content(300_000, seed=seed), layer_content(2000, seed=seed + 1000)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(content) for content in contents]},
    }
    blobs = [
        layout.blob(json.dumps(config).encode(), OCI_CONFIG),
        *(layout.blob(packed(content), OCI_LAYER_GZIP) for content in contents),
    ]
    return layout._listed(layout._document(OCI_MANIFEST, config=blobs[0], layers=blobs[1:]), (), tuple(blobs), tag)


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return real_image(layout)


async def contents_of(source: Source, reference: str | None) -> tuple[Manifest, list[bytes]]:
    manifest = await source.manifest(await source.resolve(reference))
    found = []
    for blob in manifest.blobs:
        async with source.open_blob(blob) as pieces:
            found.append(b"".join([piece async for piece in pieces]))
    return manifest, found


@pytest.mark.parametrize(("kind", "transport"), [("layout", "oci"), ("archive", "oci-archive")])
async def test_skopeo_copies_every_image_out_of_what_was_written_here(
    layout: ImageBuilder, tmp_path: Path, kind: str, transport: str
) -> None:
    images = [real_image(layout, seed=number, tag=f"v{number}") for number in range(3)]
    path = tmp_path / "target"
    for one in images:
        await copy(kind, LayoutSource(layout.path), str(one.tag), path)

    for one in images:
        skopeo("copy", f"{transport}:{path}:{one.tag}", f"dir:{tmp_path / str(one.tag)}")
        files = [(tmp_path / str(one.tag) / blob.digest.encoded).read_bytes() for blob in one.blobs]
        assert files == [one.content(blob) for blob in one.blobs]
        assert (tmp_path / str(one.tag) / "manifest.json").read_bytes() == one.content(one.root)


@pytest.mark.parametrize(("kind", "transport"), [("layout", "oci"), ("archive", "oci-archive")])
async def test_skopeo_copies_an_index_out_of_what_was_written_here(
    layout: ImageBuilder, tmp_path: Path, kind: str, transport: str
) -> None:
    index = layout.index(sizes=(1000, 2000))
    await copy(kind, LayoutSource(layout.path), "v1", tmp_path / "target")

    skopeo("copy", "--all", f"{transport}:{tmp_path / 'target'}:v1", f"dir:{tmp_path / 'out'}")

    assert (tmp_path / "out" / "manifest.json").read_bytes() == index.content(index.root)


async def test_an_archive_of_skopeo_is_read_here_and_appended_to(image: BuiltImage, tmp_path: Path) -> None:
    path, other = tmp_path / "skopeo.tar", real_image(ImageBuilder(tmp_path / "other"), seed=5, tag="other")
    skopeo("copy", f"oci:{image.path}:v1", f"oci-archive:{path}:theirs")

    async with OciArchiveSource(path) as source:
        manifest, contents = await contents_of(source, "theirs")
    await copy("archive", LayoutSource(other.path), "other", path)

    assert manifest.raw == image.content(image.root)
    assert contents == [image.content(blob) for blob in image.blobs]
    for tag, one in (("theirs", image), ("other", other)):
        assert skopeo("inspect", "--raw", f"oci-archive:{path}:{tag}") == one.content(one.root)


@pytest.mark.parametrize("reference", [None, "app:v1", "docker.io/library/app:v1"])
async def test_a_docker_archive_of_skopeo_becomes_the_image_that_it_was(
    image: BuiltImage, tmp_path: Path, reference: str | None
) -> None:
    path = tmp_path / "docker.tar"
    skopeo("copy", f"oci:{image.path}:v1", f"docker-archive:{path}:app:v1")

    async with DockerArchiveSource(path) as source:
        manifest, contents = await contents_of(source, reference)

    # Layers that were compressed here come out of it, uncompressed and compressed again, bit for bit.
    assert contents == [image.content(blob) for blob in image.blobs]
    assert manifest.config is not None
    assert manifest.config.digest == image.blobs[0].digest


async def test_a_docker_archive_is_read_from_skopeos_pipe(image: BuiltImage) -> None:
    command = [SKOPEO or "", "--insecure-policy", "copy", "--quiet"]
    ends = [f"oci:{image.path}:v1", "docker-archive:/dev/stdout:app:v1"]
    process = await asyncio.to_thread(
        subprocess.Popen, [*command, *ends], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    with process:
        assert process.stdout is not None
        async with DockerArchiveSource(process.stdout) as source:
            _, contents = await contents_of(source, "v1")

    assert contents == [image.content(blob) for blob in image.blobs]


async def test_skopeo_writes_into_a_layout_that_was_begun_here(image: BuiltImage, tmp_path: Path) -> None:
    path, other = tmp_path / "target", real_image(ImageBuilder(tmp_path / "other"), seed=5, tag="other")
    await copy("layout", LayoutSource(image.path), "v1", path)

    skopeo("copy", f"oci:{other.path}:other", f"oci:{path}:other")
    await copy("layout", LayoutSource(image.path), "v1", path)

    for tag, one in (("v1", image), ("other", other)):
        assert (await LayoutSource(path).resolve(tag)).digest == one.root.digest
        assert all(blob_file(path, blob.digest).read_bytes() == one.content(blob) for blob in one.blobs)
