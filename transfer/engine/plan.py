"""
Plan: from what an image is and what the target has, to what must be asked and sent, and in which order.

Pure functions, no I/O.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from transfer.engine.graph import Graph
from transfer.engine.protocols import Presence, Target
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest

# A blob up to this size is one request's worth and mostly waiting; it must not queue behind gigabytes.
SMALL_BLOB_BYTES = 1024 * 1024


class Plan(msgspec.Struct, frozen=True):
    """
    The work to do; empty where the target already has the image under its name.

    Attributes:
        absent: the manifests to push; a manifest that is there vouches for all that it names.
        asked: the blobs whose availability is not yet known.
    """

    absent: frozenset[Digest]
    asked: tuple[Descriptor, ...]


def plan(graph: Graph, presence: Presence, tag: str | None) -> Plan:
    """Return the work to do; only the root where nothing but its tag is new."""
    absent = _absent(graph, presence, tag)
    return Plan(absent, tuple(_unknown(graph, presence, absent)))


def _absent(graph: Graph, presence: Presence, tag: str | None) -> frozenset[Digest]:
    root = graph.root.digest
    if root in presence.manifests or presence.tagged == root:
        return frozenset() if tag is None or presence.tagged == root else frozenset({root})
    return frozenset(graph.manifests) - presence.manifests


def _unknown(graph: Graph, presence: Presence, absent: frozenset[Digest]) -> list[Descriptor]:
    """
    Return the blobs of absent manifests, unless a present one names them too.

    Foreign layers that are wanted are always among them: a registry takes manifests without.
    """
    unknown = _foreign(graph)
    if graph.root.digest not in presence.manifests:
        vouched = {blob.digest for blob in graph.blobs(frozenset(graph.manifests) & presence.manifests)}
        unknown |= {blob.digest for blob in graph.blobs(absent)} - vouched
    return [blob for blob in graph.blobs() if blob.digest in unknown]


def _foreign(graph: Graph) -> set[Digest]:
    return {blob.digest for blob in graph.blobs() if blob.is_foreign}


class Queue:
    """
    Blobs waiting for a worker: those that most copies share first, then the largest, with a lane for small ones.

    Args:
        shared: how many copies want a blob; one where nothing is said.
    """

    def __init__(self, blobs: Iterable[Descriptor], shared: Mapping[Digest, int] | None = None) -> None:
        counts = shared or {}
        ordered = sorted(blobs, key=lambda blob: (counts.get(blob.digest, 1), blob.size), reverse=True)
        self._large = deque(blob for blob in ordered if blob.size > SMALL_BLOB_BYTES)
        self._small = deque(blob for blob in ordered if blob.size <= SMALL_BLOB_BYTES)

    def __len__(self) -> int:
        return len(self._large) + len(self._small)

    def take(self, *, large_in_work: int, workers: int) -> Descriptor | None:
        """
        Return the blob that the next free worker shall move, or None when the queue is empty.

        A quarter of the workers is kept for small blobs as long as there are any: the last large blob then starts
        early, and a hundred small ones do not wait for it.
        """
        kept = max(1, workers // 4) if workers > 1 else 0
        if self._large and (not self._small or large_in_work < workers - kept):
            return self._large.popleft()
        return self._small.popleft() if self._small else None


class PlannedContent:
    """The blobs that planned copies will put into repositories."""

    def __init__(self) -> None:
        self._registries: dict[str, dict[str, set[Digest]]] = {}

    def to(self, target: Target) -> set[Digest]:
        """Return the digests planned for a target's repository; the caller may add to the set."""
        return self._registries.setdefault(target.registry, {}).setdefault(target.key, set())

    def beside(self, target: Target, digest: Digest) -> bool:
        """Return whether something will be in another repository of a target's registry."""
        repositories = self._registries.get(target.registry, {})
        return any(digest in held for key, held in repositories.items() if key != target.key)
