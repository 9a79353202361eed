"""
Graph: the manifests of one image, read from its source, children before parents.

Reads manifests only; which blobs must move is decided in `plan`.
"""

import asyncio
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter

import msgspec

from transfer.concurrency.tasks import gather
from transfer.engine.protocols import Source
from transfer.errors import InvalidManifest
from transfer.model.descriptor import Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.model.platform import select

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
    source: Source, root: Descriptor, platforms: Sequence[Platform] = (), *, include_foreign: bool = False
) -> Graph:
    """
    Read the root manifest and everything below it, one level at a time, several manifests at once.

    Args:
        platforms: of an index, only the images for these; all where none is named.
        include_foreign: count layers among its blobs that registries need not hold (`registry.foreign` reads them).

    Raises:
        InvalidManifest: nested too deep, too many manifests, or no image for a platform.
    """
    top = await source.manifest(root)
    if platforms and top.descriptor.is_index:
        chosen = select(top, platforms)
        top = await source.manifest(chosen) if isinstance(chosen, Descriptor) else chosen
    found = {top.digest: top}
    level = list(top.manifests)
    for _ in range(MAX_DEPTH):
        level = list({child.digest: child for child in level if child.digest not in found}.values())
        if not level:
            return Graph(top, found, include_foreign)
        if len(found) + len(level) > MAX_MANIFESTS:
            raise InvalidManifest(f"index {top.digest}: it names more than {MAX_MANIFESTS} manifests", side="source")
        read = await _read_level(source, level)
        found |= {manifest.digest: manifest for manifest in read}
        level = [child for manifest in read for child in manifest.manifests]
    raise InvalidManifest(f"index {top.digest}: it is nested deeper than {MAX_DEPTH} levels", side="source")


async def _read_level(source: Source, level: Sequence[Descriptor]) -> list[Manifest]:
    slots = asyncio.Semaphore(_READ_AT_ONCE)

    async def read(descriptor: Descriptor) -> Manifest:
        async with slots:
            return await source.manifest(descriptor)

    return await gather(read(descriptor) for descriptor in level)
