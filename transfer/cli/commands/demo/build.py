"""
An image of this machine's own files, written as an OCI image layout: the same files make the same digest.

Source of the rules: OCI image-spec 1.1, config.md, manifest.md and image-layout.md.
"""

import asyncio
import os
import platform
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from transfer.cli.commands.demo.archive import Layer, write_layer
from transfer.cli.commands.demo.machine import Tree
from transfer.concurrency.tasks import gather
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest

TAG = "v1"
_LONG_AGO = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go, and so the OCI, calls them


@dataclass(frozen=True, slots=True)
class DemoImage:
    """An image in a layout: its manifest, its config and its layers, of which there is at least one."""

    path: Path
    root: Descriptor
    config: Descriptor
    layers: tuple[Layer, ...]

    @property
    def source(self) -> str:
        """The image as `transfer push` takes it."""
        return f"oci:{self.path}:{TAG}"

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that a registry must hold besides the manifest."""
        return (self.config, *(layer.descriptor for layer in self.layers))

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


async def build_image(path: Path, trees: Sequence[Tree], *, on_layer: Callable[[Layer], None]) -> DemoImage | None:
    """
    Make an image with a layer for each tree, on all processors; None when there is no file in any of them.

    Args:
        path: the layout's folder, made here.
        on_layer: told of each layer when it is written.

    Raises:
        OSError: the layout cannot be written.
    """
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    loop, stop = asyncio.get_running_loop(), threading.Event()

    async def write(tree: Tree) -> Layer | None:
        layer = await loop.run_in_executor(pool, write_layer, tree, blobs, stop)
        if layer is not None:
            on_layer(layer)
        return layer

    # Leaving the pool waits for its threads: none writes any more when the folder is removed.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            written = await gather(map(write, trees))
        finally:
            stop.set()
    layers = tuple(layer for layer in written if layer is not None)
    return _finish(path, layers) if layers else None


def _finish(path: Path, layers: tuple[Layer, ...]) -> DemoImage:
    store = partial(_store, path / "blobs" / "sha256")
    config = store(config_document(layers), OCI_CONFIG)
    named = [layer.descriptor for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": named}
    root = store(_encode(manifest), OCI_MANIFEST)
    entry = msgspec.structs.replace(root, annotations={"org.opencontainers.image.ref.name": TAG})
    (path / "index.json").write_bytes(_encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}))
    (path / "oci-layout").write_bytes(_encode({"imageLayoutVersion": "1.0.0"}))
    return DemoImage(path, root, config, layers)


def config_document(layers: Sequence[Layer]) -> bytes:
    """Return the image's configuration: its platform, and where each layer comes from."""
    machine = platform.machine().lower()
    history = [{"created": _LONG_AGO, "created_by": f"transfer demo: {layer.tree.title}"} for layer in layers]
    return _encode(
        {
            "created": _LONG_AGO,
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": platform.system().lower(),
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": history,
        }
    )


def _store(blobs: Path, content: bytes, media_type: str) -> Descriptor:
    digest = Digest.of(content)
    (blobs / digest.encoded).write_bytes(content)
    return Descriptor(media_type=media_type, digest=digest, size=len(content))


def _encode(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document, enc_hook=str)  # a Digest is a str that msgspec does not know
