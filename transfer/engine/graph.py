"""
Graph: the manifests of one image, read from its source, children before parents.

Reads manifests only; which blobs must move is decided in `plan`. Knows no end.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter

from transfer.engine.content import Source
from transfer.engine.tasks import gather
from transfer.errors import InvalidManifest
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest

# Nobody nests deeper than index -> index -> image, nor builds for this many platforms: a source that does is hostile.
MAX_DEPTH = 8
MAX_MANIFESTS = 2_000
_READ_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Graph:
    """
    All manifests of an image.

    Attributes:
        root: the manifest that was asked for.
        manifests: every manifest once, by digest, the root included.
    """

    root: Manifest
    manifests: dict[Digest, Manifest]

    def waves(self, wanted: frozenset[Digest]) -> list[list[Manifest]]:
        """The wanted manifests in waves: each needs only manifests of the waves before it."""
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
        """The blobs of the wanted manifests (all by default), each digest once, in the order of the manifests."""
        seen: set[Digest] = set()
        for digest, manifest in self.manifests.items():
            for blob in manifest.blobs if wanted is None or digest in wanted else ():
                if blob.digest not in seen:
                    seen.add(blob.digest)
                    yield blob


async def read_graph(source: Source, root: Descriptor) -> Graph:
    """
    Read the root manifest and everything below it, one level at a time, several manifests at once.

    Raises:
        InvalidManifest: nested too deep, or too many manifests.
    """
    found: dict[Digest, Manifest] = {}
    level = [root]
    for _ in range(MAX_DEPTH):
        slots = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(descriptor: Descriptor, slots: asyncio.Semaphore = slots) -> Manifest:
            async with slots:
                return await source.manifest(descriptor)

        for manifest in await gather(read(descriptor) for descriptor in level):
            found[manifest.digest] = manifest
        children = {child.digest: child for d in level for child in found[d.digest].manifests}
        level = [child for digest, child in children.items() if digest not in found]
        if not level:
            return Graph(found[root.digest], found)
        if len(found) + len(level) > MAX_MANIFESTS:
            raise InvalidManifest(f"index {root.digest}: it names more than {MAX_MANIFESTS} manifests", side="source")
    raise InvalidManifest(f"index {root.digest}: it is nested deeper than {MAX_DEPTH} levels", side="source")
