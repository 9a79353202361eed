"""Writing to local targets: a blob is verified as it passes, a manifest only when it is whole."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import filelock

from transfer.concurrency.worker_threads import check, run_in_worker
from transfer.engine.blob_reader import BlobReader, SourceFailed
from transfer.engine.plan import SMALL_BLOB_BYTES
from transfer.engine.protocols import BlobContext, BlobSource
from transfer.errors import BlobUnknown, ContentMismatch, InvalidLayout
from transfer.events import BlobProgress, BlobStarted
from transfer.local.storage import unwritable
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Hasher
from transfer.model.manifest import Manifest

_BUFFER = 256 * 1024


class Sink(Protocol):
    """
    A destination for the bytes of one blob, in order.

    Attributes:
        hasher: has been fed everything that was written.
    """

    @property
    def hasher(self) -> Hasher: ...

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Blocks; called in a worker thread."""


async def write_verified(blob: BlobContext, source: BlobSource, sink: Sink, label: str, *, offset: int = 0) -> None:
    """
    Move a blob's bytes from `offset` on into the sink, verified; `label` names the target.

    Raises:
        ContentMismatch: it is longer or shorter than its size, or all of it has another digest.
        InvalidLayout: the sink cannot write.
    """
    descriptor = blob.descriptor
    blob.notify(BlobStarted(descriptor, offset))
    async with BlobReader(source, descriptor) as reader:
        if descriptor.size <= SMALL_BLOB_BYTES:
            content = await reader.content()
            with writing(label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(sink.write, content[offset:])
            blob.notify(BlobProgress(descriptor.digest, descriptor.size))
        else:
            await _receive_large(blob, reader, sink, label, offset)
        if not descriptor.digest.matches(sink.hasher):
            found = f"{descriptor.digest.algorithm}:{sink.hasher.hexdigest()}"
            raise reader.mismatch(f"its content has digest {found}")


class PartialSink(Sink, Protocol):
    """A sink that an earlier writer may have left bytes in."""

    def restart(self) -> None:
        """Throw away what there is. Blocks."""


async def write_rest(blob: BlobContext, source: BlobSource, sink: PartialSink, label: str, kept: int) -> bool:
    """
    Move what a killed writer did not, or all of a blob where what it left is wrong, which False tells.

    Raises:
        ContentMismatch, InvalidLayout: as of `write_verified`.
    """
    try:
        await write_verified(blob, source, sink, label, offset=kept)
    except ContentMismatch:
        if not kept:
            raise
        await asyncio.to_thread(sink.restart)
        await write_verified(blob, source, sink, label)
        return False
    return True


async def _receive_large(blob: BlobContext, reader: BlobReader, sink: Sink, label: str, offset: int) -> None:
    digest = blob.descriptor.digest
    moving = _Moving(reader, sink, blob.descriptor, offset)
    try:
        with writing(label, f"blob {digest}"):
            await run_in_worker(moving.run, report=lambda: blob.notify(BlobProgress(digest, moving.position)))
    except SourceFailed as failed:
        raise failed.error from None


class _Moving:
    """The bytes of a blob on their way into a sink, in a worker thread."""

    def __init__(self, reader: BlobReader, sink: Sink, blob: Descriptor, offset: int) -> None:
        self._reader = reader
        self._sink = sink
        self._end = blob.size
        self.position = offset

    def run(self) -> None:
        buffer = memoryview(bytearray(min(_BUFFER, self._end)))
        self._reader.seek(self.position)
        while self.position < self._end:
            check()
            count = self._reader.readinto(buffer[: self._end - self.position])
            self._sink.write(buffer[:count])
            self.position += count


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
            f"{label}: another process keeps {error.lock_file} locked: wait until it ends, or write elsewhere",
            side="target",
        ) from None
    except OSError as error:
        raise unwritable(f"{label}: {what} cannot be written", error, "target") from None
