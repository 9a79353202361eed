"""
Images with real digests for tests: layers of any size from a seed, written as an OCI image layout.

The same seed and sizes give the same digests. A layer of any size is made with the memory of two blocks. Layers
hold random bytes, not tar archives: nothing here reads into a layer.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from transfer.model.descriptor import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Platform,
)
from transfer.model.digest import Digest

BLOCK = 1024 * 1024
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
ARTIFACT = "application/vnd.example.signature"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """
    An image in a layout on disk.

    Attributes:
        path: the layout's folder.
        root: what index.json names.
        manifests: all its manifests, children before parents, the root last.
        blobs: configs and layers, each digest once.
        tag: the root's ref.name.
    """

    path: Path
    root: Descriptor
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    tag: str | None

    @property
    def source(self) -> str:
        """The image as `push_image` takes it."""
        return f"oci:{self.path}:{self.tag}" if self.tag else f"oci:{self.path}@{self.root.digest}"

    def file(self, descriptor: Descriptor) -> Path:
        """Return the file of one of its manifests or blobs."""
        return blob_file(self.path, descriptor.digest)

    def content(self, descriptor: Descriptor) -> bytes:
        """Return the bytes of one of its manifests or blobs."""
        return self.file(descriptor).read_bytes()


def blob_file(path: Path, digest: Digest) -> Path:
    """Return where a layout keeps a blob."""
    return path / "blobs" / digest.algorithm / digest.encoded


def blocks(size: int, seed: int) -> Iterator[bytes]:
    """Yield `size` bytes that depend on `seed`, cheap and never compressible: one random block with a counter in it."""
    block = bytearray(random.Random(seed).randbytes(min(size, BLOCK)))
    for number, start in enumerate(range(0, size, BLOCK)):
        if number:
            block[:8] = number.to_bytes(8, "big")
        yield bytes(memoryview(block)[: size - start])


class ImageBuilder:
    """
    Writes images into one layout; every call leaves the layout complete.

        image = ImageBuilder(tmp_path / "layout").image([1000, 2000], tag="v1")
        await push_image(image.source, f"{server.registry}/app:v1")

    Args:
        path: the layout's folder, made if it is not there.
        docker: use Docker's media types instead of OCI's.
    """

    def __init__(self, path: Path, *, docker: bool = False) -> None:
        self.path = path
        self._docker = docker
        self._entries: list[Descriptor] = []
        path.mkdir(parents=True, exist_ok=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._write_index()

    def blob(self, content: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
        """Store bytes under their digest."""
        digest = Digest.of(content, algorithm)
        file = blob_file(self.path, digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return Descriptor(media_type=media_type, digest=digest, size=len(content))

    def layer(self, size: int, seed: int = 0) -> Descriptor:
        """Store a layer of `size` bytes made from `seed`."""
        folder = self.path / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        hasher = hashlib.sha256()
        with (folder / "unnamed").open("wb", buffering=0) as file:
            for block in blocks(size, seed):
                hasher.update(block)
                file.write(block)
        (folder / "unnamed").rename(folder / hasher.hexdigest())
        media_type = DOCKER_LAYER if self._docker else OCI_LAYER_GZIP
        return Descriptor(media_type=media_type, digest=Digest(f"sha256:{hasher.hexdigest()}"), size=size)

    def image(
        self,
        sizes: Sequence[int] = (1000, 2000),
        *,
        seed: int = 0,
        tag: str | None = "v1",
        platform: Platform | None = None,
        layers: Sequence[Descriptor] = (),
    ) -> BuiltImage:
        """Store an image of `layers`, then new layers of these sizes, and list it under its tag."""
        built = self._image((*layers, *self._layers(sizes, seed)), seed, platform)
        return self._listed(built.root, (), built.blobs, tag)

    def index(
        self,
        platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
        sizes: Sequence[int] = (1000, 2000),
        *,
        seed: int = 0,
        tag: str | None = "v1",
    ) -> BuiltImage:
        """Store an index of one image a platform, the first layer common to all, and list it under its tag."""
        shared = self._layers(sizes[:1], seed)
        children = [
            self._image((*shared, *self._layers(sizes[1:], seed + 1000 * number)), seed + number, _platform(name))
            for number, name in enumerate(platforms, start=1)
        ]
        kind = DOCKER_INDEX if self._docker else OCI_INDEX
        root = self._document(kind, manifests=[child.root for child in children])
        blobs = {blob.digest: blob for child in children for blob in child.blobs}
        return self._listed(root, tuple(child.root for child in children), tuple(blobs.values()), tag)

    def referrer(self, subject: Descriptor, *, seed: int = 0, tag: str | None = None, **members: Any) -> BuiltImage:
        """Store an image that refers to a manifest, as a signature does, and list it, under a tag if one is given."""
        blobs = self.blob(b"{}", OCI_EMPTY), self.layer(100, seed=seed + 7_000_003)
        named = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
        document = {"artifactType": ARTIFACT, "config": blobs[0], "layers": blobs[1:], "subject": named} | members
        return self._listed(self._document(OCI_MANIFEST, **document), (), blobs, tag)

    def index_of(self, children: Sequence[Descriptor], *, tag: str | None = None) -> BuiltImage:
        """Store an index of manifests that are there, and list it, under a tag if one is given."""
        return self._listed(self._document(OCI_INDEX, manifests=children), (), (), tag)

    def forget(self, root: Descriptor) -> None:
        """Take a manifest off index.json; its file stays."""
        self._entries = [entry for entry in self._entries if entry.digest != root.digest]
        self._write_index()

    def _layers(self, sizes: Sequence[int], seed: int) -> tuple[Descriptor, ...]:
        return tuple(self.layer(size, seed=seed * 1_000_003 + number) for number, size in enumerate(sizes))

    def _image(self, layers: Sequence[Descriptor], seed: int, platform: Platform | None) -> BuiltImage:
        platform = platform or Platform(architecture="amd64", os="linux")
        config = self._config(layers, seed, platform)
        kind = DOCKER_MANIFEST if self._docker else OCI_MANIFEST
        root = msgspec.structs.replace(self._document(kind, config=config, layers=layers), platform=platform)
        blobs = {blob.digest: blob for blob in (config, *layers)}
        return BuiltImage(self.path, root, (root,), tuple(blobs.values()), None)

    def _config(self, layers: Sequence[Descriptor], seed: int, platform: Platform) -> Descriptor:
        content = {
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {"Labels": {"seed": str(seed)}},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
        return self.blob(json.dumps(content).encode(), DOCKER_CONFIG if self._docker else OCI_CONFIG)

    def _document(self, media_type: str, **members: Any) -> Descriptor:
        return self.blob(encode({"schemaVersion": 2, "mediaType": media_type, **members}), media_type)

    def _listed(
        self, root: Descriptor, children: tuple[Descriptor, ...], blobs: tuple[Descriptor, ...], tag: str | None
    ) -> BuiltImage:
        entry = msgspec.structs.replace(root, annotations={REF_NAME: tag}) if tag else root
        self._entries.append(entry)
        self._write_index()
        return BuiltImage(self.path, entry, (*children, entry), blobs, tag)

    def _write_index(self) -> None:
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self._entries}
        (self.path / "index.json").write_bytes(encode(document))


def encode(document: Any) -> bytes:
    """Return a document as JSON, descriptors included."""
    return msgspec.json.encode(document, enc_hook=str)


def _platform(text: str) -> Platform:
    os, architecture, *variant = text.split("/")
    return Platform(os=os, architecture=architecture, variant=variant[0] if variant else None)
