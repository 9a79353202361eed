"""
The two protocols that every end implements: Source and Target.

A source opens content again at any offset, and a target takes a source, not a stream: retry, resume and ranged
reading follow from these two signatures.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from transfer.events import Event, Observer, Retrying
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest


class BlobSource(Protocol):
    """A source of blobs: all that an upload needs."""

    def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream the bytes from `offset` up to, not including, `end`. Does not verify the digest."""

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        """
        Return the blob as a seekable local file, or None where it is not one; from the first byte on if it has a
        descriptor (`fileno`).

        Blocks; called in a worker thread, which then reads, hashes and encodes in one hop.
        """

    def locate(self, descriptor: Descriptor) -> str:
        """Return where the blob is, for error messages: a path, or a URL without its query."""


class Source(BlobSource, Protocol):
    """A source of an image."""

    async def resolve(self, reference: str | None) -> Descriptor:
        """Descriptor of the root manifest: a tag, a digest, or None for the only one there is."""

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """Return the manifest with its raw bytes, verified against the descriptor."""

    async def referrers(self, descriptor: Descriptor) -> Sequence[Descriptor]:
        """Return the manifests whose subject a manifest is, each once; none where it does not exist."""

    def tags(self) -> AsyncIterator[str]:
        """Return every tag, each once: what `resolve` takes."""


class Presence(msgspec.Struct, frozen=True):
    """
    What a target already has of an image: its tag and manifests.

    Attributes:
        tagged: the digest under the tag that was asked for; None when there is no such tag.
        manifests: which of the manifests asked for are known to be there; where the tag holds one, that one may be all,
            since it vouches for all that it names.
    """

    tagged: Digest | None = None
    manifests: frozenset[Digest] = frozenset()


class Hints(msgspec.Struct, frozen=True):
    """
    Facts that save a target requests.

    Attributes:
        tagged: the digest that the tag has just been seen to hold, None where there was no such tag; or not known.
        blobs: what the image is made of, and is going to be asked for next.
    """

    tagged: Digest | UnsetType | None = UNSET
    blobs: tuple[Descriptor, ...] = ()


NO_HINTS = Hints()


class BlobSent(msgspec.Struct, frozen=True):
    """The outcome of an upload: bytes sent now, bytes that an earlier run had sent, or mounted."""

    sent: int
    resumed: int = 0
    already_there: bool = False
    mounted: bool = False


class BlobContext(msgspec.Struct):
    """One blob being uploaded: its observer, and the number of retries."""

    descriptor: Descriptor
    notify: Observer
    retries: int = 0

    def observe(self, event: Event) -> None:
        """Count a retry, and pass on whatever it is."""
        self.retries += isinstance(event, Retrying)
        self.notify(event)


# Nothing can be mounted at all; no repository is known to have it yet; one is, and whether mounting works was never
# tried; one is, and it works.
Mountable = Literal["never", "later", "untried", "now"]


class Target(Protocol):
    """
    A target of an image: one repository of one registry, or one layout or archive.

    Attributes:
        key: names registry and repository; what is pushed twice under one key is pushed once.
        registry: names the registry alone; limits hold for each.
        held_bytes: what one upload takes from its source before it can go on without more.
    """

    @property
    def key(self) -> str: ...

    @property
    def registry(self) -> str: ...

    @property
    def held_bytes(self) -> int: ...

    async def present(self, manifests: Sequence[Descriptor], *, tag: str | None, hints: Hints = NO_HINTS) -> Presence:
        """Ask, in as few requests as the protocol allows, what the tag holds and which manifests are there."""

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:
        """Return the blobs that are missing; `fresh` asks again for those that are known to be present."""

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """Raise TagImmutable when a tag that holds another digest is known not to move, before anything is sent."""

    def mountable(self, digest: Digest) -> Mountable:
        """Return whether a blob can be taken from another repository of this registry, by what is known now."""

    async def mount_blob(self, descriptor: Descriptor, from_repository: str | None) -> bool:
        """
        Have a blob of another repository of this registry here too, unsent; False is normal, and never an error.

        Args:
            from_repository: one that has it; None for what is known here.
        """

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        """Upload one blob, continuing where the journal says an earlier run stopped."""

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """Upload one manifest under its digest, and under the tag where one is given."""

    async def list_referrer(self, manifest: Manifest) -> None:
        """
        Have a manifest that is there found from its subject; `push_manifest` does so too.

        For one that an earlier run pushed, which may have been killed in between.
        """
