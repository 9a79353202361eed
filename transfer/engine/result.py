"""Results of a push, or of its preview: frozen values in counts, bytes and seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from transfer.events import BlobStatus
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobResult:
    """
    One blob's way.

    Attributes:
        size: bytes of the blob.
        status: "uploaded" from its first byte, "resumed" where an earlier run had stopped, "mounted" from another
            repository of the registry, or "present" already.
        sent: bytes sent by this push.
        resumed: bytes that an earlier run had sent and that were not sent again.
        retries: requests of this blob that were tried again.
        seconds: time in work; 0.0 for a blob that was present.
    """

    digest: Digest
    size: int
    media_type: str
    status: BlobStatus
    sent: int = 0
    resumed: int = 0
    retries: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Total:
    """A number of blobs, and their size in bytes."""

    count: int
    size: int

    @classmethod
    def of(cls, blobs: "Iterable[BlobResult | Descriptor]") -> Self:
        sizes = [blob.size for blob in blobs]
        return cls(len(sizes), sum(sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """
    The result of `push_image`.

    Attributes:
        digest: of the root manifest or index.
        reference: `registry/repository@digest`, what to pull or deploy.
        blobs: every blob of the image once, in the order of its manifests.
        attached: the digests of what went with it: signatures, SBOMs and the like.
        manifests: how many manifests were sent; 0 where nothing had changed.
        requests: how many were made for this image alone, at source and target.
        retries: requests that were tried again, those for manifests and checks included.
        seconds: from the call to its return.
    """

    digest: Digest
    reference: str
    blobs: tuple[BlobResult, ...]
    retries: int
    seconds: float
    attached: tuple[Digest, ...] = ()
    manifests: int = 0
    requests: int = 0

    @property
    def uploaded(self) -> Total:
        """Blobs sent whole by this push."""
        return self._of("uploaded")

    @property
    def present(self) -> Total:
        """Blobs that were there already."""
        return self._of("present")

    @property
    def resumed(self) -> Total:
        """Blobs that were continued inside."""
        return self._of("resumed")

    @property
    def mounted(self) -> Total:
        """Blobs that the registry took from another of its repositories."""
        return self._of("mounted")

    @property
    def sent(self) -> int:
        """Bytes of content sent by this push."""
        return sum(blob.sent for blob in self.blobs)

    def _of(self, status: BlobStatus) -> Total:
        return Total.of(blob for blob in self.blobs if blob.status == status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """
    The preview of a copy to one target.

    Attributes:
        digest: of the root manifest or index.
        reference: what it would be afterwards, `registry/repository@digest`.
        uploaded, mounted, present: its blobs, by how they would come to be there. A registry may turn a mount down.
        manifests: how many would be sent; 0 where nothing has changed.
        requests: those that would write, by kind.
        creates: whether the repository would be created.
    """

    digest: Digest
    reference: str
    uploaded: Total
    mounted: Total
    present: Total
    manifests: int
    requests: Mapping[str, int]
    creates: bool = False
