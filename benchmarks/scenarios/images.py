"""
OCI layouts of images from a seed, written with the memory of one block.

The same shape and seed give the same digests. Layers look like gzip by their first bytes, since some tools compress
what does not, and hold random bytes that nobody can compress.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.values import MIB, Image

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_GZIP = b"\x1f\x8b\x08\x00"


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout on disk: the digest under each tag, and the blobs of each manifest by digest."""

    path: Path
    tags: dict[str, str]
    blobs: dict[str, list[str]]

    def file(self, digest: str) -> Path:
        return self.path / "blobs" / "sha256" / digest.removeprefix("sha256:")

    @property
    def content(self) -> int:
        """Bytes of all blobs, configs included."""
        return sum(self.file(digest).stat().st_size for digest in {one for all_ in self.blobs.values() for one in all_})


def write_layout(path: Path, image: Image) -> Layout:
    """Write the images of a shape into a new layout."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    base = [_store(path, _blocks(image.base_mib * MIB, f"{image.seed}/base"), _LAYER)] if image.base_mib else []
    roots, blobs = [], {}
    for number in range(1 if image.same else image.tags):
        root, names = _write_image(path, image, base, number)
        roots.append(root)
        blobs[root["digest"]] = names
    entries = [
        {**roots[number % len(roots)], "annotations": {"org.opencontainers.image.ref.name": f"v{number}"}}
        for number in range(image.tags)
    ]
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}))
    return Layout(path, {f"v{number}": entry["digest"] for number, entry in enumerate(entries)}, blobs)


def _write_image(path: Path, image: Image, base: list[dict[str, Any]], number: int) -> tuple[dict[str, Any], list[str]]:
    seeds = (f"{image.seed}/{number}/{layer}" for layer in range(image.layers))
    layers = [*base, *(_store(path, _blocks(image.layer_kib * 1024, seed), _LAYER) for seed in seeds)]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = _store_json(path, {"architecture": "amd64", "os": "linux", "rootfs": rootfs}, _CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    return _store_json(path, document, MANIFEST), [blob["digest"] for blob in (config, *layers)]


def _blocks(size: int, seed: str) -> Iterator[bytes]:
    """Yield one random block with a counter in it: cheap, and never compressible."""
    block = bytearray(random.Random(seed).randbytes(min(size, MIB)))
    block[:4] = _GZIP[: len(block)]
    for number, start in enumerate(range(0, size, MIB)):
        block[4:12] = number.to_bytes(8, "big") if size >= 12 else block[4:12]
        yield bytes(block[: size - start])


def _store_json(path: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    return _store(path, iter([json.dumps(document).encode()]), media_type)


def _store(path: Path, content: Iterator[bytes], media_type: str) -> dict[str, Any]:
    folder, hasher, size = path / "blobs" / "sha256", sha256(), 0
    with (folder / "unnamed").open("wb", buffering=0) as file:
        for block in content:
            hasher.update(block)
            size += file.write(block)
    (folder / "unnamed").rename(folder / hasher.hexdigest())
    return {"mediaType": media_type, "digest": f"sha256:{hasher.hexdigest()}", "size": size}
