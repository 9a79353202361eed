"""
Referrers of an image: manifests whose subject it is, and those under tags made of its digests.

Signatures, attestations and SBOMs are kept in either way: as referrers (OCI distribution-spec 1.1), or under the tags
of cosign, `sha256-<hex>.sig` and the like. Only looks; moving what is found is `copy`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from transfer.concurrency.retry import retryable
from transfer.concurrency.tasks import gather
from transfer.engine.graph import Graph, read_graph
from transfer.engine.protocols import Source
from transfer.errors import InvalidLayout, InvalidManifest, NotFound, RegistryError
from transfer.events import Notice, Observer
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest

A = TypeVar("A")
T = TypeVar("T")

# A signature of an SBOM of an image is three; who nests deeper, or attaches more, does not mean well.
MAX_DEPTH = 8
MAX_ATTACHED = 2_000
# What cosign calls its tags; asked for one by one where the source does not list its tags.
_KNOWN_SUFFIXES = ("sig", "att", "sbom")
_AT_ONCE = 16


class Attached(msgspec.Struct, frozen=True):
    """
    Something that belongs to an image.

    Attributes:
        graph: its manifests.
        tag: the tag that it must have, being found by it; None for what is found by its subject.
    """

    graph: Graph
    tag: str | None


class Inspected(msgspec.Struct, frozen=True):
    """
    An image without its content.

    Attributes:
        graph: its manifests.
        referrers: what refers to its root; None where nobody asked, or the source cannot tell.
    """

    graph: Graph
    referrers: tuple[Descriptor, ...] | None


async def inspect(source: Source, root: Descriptor, *, referrers: bool) -> Inspected:
    """
    Read the manifests of an image and, where wanted, what refers to its root, in one question more.

    Raises:
        TransferError: the manifests cannot be read; a source that cannot tell referrers is no error.
    """
    graph = await read_graph(source, root)
    if not referrers:
        return Inspected(graph, None)
    try:
        listed = await source.referrers(root)
    except (RegistryError, InvalidManifest):
        return Inspected(graph, None)
    certain = await gather(_is_referrer(source, one, root.digest) for one in listed)
    return Inspected(graph, tuple(one for one, sure in zip(listed, certain, strict=True) if sure))


async def _is_referrer(source: Source, listed: Descriptor, subject: Digest) -> bool:
    """Return whether a listed manifest names the subject; one without a type of artifact is likelier an image."""
    if listed.artifact_type is not None:
        return True
    if not listed.is_manifest:
        return False
    try:
        manifest = await source.manifest(listed)
    except (RegistryError, InvalidManifest, InvalidLayout):
        return False
    return manifest.subject is not None and manifest.subject.digest == subject


async def attached(source: Source, image: Graph, *, notify: Observer) -> list[Attached]:
    """
    Return all that belongs to the manifests of an image, and to what belongs to them, each after what it belongs to.

    The tag `sha256-<hex>` itself is left out: it is how some registries list referrers, and made anew at each target.

    Args:
        notify: told of what is listed and cannot be taken: it is not there any more, or of an unknown kind.

    Raises:
        InvalidManifest: there is too much of it, or it is nested too deep.
        TransferError: the source cannot be read.
    """
    search = _Search(source, image, notify)
    level = [manifest.descriptor for manifest in image.manifests.values()]
    tags = await search.list_tags()
    found: list[Attached] = []
    for _ in range(MAX_DEPTH):
        if not level:
            return found
        below, level = await search.below(level, tags)
        found += below
    raise InvalidManifest(
        f"image {image.root.digest}: what refers to it is nested deeper than {MAX_DEPTH} levels", side="source"
    )


class _Search:
    """The search for the referrers of one image."""

    def __init__(self, source: Source, image: Graph, notify: Observer) -> None:
        self._source = source
        self._root = image.root.digest
        self._notify = notify
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._seen = set(image.manifests)
        self._most = len(self._seen) + MAX_ATTACHED

    async def list_tags(self) -> list[str] | None:
        """Return all tags of the source; None where it does not list them."""
        try:
            return [tag async for tag in self._source.tags()]
        except RegistryError as error:
            if retryable(error):
                raise
            return None

    async def below(
        self, level: Sequence[Descriptor], tags: Sequence[str] | None
    ) -> tuple[list[Attached], list[Descriptor]]:
        """Return the referrers of some manifests, and those of them that were not seen before."""
        tagged = await self._tagged(level, tags)
        listed = await self._listed(level, apart_from={one.digest for one in tagged.values()})
        roots = {one.digest: one for one in (*tagged.values(), *listed)}
        self._check_count(roots)
        graphs = dict(zip(roots, await self._each(self._read, roots.values()), strict=True))
        wanted: list[tuple[Digest, str | None]] = [(one.digest, tag) for tag, one in tagged.items()]
        wanted += [(one.digest, None) for one in listed]
        found = [Attached(graph, tag) for digest, tag in wanted if (graph := graphs[digest]) is not None]
        found = [one for one in found if one.tag is not None or self._refers(one.graph, level)]
        manifests = {digest: manifest for one in found for digest, manifest in one.graph.manifests.items()}
        self._check_count(manifests)
        unseen = [manifest.descriptor for digest, manifest in manifests.items() if digest not in self._seen]
        self._seen |= manifests.keys()
        return found, unseen

    async def _tagged(self, level: Sequence[Descriptor], tags: Sequence[str] | None) -> dict[str, Descriptor]:
        """Return what is under the tags made of the digests of some manifests."""

        async def resolve(tag: str) -> Descriptor | None:
            try:
                return await self._source.resolve(tag)
            except NotFound as error:
                if tags is not None:
                    self._leave_out(tag, error)
                return None

        names = _digest_tags(level, tags)
        if tags is not None:
            self._check_count(names)
        found = dict(zip(names, await self._each(resolve, names), strict=True))
        return {tag: one for tag, one in found.items() if one is not None}

    async def _listed(self, level: Sequence[Descriptor], *, apart_from: set[Digest]) -> list[Descriptor]:
        """Return the listed referrers of some manifests, each once, without those seen before."""
        lists = await self._each(self._source.referrers, level)
        listed = {one.digest: one for each in lists for one in each}
        return [one for digest, one in listed.items() if digest not in self._seen | apart_from]

    async def _read(self, root: Descriptor) -> Graph | None:
        if not root.is_manifest:
            self._leave_out(root.digest, f"{root.media_type!r} is not a kind that can be transferred")
            return None
        try:
            return await read_graph(self._source, root)
        except NotFound as error:
            self._leave_out(root.digest, error)
            return None

    def _refers(self, graph: Graph, level: Sequence[Descriptor]) -> bool:
        subject = graph.root.subject
        if subject is not None and any(one.digest == subject.digest for one in level):
            return True
        self._leave_out(graph.root.digest, "it is listed as a referrer, and does not refer to it")
        return False

    def _leave_out(self, what: str, reason: object) -> None:
        self._notify(Notice(f"{what} is left out of what belongs to {self._root}: {reason}"))

    def _check_count(self, more: Iterable[str]) -> None:
        if len(self._seen.union(more)) > self._most:
            raise InvalidManifest(f"image {self._root}: more than {MAX_ATTACHED} manifests belong to it", side="source")

    async def _each(self, work: Callable[[A], Awaitable[T]], items: Iterable[A]) -> list[T]:
        """Return the work for each item, for some of them at once."""

        async def one(item: A) -> T:
            async with self._slots:
                return await work(item)

        return await gather(one(item) for item in items)


def _digest_tags(level: Sequence[Descriptor], tags: Sequence[str] | None) -> list[str]:
    """Return the tags that are made of these digests; those that may be, where the tags are not known."""
    prefixes = dict.fromkeys(one.digest.as_tag for one in level)
    if tags is None:
        return [f"{prefix}.{suffix}" for prefix in prefixes for suffix in _KNOWN_SUFFIXES]
    return [tag for tag in tags if (parts := tag.partition("."))[0] in prefixes and parts[2]]
