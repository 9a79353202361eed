"""
Source and Target in memory: the reference implementation of both protocols.

What the protocols leave to words, these two classes say in code: digests are checked as bytes pass, a manifest is
taken only when all that it names is there, the tag moves last. They need the memory of every blob they hold. Know
no file and no network.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Mountable, Presence
from transfer.errors import BlobUnknown, ContentMismatch, InvalidManifest, NotFound, TagImmutable
from transfer.events import BlobProgress, BlobStarted
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, as_referrer, parse_manifest

_PIECE_BYTES = 1024 * 1024


class MemorySource:
    """
    Images in memory.

    Attributes:
        blobs, manifests: content by digest.
        tagged: the root that each tag names.
        calls: how often each method of the protocol was called, by its name.
    """

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.manifests: dict[Digest, bytes] = {}
        self.tagged: dict[str, Descriptor] = {}
        self.calls: Counter[str] = Counter()

    def add_blob(self, content: bytes, media_type: str) -> Descriptor:
        """Hold a blob under its digest."""
        descriptor = Descriptor(media_type=media_type, digest=Digest.of(content), size=len(content))
        self.blobs[descriptor.digest] = content
        return descriptor

    def add_manifest(self, raw: bytes, *, tag: str | None = None) -> Descriptor:
        """
        Hold a manifest under its digest, and under the tag where one is given.

        Raises:
            InvalidManifest: `raw` is not a manifest.
        """
        descriptor = parse_manifest(raw).descriptor
        self.manifests[descriptor.digest] = raw
        if tag is not None:
            self.tagged[tag] = descriptor
        return descriptor

    async def resolve(self, reference: str | None) -> Descriptor:
        """
        Descriptor by tag or digest, or None for the only tagged image.

        Raises:
            NotFound: there is none, or None was asked for and there are several.
        """
        self.calls["resolve"] += 1
        if reference is None:
            found = set(self.tagged.values())
            if len(found) == 1:
                return found.pop()
            raise _not_found("MANIFEST_UNKNOWN", f"memory source: {len(found)} images are tagged, name one")
        if reference in self.tagged:
            return self.tagged[reference]
        for digest, raw in self.manifests.items():
            if digest == reference:
                return parse_manifest(raw).descriptor
        raise _not_found("MANIFEST_UNKNOWN", f"memory source: no such image {reference!r}")

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """
        Return the manifest, verified against the descriptor.

        Raises:
            NotFound: it is not here.
            InvalidManifest: it is not what the descriptor says.
        """
        self.calls["manifest"] += 1
        raw = self.manifests.get(descriptor.digest)
        if raw is None:
            raise _not_found("MANIFEST_UNKNOWN", f"memory source: no such manifest {descriptor.digest}")
        try:
            return parse_manifest(raw, descriptor)
        except InvalidManifest as error:
            raise InvalidManifest(f"memory source: {error}", side="source") from None

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """Return the referrers of a manifest."""
        self.calls["referrers"] += 1
        held = [parse_manifest(raw) for raw in self.manifests.values()]
        return [as_referrer(one) for one in held if one.subject and one.subject.digest == descriptor.digest]

    async def tags(self) -> AsyncGenerator[str]:
        """Yield every tag, in the order in which they were given."""
        self.calls["tags"] += 1
        for tag in list(self.tagged):
            yield tag

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Stream the bytes from `offset` up to, not including, `end`, in pieces of at most 1 MiB.

        Raises:
            NotFound: the blob is not here.
            ContentMismatch: it has another size.
            ValueError: the range is not inside the blob.
        """
        self.calls["open_blob"] += 1
        stop = descriptor.end_of_range(offset, end)
        content = self.blobs.get(descriptor.digest)
        if content is None:
            raise _not_found("BLOB_UNKNOWN", f"memory source: no such blob {descriptor.digest}")
        if len(content) != descriptor.size:
            raise _mismatch(descriptor, f"{len(content)} bytes where {descriptor.size} were expected")
        async with aclosing(_pieces(content, offset, stop)) as pieces:
            yield pieces

    def open_file(self, descriptor: Descriptor) -> None:  # noqa: ARG002 - the protocol's signature
        """There are no files here: content is streamed."""
        self.calls["open_file"] += 1

    def locate(self, descriptor: Descriptor) -> str:
        return f"memory:{descriptor.digest}"


async def _pieces(content: bytes, offset: int, stop: int) -> AsyncGenerator[bytes, None]:
    for start in range(offset, stop, _PIECE_BYTES):
        # Let others run, as reading from a disk or a network does.
        await asyncio.sleep(0)
        yield content[start : min(start + _PIECE_BYTES, stop)]


class MemoryTarget:
    """
    One repository in memory.

    Args:
        key: names the repository among others of one engine.
        immutable: a tag never moves to another digest.

    Attributes:
        blobs: content by digest.
        manifests: manifests by digest.
        tags: the digest that each tag names.
        neighbours: blobs of other repositories, by the repository's name.
        calls: how often each method of the protocol was called, by its name.
    """

    held_bytes = _PIECE_BYTES

    def __init__(self, key: str = "memory", *, immutable: bool = False) -> None:
        self.key = self.registry = key
        self.immutable = immutable
        self.blobs: dict[Digest, bytes] = {}
        self.manifests: dict[Digest, Manifest] = {}
        self.tags: dict[str, Digest] = {}
        self.neighbours: dict[str, dict[Digest, bytes]] = {}
        self.calls: Counter[str] = Counter()

    async def present(
        self,
        manifests: Sequence[Descriptor],
        *,
        tag: str | None,
        hints: Hints = NO_HINTS,  # noqa: ARG002 - the protocol's signature
    ) -> Presence:
        self.calls["present"] += 1
        tagged = None if tag is None else self.tags.get(tag)
        return Presence(tagged, frozenset(one.digest for one in manifests if one.digest in self.manifests))

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:  # noqa: ARG002 - the protocol's signature
        """Always asks anew: nothing is remembered here, so `fresh` makes no difference."""
        self.calls["missing"] += 1
        return {blob.digest for blob in blobs if blob.digest not in self.blobs}

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """
        Refuse to move a tag of an immutable repository.

        Raises:
            TagImmutable: it holds another digest.
        """
        self.calls["check_tag"] += 1
        self._check_tag(tag, wanted, held)

    def mountable(self, digest: Digest) -> Mountable:
        """Return the blobs that one of `neighbours` has."""
        if not self.neighbours:
            return "never"
        return "now" if any(digest in blobs for blobs in self.neighbours.values()) else "later"

    async def mount_blob(self, descriptor: Descriptor, from_repository: str | None) -> bool:
        """Take a blob from the repository of this name among `neighbours`, or from any."""
        self.calls["mount_blob"] += 1
        if from_repository is None:
            from_repository = next((name for name, held in self.neighbours.items() if descriptor.digest in held), "")
        content = self.neighbours.get(from_repository, {}).get(descriptor.digest)
        if content is not None:
            self.blobs[descriptor.digest] = content
        return content is not None

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        """
        Take a blob from the source; it is here only when all of it was verified.

        Raises:
            ContentMismatch: the bytes have another digest or size than the descriptor.
        """
        self.calls["push_blob"] += 1
        descriptor = blob.descriptor
        if descriptor.digest in self.blobs:
            return BlobSent(sent=0, already_there=True)
        blob.notify(BlobStarted(descriptor))
        hasher, content = descriptor.digest.hasher(), bytearray()
        async with source.open_blob(descriptor) as pieces:
            async for piece in pieces:
                hasher.update(piece)
                content += piece
                blob.notify(BlobProgress(descriptor.digest, len(content)))
        if len(content) != descriptor.size or not descriptor.digest.matches(hasher):
            where = source.locate(descriptor)
            raise _mismatch(descriptor, f"{len(content)} bytes from {where} with digest {hasher.hexdigest()}")
        self.blobs[descriptor.digest] = bytes(content)
        return BlobSent(sent=len(content))

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """
        Take a manifest, and move the tag to it.

        Raises:
            BlobUnknown: blobs or manifests that it names are not here; nothing is changed.
            InvalidManifest: its bytes are not what its descriptor says; nothing is changed.
            TagImmutable: the tag holds another digest and does not move; nothing is changed.
        """
        self.calls["push_manifest"] += 1
        parse_manifest(manifest.raw, manifest.descriptor)
        absent = [blob.digest for blob in manifest.blobs if blob.digest not in self.blobs]
        absent += [child.digest for child in manifest.manifests if child.digest not in self.manifests]
        if absent:
            raise BlobUnknown(
                f"manifest {manifest.digest} to {self.key}: it names what is not there, {absent[0]} first",
                status=400,
                code="MANIFEST_BLOB_UNKNOWN",
                details={"missing": tuple(absent)},
                side="target",
            )
        if tag is not None:
            self._check_tag(tag, manifest.digest, self.tags.get(tag))
            self.tags[tag] = manifest.digest
        self.manifests[manifest.digest] = manifest

    async def list_referrer(self, manifest: Manifest) -> None:  # noqa: ARG002 - the protocol's signature
        """Nothing to do: what refers to an image is found among all manifests."""
        self.calls["list_referrer"] += 1

    def _check_tag(self, tag: str, wanted: Digest, held: Digest | None) -> None:
        if self.immutable and held not in (None, wanted):
            raise TagImmutable(
                f"tag {tag!r} of {self.key}: it holds {held} and cannot move to {wanted}: choose another tag",
                status=400,
                code="TAG_INVALID",
                side="target",
            )


def _not_found(code: str, message: str) -> NotFound:
    return NotFound(message, status=404, code=code, side="source")


def _mismatch(descriptor: Descriptor, found: str) -> ContentMismatch:
    return ContentMismatch(f"blob {descriptor.digest} of {descriptor.size} bytes: found {found}", side="source")
