"""
An image with layers appended: the base's manifest and configuration changed, its layers as they are.

The layers of the base are not read here: a registry that has them mounts them, any other gets them from the base.
Sources: OCI image-spec 1.1, config.md (rootfs, history) and manifest.md; Docker image manifest v2 schema 2.
"""

import asyncio
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from transfer.compression import MAGIC_BYTES, CompressionRefused, Decompressed, Decompression, blocks_of, pack, sniff
from transfer.engine.blob_reader import BlobReader
from transfer.engine.protocols import Source
from transfer.errors import InvalidConfig, InvalidManifest, InvalidReference
from transfer.local.archive.file_slice import file_slice
from transfer.local.archive.tar import BLOCK, TarRefused, index_tar
from transfer.local.files.artifact import write_tar
from transfer.local.storage import temporary_files
from transfer.model.descriptor import DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import DocumentError, load
from transfer.model.manifest import Manifest, parse_manifest

_LONG_AGO = "1970-01-01T00:00:00Z"


class _Layer(msgspec.Struct, frozen=True):
    """A layer that is appended: its descriptor, the digest of its tar, where it lies, and what it was made of."""

    descriptor: Descriptor
    diff_id: Digest
    file: Any
    name: str


class AppendedSource:
    """
    A base image with layers appended.

    Args:
        base: the source of the base image; its blobs are read from there.
        image: the base's manifest, which is one of an image.
        layers: paths of tars and folders, and tars themselves.

    Entering reads the layers and makes manifest and configuration.

    Raises (on entering):
        InvalidReference: a layer is not there, or is no tar and no folder.
        InvalidConfig: a layer is compressed in a way that the base's media types do not know.
        InvalidManifest: the base is no container image.
    """

    def __init__(self, base: Source, image: Manifest, layers: Sequence[str | bytes]) -> None:
        self._base = base
        self._image = image
        self._names = layers
        self._stack = ExitStack()
        self._files: dict[Digest, BinaryIO | bytes] = {}
        self._manifest = image

    async def __aenter__(self) -> Self:
        try:
            config = await self._base_config()
            layers = await asyncio.to_thread(self._read_layers)
            self._make(config, layers)
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()

    async def resolve(self, reference: str | None) -> Descriptor:  # noqa: ARG002 - there is but one
        """Return the descriptor of the new image."""
        return self._manifest.descriptor

    async def manifest(self, descriptor: Descriptor) -> Manifest:  # noqa: ARG002 - there is but one
        """Return the new manifest."""
        return self._manifest

    async def referrers(self, descriptor: Descriptor) -> Sequence[Descriptor]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: the base's signatures are not the new image's."""
        return ()

    async def tags(self) -> AsyncIterator[str]:
        """Yield nothing."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        """Return a blob as a file, if it is one. Blocks."""
        content = self._files.get(descriptor.digest)
        if content is None:
            return self._base.open_file(descriptor)
        if isinstance(content, bytes):
            return io.BytesIO(content)
        return file_slice(content.fileno(), 0, descriptor.size)

    def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream a blob of the base; new ones are files."""
        return self._base.open_blob(descriptor, offset=offset, end=end)

    def locate(self, descriptor: Descriptor) -> str:
        """Return where a blob lies, for messages."""
        return "appended layers" if descriptor.digest in self._files else self._base.locate(descriptor)

    async def _base_config(self) -> dict[str, Any]:
        config = self._image.config
        if config is None:
            raise InvalidManifest(
                f"index {self._image.digest}: layers are appended to one image: choose it with --platform",
                side="source",
            )
        async with BlobReader(self._base, config) as reader:
            raw = await reader.content()
        try:
            members: dict[str, Any] = load(raw)
        except DocumentError as error:
            raise InvalidManifest(f"config {config.digest}: {error}", side="source") from None
        rootfs = members.get("rootfs")
        ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(rootfs, dict) or len(ids or ()) != len(self._image.layers):
            raise InvalidManifest(
                f"config {config.digest}: its diff_ids are not those of {len(self._image.layers)} layers: "
                "it is no container image",
                side="source",
            )
        return members

    def _read_layers(self) -> list[_Layer]:
        return [self._read_layer(number, layer) for number, layer in enumerate(self._names)]

    def _read_layer(self, number: int, layer: str | bytes) -> _Layer:
        name = layer if isinstance(layer, str) else f"number {number}"
        try:
            with temporary_files(f"layer {name!r}"):
                if isinstance(layer, bytes):
                    return self._given(self._held(layer), name)
                path = Path(layer)
                if path.is_dir():
                    return self._folder(path, name)
                return self._given(self._stack.enter_context(path.open("rb")), name)
        except OSError as error:
            raise InvalidReference(
                f"layer {name!r}: cannot be read: {error.strerror or error}", side="source"
            ) from None
        except (CompressionRefused, TarRefused, tarfile.TarError) as error:
            raise InvalidReference(f"layer {name!r}: it is no tar: {error}", side="source") from None

    def _folder(self, path: Path, name: str) -> _Layer:
        plain = self._temporary()
        write_tar(plain, path, "")
        plain.flush()
        plain.seek(0)
        return self._packed(plain, name)

    def _held(self, content: bytes) -> BinaryIO:
        file = self._temporary()
        file.write(content)
        file.flush()
        file.seek(0)
        return file

    def _temporary(self) -> BinaryIO:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the source is left
        return self._stack.enter_context(file)

    def _given(self, file: BinaryIO, name: str) -> _Layer:
        method = sniff(file.read(MAGIC_BYTES))
        file.seek(0)
        if method is None:
            index_tar(file, links=True)
            file.seek(0)
            return self._packed(file, name)
        content, packed = hashlib.sha256(), hashlib.sha256()
        for number, block in enumerate(blocks_of(Decompressed(file, method))):
            if number == 0 and block.strip(b"\0"):
                tarfile.TarInfo.frombuf(block[:BLOCK], "utf-8", "surrogateescape")
            content.update(block)
        file.seek(0)
        for block in blocks_of(file):
            packed.update(block)
        return self._layer(file, file.tell(), content.hexdigest(), packed.hexdigest(), name, method)

    def _packed(self, plain: BinaryIO, name: str) -> _Layer:
        file = self._temporary()
        made = pack(plain, file, "gzip")
        return self._layer(file, made.size, made.content, made.packed, name, "gzip")

    def _layer(self, file: BinaryIO, size: int, content: str, packed: str, name: str, method: Decompression) -> _Layer:
        docker = self._image.media_type == DOCKER_MANIFEST
        kinds = {"gzip": DOCKER_LAYER_GZIP if docker else OCI_LAYER_GZIP} | ({} if docker else {"zstd": OCI_LAYER_ZSTD})
        if method not in kinds:
            raise InvalidConfig(
                f"layer {name!r}: it is compressed with {method}, for which the base's media types have no name: "
                "decompress it, or use gzip",
                side="source",
            )
        descriptor = Descriptor(media_type=kinds[method], digest=Digest(f"sha256:{packed}"), size=size)
        return _Layer(descriptor, Digest(f"sha256:{content}"), file, name)

    def _make(self, config: dict[str, Any], layers: Sequence[_Layer]) -> None:
        rootfs = config["rootfs"]
        rootfs["diff_ids"] = [*(rootfs.get("diff_ids") or ()), *(layer.diff_id for layer in layers)]
        if isinstance(config.get("history"), list):
            made = [{"created": _LONG_AGO, "created_by": f"transfer append {Path(one.name).name}"} for one in layers]
            config["history"] = [*config["history"], *made]
        raw = _encoded(config)
        document = load(self._image.raw)
        described = document["config"] | {"digest": Digest.of(raw), "size": len(raw)}
        entries = [msgspec.to_builtins(layer.descriptor, enc_hook=str) for layer in layers]
        manifest = document | {"config": described, "layers": [*(document["layers"] or ()), *entries]}
        self._manifest = parse_manifest(_encoded(manifest), media_type=self._image.media_type)
        self._files = {layer.descriptor.digest: layer.file for layer in layers} | {Digest.of(raw): raw}


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
