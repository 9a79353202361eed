"""
A `docker save` archive as a Source, from a file or a pipe.

Where the archive is an OCI layout too (docker 25 and later) and the image's layers lie compressed in it, they and
their manifest are taken as they are. Otherwise the manifest is made here, from manifest.json: a descriptor needs the
digest of the compressed layer before any of it is uploaded, so `resolve` compresses every layer once, into one
unnamed temporary file ($TMPDIR) that later reads and other images of the archive share, keyed by diff_id. Twice the
time of a core would save that disk space, and cost more of what pushes are short of. Memory is bounded by the
compressor's; the bytes are reproducible, so the same archive gives the same digest. Every layer is compared with its
diff_id as it passes.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

from transfer.compression import Compression
from transfer.errors import ContentMissing, InvalidManifest
from transfer.local.archive.docker_documents import (
    MANIFEST_FILE,
    UNCOMPRESSED_LAYERS,
    SavedImage,
    choose_image,
    describe_config,
    layer_media_type,
    make_manifest,
    read_diff_ids,
    read_images,
)
from transfer.local.archive.docker_layers import LayerStore
from transfer.local.archive.reader import Archive
from transfer.local.layout.index import INDEX_FILE, choose_entry, fitting
from transfer.local.layout.reader import FileBlobs, FileSource, blob_names, size_of
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest, parse_manifest
from transfer.model.platform import is_attestation, shortened

# Of indexes in one index; nobody writes more than one or two.
_MOST_INDEXES = 64


class DockerArchiveSource(FileBlobs):
    """
    The images of one archive.

        async with DockerArchiveSource(Path("app.tar")) as source: ...

    Args:
        archive: a file (plain, gzip'ed or zstd'ed), a FIFO, or a stream such as the standard input.
        compression: of layers that lie uncompressed in it.
        docker_types: make Docker's v2s2 manifests instead of OCI's.
        label: what the archive is called in messages.

    Raises:
        InvalidConfig: Docker's media types have no name for zstd.
    """

    def __init__(
        self,
        archive: Path | IO[bytes],
        *,
        compression: Compression = "gzip",
        docker_types: bool = False,
        label: str | None = None,
    ) -> None:
        layer_media_type(compression, docker_types=docker_types)
        self._archive = Archive(
            archive,
            links=True,
            how_to_choose="choose with docker-archive:PATH:NAME:TAG or by the image ID",
            label=label,
        )
        self._layout = FileSource(self._archive)
        self._docker_types = docker_types
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._layers = LayerStore(self._archive, compression, docker_types=docker_types, stop=self._stop)
        # Of the manifests that are made here: the member each blob comes from, and how it is opened.
        self._members: dict[Digest, str] = {}
        self._openers: dict[Digest, Callable[[], BinaryIO]] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self.label = self._archive.label

    def __repr__(self) -> str:
        return f"DockerArchiveSource({self.label!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.to_thread(self._close)

    async def resolve(self, reference: str | None) -> Descriptor:
        """
        Descriptor of an image's manifest: by name (`app:v1`), by tag, by image ID or digest, or None for the only one.

        Compresses the layers that must be, which takes as long as it takes.

        Raises:
            InvalidLayout: the archive cannot be used, or none or several of its images fit.
            ContentMismatch: a layer does not have its diff_id.
        """
        return await asyncio.to_thread(self._resolve, reference)

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """
        Return the manifest, verified against the descriptor.

        Raises:
            InvalidLayout, ContentMismatch: it is missing, or has another size.
            InvalidManifest: it is too large, malformed or has another digest.
        """
        made = self._manifests.get(descriptor.digest)
        if made is None:
            return await self._layout.manifest(descriptor)
        try:
            return parse_manifest(made.raw, descriptor)
        except InvalidManifest as error:
            raise InvalidManifest(f"{self.label}: {error}", side="source") from None

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """Return the referrers of a manifest, where the archive is an OCI layout too."""
        if await asyncio.to_thread(self._archive.find, INDEX_FILE) is None:
            return []
        return await self._layout.referrers(descriptor)

    async def tags(self) -> AsyncGenerator[str]:
        """Yield the name of every image that has one, each once."""
        if await asyncio.to_thread(self._archive.find, INDEX_FILE) is None:
            images = await asyncio.to_thread(self._images)
            for name in dict.fromkeys(tag for image in images for tag in image.tags):
                yield name
            return
        async with aclosing(self._layout.tags()) as tags:
            async for tag in tags:
                yield tag

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        """
        Return the blob as a file, buffered. Blocks.

        Raises:
            InvalidLayout: it is missing, or cannot be read.
            ContentMismatch: its size is not the descriptor's.
        """
        opener = self._openers.get(descriptor.digest)
        if opener is None:
            return self._layout.open_file(descriptor)
        file = opener()
        size = size_of(file)
        if size != descriptor.size:
            file.close()
            raise self.mismatch(descriptor, size)
        return file

    def locate(self, descriptor: Descriptor) -> str:
        """Return the archive and the member, and what has become of it."""
        member = self._members.get(descriptor.digest)
        if member is None:
            return self._layout.locate(descriptor)
        return f"{self._archive.locate((member,))} (as {descriptor.digest})"

    def _close(self) -> None:
        with self._lock:
            self._archive.close()
            self._layers.close()

    def _resolve(self, reference: str | None) -> Descriptor:
        with self._lock:
            if self._archive.find(INDEX_FILE) is None:
                found = self._saved(reference)
                if isinstance(found, str):
                    raise self._layout.refusal(MANIFEST_FILE, found)
                return found.descriptor
            return self._listed(reference)

    def _listed(self, reference: str | None) -> Descriptor:
        """
        Return the image by index.json, as far as manifest.json, which docker itself loads by, does not contradict.

        Where only manifest.json knows the image, it is made from that.
        """
        entries = self._layout.choices(reference)
        found = choose_entry(entries, reference, self._archive.how_to_choose)
        is_saved = self._archive.find(MANIFEST_FILE) is not None
        if isinstance(found, str):
            saved = self._saved(reference) if is_saved else found
            if isinstance(saved, str):
                raise self._layout.no_choice(found, fitting(entries, reference))
            return saved.descriptor
        return self._agreed(found, reference) if is_saved else found

    def _agreed(self, found: Descriptor, reference: str | None) -> Descriptor:
        """Return the image that index.json names, or what manifest.json says instead."""
        root = self._layout.read_manifest(found)
        if found.is_index:
            return self._there(root, reference)
        image = self._saved_as(root)
        if image is None:
            chosen = choose_image(self._images(), reference)
            # What neither has by that name is an artifact, which manifest.json does not list.
            return found if isinstance(chosen, str) else self._made(chosen).descriptor
        return found if self._is_same(root, image) else self._made(image).descriptor

    def _there(self, index: Manifest, reference: str | None) -> Descriptor:
        """Return what an index leads to in the archive: docker saves the platforms that the machine has."""
        nested: dict[Digest, Manifest] = {}
        leaves = {one.digest: one for one in self._leaves(index, nested)}
        held = {digest: manifest for digest, one in leaves.items() if (manifest := self._whole(one)) is not None}
        if len(held) == len(leaves) > 0:
            return index.descriptor
        images = [digest for digest in held if not is_attestation(leaves[digest])]
        if not images:
            chosen = choose_image(self._images(), reference)
            if isinstance(chosen, str):
                raise ContentMissing(f"{self.label}: no image of index {index.digest} is in it", side="source")
            return self._made(chosen).descriptor
        if len(images) > 1:
            reduced = shortened(index, lambda entry: entry.digest in held, nested)
            self._manifests[reduced.digest] = reduced
            return reduced.descriptor
        image = self._saved_as(held[images[0]])
        if image is None or self._is_same(held[images[0]], image):
            return leaves[images[0]]
        return self._made(image).descriptor

    def _leaves(self, index: Manifest, nested: dict[Digest, Manifest]) -> Iterator[Descriptor]:
        """Yield the images of an index and of those below it; fills `nested` with the latter."""
        for child in index.manifests:
            if child.digest in nested:
                continue
            if child.is_index and len(nested) < _MOST_INDEXES and self._has(child):
                nested[child.digest] = self._layout.read_manifest(child)
                yield from self._leaves(nested[child.digest], nested)
            else:
                yield child

    def _whole(self, descriptor: Descriptor) -> Manifest | None:
        """Return an image's manifest if it and all that it names are in the archive."""
        if not descriptor.is_manifest or descriptor.is_index or not self._has(descriptor):
            return None
        manifest = self._layout.read_manifest(descriptor)
        return manifest if all(map(self._has, manifest.blobs)) else None

    def _has(self, descriptor: Descriptor) -> bool:
        return self._archive.find("/".join(blob_names(descriptor.digest))) is not None

    def _saved_as(self, manifest: Manifest) -> SavedImage | None:
        """Return the image of manifest.json that has a manifest's configuration."""
        if manifest.config is None:
            return None
        return next((one for one in self._images() if self._config(one)[0].digest == manifest.config.digest), None)

    def _is_same(self, manifest: Manifest, image: SavedImage) -> bool:
        """Return whether a manifest has the layers that manifest.json names, compressed already."""
        if len(manifest.layers) != len(image.members):
            return False
        if any(layer.media_type in UNCOMPRESSED_LAYERS for layer in manifest.layers):
            return False
        return all(
            layer.is_foreign or not name.startswith("blobs/") or name == "/".join(blob_names(layer.digest))
            for layer, name in zip(manifest.layers, image.members, strict=True)
        )

    def _saved(self, reference: str | None) -> Manifest | str:
        """Return the image by manifest.json, or why there is not exactly one."""
        images = self._images()
        if reference is not None and reference.startswith(("sha256:", "sha512:")):
            for image in images:
                if self._config(image)[0].digest == reference:
                    return self._made(image)
            for image in images:
                if (made := self._made(image)).digest == reference:
                    return made
        found = choose_image(images, reference)
        return found if isinstance(found, str) else self._made(found)

    def _images(self) -> tuple[SavedImage, ...]:
        return self._layout.read_document(MANIFEST_FILE, read_images)

    def _config(self, image: SavedImage) -> tuple[Descriptor, tuple[Digest, ...]]:
        with self._archive.open((image.config,)) as file:
            raw = file.read(MAX_DOCUMENT_BYTES + 1)
        try:
            diff_ids = read_diff_ids(raw, layers=len(image.members))
        except DocumentError as error:
            raise self._layout.refusal(repr(image.config), f"cannot be used: {error}") from None
        return describe_config(raw, docker_types=self._docker_types), diff_ids

    def _made(self, image: SavedImage) -> Manifest:
        """Return the manifest of an image, its layers compressed."""
        config, diff_ids = self._config(image)
        self._remember(config.digest, image.config, partial(self._archive.open, (image.config,)))
        layers = [self._layers.layer(name, diff_id) for name, diff_id in zip(image.members, diff_ids, strict=True)]
        for layer in layers:
            self._remember(layer.descriptor.digest, layer.member, layer.open)
        raw = make_manifest(config, [layer.descriptor for layer in layers], docker_types=self._docker_types)
        manifest = parse_manifest(raw)
        self._manifests[manifest.digest] = manifest
        return manifest

    def _remember(self, digest: Digest, member: str, opener: Callable[[], BinaryIO]) -> None:
        self._members[digest], self._openers[digest] = member, opener
