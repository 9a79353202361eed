"""
An archive on the standard output as a Target: one blob after the other, the list of the images last.

What is written cannot be taken back: where a blob breaks off, the archive does, and whoever reads it sees that it has
no end.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import BinaryIO, Self

from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Presence
from transfer.errors import InvalidLayout
from transfer.local.archive.catalogue import Catalogue
from transfer.local.archive.tar import BLOCK, END_MARK_BYTES
from transfer.local.archive.tar_append import member_header
from transfer.local.layout.reader import blob_names
from transfer.local.target import LocalTarget
from transfer.local.verified_write import require_content, write_verified, writing
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest


class StreamTarget(LocalTarget):
    """
    One archive, written to a stream from its beginning to its end; blobs wait for each other.

    Args:
        stream: a pipe or file that is open for writing, which stays open.
        label: what it is called in messages.
    """

    def __init__(self, stream: BinaryIO, catalogue: Catalogue, *, label: str = "archive '-'") -> None:
        self.key = self.registry = self._label = label
        self._stream = stream
        self._catalogue = catalogue
        self._turn = asyncio.Lock()
        self._held: dict[Digest, int] = {}
        self._list = catalogue.empty
        self._whole = True

    async def __aenter__(self) -> Self:
        if self._stream.isatty():
            raise InvalidLayout(
                f"{self._label}: it is a terminal: pipe it on, as in transfer pull IMAGE - | docker load", side="target"
            )
        for name, content in self._catalogue.others.items():
            await self._add(name, content)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._whole:
            await self._add(self._catalogue.file, self._list)
            with writing(self._label, "its end"):
                await asyncio.to_thread(self._write, bytes(END_MARK_BYTES))

    async def present(
        self,
        manifests: Sequence[Descriptor],
        *,
        tag: str | None,  # noqa: ARG002 - the protocol's signature
        hints: Hints = NO_HINTS,  # noqa: ARG002 - the protocol's signature
    ) -> Presence:
        """Return which manifests have been written."""
        return Presence(None, frozenset(one.digest for one in manifests if self._holds(one)))

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:  # noqa: ARG002 - the protocol's signature
        """Return the blobs that have not been written."""
        return {blob.digest for blob in blobs if not self._holds(blob)}

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        """
        Write one blob.

        Raises:
            ContentMismatch: the bytes have another digest or size than the descriptor; the archive stays without end.
            InvalidLayout: the stream cannot be written.
        """
        descriptor = blob.descriptor
        async with self._turn:
            if self._holds(descriptor):
                return BlobSent(sent=0, already_there=True)
            self._check_whole()
            self._whole = False
            with writing(self._label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(
                    self._write, member_header("/".join(blob_names(descriptor.digest)), descriptor.size)
                )
            await write_verified(blob, source, _StreamSink(self._write, descriptor), self._label)
            with writing(self._label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(self._write, bytes(-descriptor.size % BLOCK))
            self._whole = True
            self._held[descriptor.digest] = descriptor.size
        return BlobSent(descriptor.size)

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """
        List one manifest; the list is written at the end.

        Raises:
            BlobUnknown: blobs that it names are not there.
            InvalidManifest: an archive of this kind cannot hold it.
        """
        parse_manifest(manifest.raw, manifest.descriptor)
        async with self._turn:
            require_content(manifest, self._holds, self._label)
            self._list = self._catalogue.with_image(self._list, manifest, tag)
            if not self._holds(manifest.descriptor):
                await self._add("/".join(blob_names(manifest.digest)), manifest.raw)
                self._held[manifest.digest] = len(manifest.raw)

    def _holds(self, descriptor: Descriptor) -> bool:
        return self._held.get(descriptor.digest) == descriptor.size

    def _check_whole(self) -> None:
        if not self._whole:
            raise InvalidLayout(f"{self._label}: an earlier blob broke off in it: write it again", side="target")

    async def _add(self, name: str, content: bytes) -> None:
        self._check_whole()
        self._whole = False
        with writing(self._label, name):
            await asyncio.to_thread(
                self._write, b"".join((member_header(name, len(content)), content, bytes(-len(content) % BLOCK)))
            )
        self._whole = True

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            # A stream without a buffer takes as much as it can.
            view = view[self._stream.write(view) :]
        self._stream.flush()


class _StreamSink:
    """A blob on its way into the stream."""

    def __init__(self, write: Callable[[bytes | memoryview], object], descriptor: Descriptor) -> None:
        self.hasher = descriptor.digest.hasher()
        self._write = write

    def write(self, data: bytes | memoryview) -> None:
        self.hasher.update(data)
        self._write(data)
