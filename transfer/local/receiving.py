"""
What every local target does with what it is given: a blob verified as it passes, a manifest only when whole.

Does not know where the bytes go: a `Sink` takes them in worker threads.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import filelock

from transfer.engine.content import BlobContext, BlobSource
from transfer.engine.events import BlobProgress, BlobStarted
from transfer.errors import BlobUnknown, ContentMismatch, InvalidLayout
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Hasher
from transfer.model.manifest import Manifest


class Sink(Protocol):
    """
    Where the bytes of one blob go, in order.

    Attributes:
        hasher: has been fed everything that was written.
    """

    @property
    def hasher(self) -> Hasher: ...

    def write(self, data: bytes) -> None:
        """Take the next bytes. Blocks; called in a worker thread."""


async def receive(blob: BlobContext, source: BlobSource, sink: Sink, label: str, *, offset: int = 0) -> None:
    """
    Move a blob's bytes from `offset` on into the sink, verified; `label` names the target.

    Raises:
        ContentMismatch: it is longer or shorter than its size, or all of it has another digest.
        InvalidLayout: the sink cannot write.
    """
    descriptor, position = blob.descriptor, offset
    blob.notify(BlobStarted(descriptor, offset))
    async with source.open_blob(descriptor, offset=offset) as pieces:
        async for piece in pieces:
            position += len(piece)
            if position > descriptor.size:
                break
            with writing(label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(sink.write, piece)
            blob.notify(BlobProgress(descriptor.digest, position))
    if position != descriptor.size:
        found = f"more than {descriptor.size}" if position > descriptor.size else str(position)
        raise _mismatch(source, descriptor, f"it has {found} bytes, its size should be {descriptor.size}")
    if not descriptor.digest.matches(sink.hasher):
        found = f"{descriptor.digest.algorithm}:{sink.hasher.hexdigest()}"
        raise _mismatch(source, descriptor, f"its content has digest {found}")
    if position == offset:
        blob.notify(BlobProgress(descriptor.digest, position))


def _mismatch(source: BlobSource, descriptor: Descriptor, found: str) -> ContentMismatch:
    return ContentMismatch(
        f"blob {descriptor.digest} in {source.locate(descriptor)}: {found}; it is damaged, so make it again",
        side="source",
    )


def require_content(manifest: Manifest, holds: Callable[[Descriptor], bool], label: str) -> None:
    """
    Refuse a manifest that names what is not there.

    Raises:
        BlobUnknown: with the missing digests in its details.
    """
    absent = [one.digest for one in (*manifest.blobs, *manifest.manifests) if not holds(one)]
    if absent:
        raise BlobUnknown(
            f"manifest {manifest.digest} to {label}: it names what is not there, {absent[0]} first",
            status=400,
            code="MANIFEST_BLOB_UNKNOWN",
            details={"missing": tuple(absent)},
            side="target",
        )


@contextmanager
def writing(label: str, what: str) -> Iterator[None]:
    """Turn a refusal of the system into an error that names what could not be written."""
    try:
        yield
    except filelock.Timeout as error:
        raise InvalidLayout(
            f"{label}: another process keeps {error.lock_file} locked: wait for it to end, or write elsewhere",
            side="target",
        ) from None
    except OSError as error:
        raise InvalidLayout(f"{label}: {what} cannot be written: {error.strerror or error}", side="target") from None
