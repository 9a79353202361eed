"""
Graph: the manifests of one image, read from its source, children before parents.

Reads manifests only; which blobs must move is decided in `plan`.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from transfer.concurrency.tasks import gather
from transfer.engine.blob_reader import BlobReader
from transfer.engine.protocols import Source
from transfer.errors import ContentMissing, InvalidManifest
from transfer.model.descriptor import Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError, convert, load
from transfer.model.manifest import Manifest
from transfer.model.platform import is_attestation, select

# Nobody nests deeper than index -> index -> image, nor builds for this many platforms: a source that does is hostile.
MAX_DEPTH = 8
MAX_MANIFESTS = 2_000
_READ_AT_ONCE = 16


class Graph(msgspec.Struct, frozen=True):
    """
    All manifests of an image.

    Attributes:
        root: the manifest that was asked for.
        manifests: every manifest once, by digest, the root included.
        include_foreign: whether layers that registries need not hold are of the image too.
    """

    root: Manifest
    manifests: dict[Digest, Manifest]
    include_foreign: bool = False

    def waves(self, wanted: frozenset[Digest]) -> list[list[Manifest]]:
        """Return the wanted manifests in waves: each needs only manifests of the waves before it."""
        below = {digest: [child.digest for child in one.manifests] for digest, one in self.manifests.items()}
        order = TopologicalSorter(below)
        order.prepare()
        waves = []
        while order.is_active():
            ready = order.get_ready()
            waves.append([self.manifests[digest] for digest in ready if digest in wanted])
            order.done(*ready)
        return [wave for wave in waves if wave]

    def blobs(self, wanted: frozenset[Digest] | None = None) -> Iterator[Descriptor]:
        """Yield the blobs of the wanted manifests (all by default), each digest once, in the order of the manifests."""
        seen: set[Digest] = set()
        for digest, manifest in self.manifests.items():
            foreign = manifest.foreign_layers if self.include_foreign else ()
            for blob in (*manifest.blobs, *foreign) if wanted is None or digest in wanted else ():
                if blob.digest not in seen:
                    seen.add(blob.digest)
                    yield blob


async def read_graph(
    source: Source, root: Descriptor | Manifest, platforms: Sequence[Platform] = (), *, include_foreign: bool = False
) -> Graph:
    """
    Read the root manifest and everything below it, one level at a time, several manifests at once.

    Args:
        root: the manifest to begin with, by its descriptor or as it was read.
        platforms: of an index, only the images for these, at any depth; all where none is named.
        include_foreign: count layers among its blobs that registries need not hold (`registry.foreign` reads them).

    Raises:
        InvalidManifest: nested too deep, too many manifests, or no image for a platform.
        ContentMissing: some images of an index are not in the layout or archive; the message names their platforms.
    """
    top = root if isinstance(root, Manifest) else await source.manifest(root)
    if platforms and top.descriptor.is_index:
        nested = await _read_below(source, top, only_indexes=True)
        chosen = select(top, platforms, nested=nested, configured=await _configured(source, top, nested))
        top = await source.manifest(chosen) if isinstance(chosen, Descriptor) else chosen
    return Graph(top, {top.digest: top} | await _read_below(source, top), include_foreign)


async def _read_below(source: Source, top: Manifest, *, only_indexes: bool = False) -> dict[Digest, Manifest]:
    """Return the manifests that an index leads to, itself left out, parents first."""
    found: dict[Digest, Manifest] = {}
    above = [top]
    for _ in range(MAX_DEPTH):
        children = {child.digest: child for parent in above for child in parent.manifests}
        level = [
            child
            for digest, child in children.items()
            if digest not in found and digest != top.digest and (child.is_index or not only_indexes)
        ]
        if not level:
            return found
        if len(found) + len(level) >= MAX_MANIFESTS:
            raise InvalidManifest(f"index {top.digest}: it names more than {MAX_MANIFESTS} manifests", side="source")
        above = await _read_level(source, level, top)
        found |= {manifest.digest: manifest for manifest in above}
    raise InvalidManifest(f"index {top.digest}: it is nested deeper than {MAX_DEPTH} levels", side="source")


async def _read_level(source: Source, level: Sequence[Descriptor], top: Manifest) -> list[Manifest]:
    slots = asyncio.Semaphore(_READ_AT_ONCE)

    async def read(descriptor: Descriptor) -> Manifest | ContentMissing:
        async with slots:
            try:
                return await source.manifest(descriptor)
            except ContentMissing as error:
                return error

    found = dict(zip(level, await gather(read(descriptor) for descriptor in level), strict=True))
    errors = [one for one in found.values() if isinstance(one, ContentMissing)]
    if errors:
        raise _missing(top, found) or errors[0]
    return [one for one in found.values() if isinstance(one, Manifest)]


def _missing(top: Manifest, found: Mapping[Descriptor, Manifest | ContentMissing]) -> ContentMissing | None:
    """Return the error that tells which images of an index are missing, where their platforms are known."""
    images = {one: str(one.platform) for one in found if one.platform and not is_attestation(one)}
    absent = [name for one, name in images.items() if isinstance(found[one], ContentMissing)]
    there = [name for one, name in images.items() if isinstance(found[one], Manifest)]
    if not absent:
        return None
    advice = f"copy what is there with --platform {','.join(there)}" if there else "write them again"
    return ContentMissing(
        f"index {top.digest}: its images for {', '.join(absent)} are not there: {advice}", side="source"
    )


async def _configured(source: Source, top: Manifest, nested: Mapping[Digest, Manifest]) -> dict[Digest, Platform]:
    """Return the platforms of images that are listed without one, from their configurations."""
    listed = [child for index in (top, *nested.values()) for child in index.manifests]
    unknown = {one.digest: one for one in listed if one.platform is None and one.is_manifest and not one.is_index}
    if len(unknown) > MAX_MANIFESTS:
        raise InvalidManifest(f"index {top.digest}: it names more than {MAX_MANIFESTS} manifests", side="source")
    images = await _read_level(source, list(unknown.values()), top)
    found = await gather(_platform_of(source, image) for image in images)
    return {image.digest: platform for image, platform in zip(images, found, strict=True) if platform is not None}


async def _platform_of(source: Source, image: Manifest) -> Platform | None:
    """Return the platform in an image's configuration; None where it says none."""
    config = image.config
    if config is None or config.size > MAX_DOCUMENT_BYTES:
        return None
    async with BlobReader(source, config) as reader:
        raw = await reader.content()
    try:
        return convert(load(raw), Platform)
    except DocumentError:
        return None
