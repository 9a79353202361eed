"""
An archive as a Target, an OCI layout in a tar or a docker archive: many images, each blob once, later ones appended.

The archive belongs to one writer at a time, by a lock beside it (`.NAME.lock`). A new one is made under another name
(`.NAME.part`) and appears with its first image; an existing one is valid for every reader at every moment (see
`appending`). A blob that was cut off starts over: its bytes lie behind the end of the archive, where nobody looks for
them.
"""

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Presence
from transfer.local.archive.catalogue import Catalogue, DockerCatalogue, OciCatalogue
from transfer.local.archive.tar_append import Space, TarAppender
from transfer.local.archive.writer import ArchiveWriter
from transfer.local.layout.reader import blob_names
from transfer.local.target import LocalTarget
from transfer.local.verified_write import write_verified, writing
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest

# Another copy into the same archive may take a while.
_LOCK_SECONDS = 600.0


class ArchiveTarget(LocalTarget):
    """
    One archive.

        async with OciArchiveTarget(Path("images.tar")) as target: ...

    An image is in the archive as soon as its tag is pushed; one without a tag when the block ends without an error.
    Entering makes the folder of the archive, and waits for another writer of it. Every error of its own has
    `side="target"`.

    Raises (on entering):
        InvalidLayout: the file is no archive of that kind, or is compressed, or cannot be written, or stays locked.
    """

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        place = Path(os.path.realpath(path))
        self.path = path
        self.key = self.registry = f"archive {place}"
        self._label = f"archive {str(path)!r}"
        self._writer = ArchiveWriter(place, self._label, catalogue)
        self._lock = filelock.AsyncFileLock(place.with_name(f".{place.name}.lock"), timeout=_LOCK_SECONDS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    async def __aenter__(self) -> Self:
        with writing(self._label, "the file"):
            await self._lock.acquire()
            try:
                await asyncio.to_thread(self._writer.open)
            except BaseException:
                await self._close(commit=False)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close(commit=error is None)

    async def _close(self, *, commit: bool) -> None:
        try:
            with writing(self._label, "its index"):
                await asyncio.to_thread(self._writer.close, commit=commit)
        finally:
            await self._lock.release()

    async def present(
        self,
        manifests: Sequence[Descriptor],
        *,
        tag: str | None,
        hints: Hints = NO_HINTS,  # noqa: ARG002 - the protocol's signature
    ) -> Presence:
        """Return what the tag holds, and which manifests are present with their size."""
        present = frozenset(one.digest for one in manifests if self._writer.holds(one))
        return Presence(None if tag is None else self._writer.tagged(tag), present)

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:  # noqa: ARG002 - the protocol's signature
        """Return the blobs without a member of their size; `fresh` makes no difference."""
        return {blob.digest for blob in blobs if not self._writer.holds(blob)}

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        """
        Append one blob; several may be on their way at once.

        Raises:
            ContentMismatch: the bytes have another digest or size than the descriptor.
            InvalidLayout: the archive cannot be written, or there is no room for it.
        """
        descriptor = blob.descriptor
        if self._writer.holds(descriptor):
            return BlobSent(sent=0, already_there=True)
        member = _MemberSink(self._writer.appender, descriptor)
        try:
            with writing(self._label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(member.open)
            await write_verified(blob, source, member, self._label)
            with writing(self._label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(member.publish)
        finally:
            await asyncio.to_thread(member.close)
        return BlobSent(descriptor.size)

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """
        Append one manifest; a tag shows the image to every reader, and so does the end of the block.

        Raises:
            BlobUnknown: blobs or manifests that it names are not there; nothing is changed.
            InvalidManifest: its bytes are not what its descriptor says; nothing is changed.
            InvalidLayout: the archive cannot be written.
        """
        parse_manifest(manifest.raw, manifest.descriptor)
        with writing(self._label, f"manifest {manifest.digest}"):
            await asyncio.to_thread(self._writer.put, manifest, tag)


class OciArchiveTarget(ArchiveTarget):
    """An OCI layout in a tar."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OciCatalogue())


class DockerArchiveTarget(ArchiveTarget):
    """What `docker load` takes, its tags being names such as `app:v1`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, DockerCatalogue())


class _MemberSink:
    """
    A blob on its way into an archive.

    The lock makes `close` wait for a thread whose coroutine was cancelled.
    """

    def __init__(self, appender: TarAppender, descriptor: Descriptor) -> None:
        self.hasher = descriptor.digest.hasher()
        self._appender = appender
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._position = 0
        self._space: Space | None = None

    def open(self) -> None:
        with self._lock:
            self._space = self._appender.reserve("/".join(blob_names(self._descriptor.digest)), self._descriptor.size)

    def write(self, data: bytes | memoryview) -> None:
        with self._lock:
            if self._space is not None:
                self.hasher.update(data)
                self._appender.write(self._space, self._position, data)
                self._position += len(data)

    def publish(self) -> None:
        with self._lock:
            if self._space is not None:
                self._appender.publish(self._space)
                self._space = None

    def close(self) -> None:
        with self._lock:
            if self._space is not None:
                self._appender.give_back(self._space)
                self._space = None
