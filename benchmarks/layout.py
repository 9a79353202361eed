"""
An OCI layout with one image of random layers, written with the memory of one block.

The same counts and sizes give the same digests, so the manifest's digest names the corpus.
"""

import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

BLOCK = 1024 * 1024
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_image(folder: Path, *, layers: int, layer_size: int) -> str:
    """Write a layout of one image; the digest of its manifest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    made = [_store(blobs, _blocks(layer_size, seed), _LAYER) for seed in range(layers)]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in made]}
    config = _store_json(blobs, {"architecture": "amd64", "os": "linux", "rootfs": rootfs}, _CONFIG)
    document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": made}
    root = _store_json(blobs, document, _MANIFEST)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    return str(root["digest"])


def _blocks(size: int, seed: int) -> Iterator[bytes]:
    """One random block with a counter in it: cheap, and never compressible."""
    block = bytearray(random.Random(seed).randbytes(min(size, BLOCK)))
    for number, start in enumerate(range(0, size, BLOCK)):
        block[:8] = number.to_bytes(8, "big")
        yield bytes(block[: size - start])


def _store_json(blobs: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    return _store(blobs, iter([json.dumps(document).encode()]), media_type)


def _store(blobs: Path, content: Iterator[bytes], media_type: str) -> dict[str, Any]:
    hasher, size = sha256(), 0
    with (blobs / "unnamed").open("wb", buffering=0) as file:
        for block in content:
            hasher.update(block)
            size += file.write(block)
    (blobs / "unnamed").rename(blobs / hasher.hexdigest())
    return {"mediaType": media_type, "digest": f"sha256:{hasher.hexdigest()}", "size": size}
