"""
Reading an OCI layout as a Source, wherever its files lie.

Everything in it is taken as written by a stranger: documents are read strictly and capped, a blob's size is compared
before a byte is read.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Protocol, TypeVar

from transfer.errors import AmbiguousImage, ContentMismatch, InvalidLayout, InvalidManifest
from transfer.local.layout.files import FileReader
from transfer.local.layout.index import (
    INDEX_FILE,
    LAYOUT_FILE,
    check_layout,
    choose_entry,
    fitting,
    names_of,
    read_entries,
)
from transfer.local.manifest_links import References
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest, is_digest_tag
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest, parse_manifest

T = TypeVar("T")

PIECE_BYTES = 1024 * 1024


class Files(Protocol):
    """
    Named files, opened for reading.

    Attributes:
        label: what they are in, for messages: a kind and a path.
        how_to_choose: how one of several images is named, for messages.
    """

    @property
    def label(self) -> str: ...

    @property
    def how_to_choose(self) -> str: ...

    def open(self, names: Sequence[str]) -> BinaryIO:
        """
        Return the file, buffered and seekable, with a size that `size_of` can tell. Blocks.

        Raises:
            InvalidLayout: it is missing, or not a plain file.
        """

    def locate(self, names: Sequence[str]) -> str:
        """Return the path of a file, for messages."""


def size_of(file: BinaryIO) -> int:
    """Return bytes of an opened file."""
    return file.seek(0, os.SEEK_END) - file.seek(0)


def blob_names(digest: Digest) -> tuple[str, str, str]:
    """Return the path of a blob below the root of a layout."""
    # A Digest has passed its grammar, so neither part can hold a slash or dots.
    return ("blobs", digest.algorithm, digest.encoded)


class FileBlobs(ABC):
    """Blobs that are files of this machine: what `open_file` opens, `open_blob` streams."""

    label: str

    @abstractmethod
    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob as a file of exactly its size. Blocks."""

    @abstractmethod
    def locate(self, descriptor: Descriptor) -> str:
        """Return the path of a blob, for messages."""

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Stream the bytes from `offset` up to, not including, `end`, in pieces of at most 1 MiB.

        Raises:
            InvalidLayout, ContentMismatch: its file cannot be used, or has another size.
            ValueError: the range is not inside the blob.
        """
        stop = descriptor.end_of_range(offset, end)
        reader = FileReader(lambda: self.open_file(descriptor))
        try:
            size = min(PIECE_BYTES, stop - offset)
            first = await self._read(descriptor, lambda: reader.open(offset, size))
            async with aclosing(self._pieces(reader, descriptor, first, stop - offset)) as pieces:
                yield pieces
        finally:
            # Not in a thread: a cancellation would drop it. It waits for the read of one piece at most.
            reader.close()

    async def _pieces(
        self, reader: FileReader, descriptor: Descriptor, piece: bytes, remaining: int
    ) -> AsyncGenerator[bytes, None]:
        while remaining:
            if not piece:
                raise self.mismatch(descriptor, descriptor.size - remaining)
            remaining -= len(piece)
            yield piece
            size = min(PIECE_BYTES, remaining)
            piece = await self._read(descriptor, lambda: reader.read(size)) if size else b""  # noqa: B023 - called at once

    async def _read(self, descriptor: Descriptor, read: Callable[[], bytes]) -> bytes:
        try:
            return await asyncio.to_thread(read)
        except OSError as error:
            shown = self.shown(descriptor)
            raise InvalidLayout(f"{self.label}: {shown} cannot be read: {error.strerror}", side="source") from None

    def shown(self, descriptor: Descriptor) -> str:
        """Return the blob's file in messages that name the label too."""
        return "/".join(blob_names(descriptor.digest))

    def mismatch(self, descriptor: Descriptor, size: int) -> ContentMismatch:
        """Return the error that a blob's file has another size."""
        return ContentMismatch(
            f"{self.label}: {self.shown(descriptor)} has {size} bytes where {descriptor.size} were expected: "
            f"write the image into the {self.label.partition(' ')[0]} again",
            side="source",
        )


class FileSource(FileBlobs):
    """
    The images of an OCI layout.

    Every error has `side="source"` and names the layout and the file in it.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.label = files.label
        self._references = References(self.read_manifest)

    async def resolve(self, reference: str | None) -> Descriptor:
        """
        Descriptor of an entry of index.json: by tag, by full name, by digest, or None for the only image.

        Raises:
            InvalidLayout: it is not a layout, or none or several of its images fit.
        """
        entries = await asyncio.to_thread(self.choices, reference)
        found = choose_entry(entries, reference, self.files.how_to_choose)
        if isinstance(found, str):
            raise self.no_choice(found, fitting(entries, reference))
        return found

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """
        Return the manifest, verified against the descriptor.

        Raises:
            InvalidLayout, ContentMismatch: its file cannot be used, or has another size.
            InvalidManifest: it is too large, malformed or has another digest.
        """
        return await asyncio.to_thread(self.read_manifest, descriptor)

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """
        Return the referrers of a manifest, among all that index.json leads to; unreadable ones are skipped.

        Raises:
            InvalidLayout: it is not a layout.
        """
        return await asyncio.to_thread(lambda: self._references.to(descriptor.digest, self.entries()))

    async def tags(self) -> AsyncGenerator[str]:
        """
        Yield the name of every entry of index.json that has one, each once.

        Raises:
            InvalidLayout: it is not a layout.
        """
        entries = await asyncio.to_thread(self.entries)
        for name in dict.fromkeys(names[0] for entry in entries if (names := names_of(entry))):
            yield name

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        """
        Return the blob's file, buffered. Blocks.

        Raises:
            InvalidLayout: it is missing, behind a link, not a regular file, or cannot be read.
            ContentMismatch: its size is not the descriptor's.
        """
        file = self.files.open(blob_names(descriptor.digest))
        size = size_of(file)
        if size != descriptor.size:
            file.close()
            raise self.mismatch(descriptor, size)
        return file

    def locate(self, descriptor: Descriptor) -> str:
        """Return the path of a blob's file."""
        return self.files.locate(blob_names(descriptor.digest))

    def entries(self) -> tuple[Descriptor, ...]:
        """Return all entries of index.json. Blocks."""
        self.read_document(LAYOUT_FILE, check_layout)
        return self.read_document(INDEX_FILE, read_entries)

    def choices(self, reference: str | None) -> tuple[Descriptor, ...]:
        """Return the entries that may be meant: not those that are there for others, where none is named. Blocks."""
        entries = self.entries()
        if reference is not None or len({entry.digest for entry in entries}) < 2:
            return entries
        roots = [one for one in entries if not is_digest_tag(one.name) and not self._references.refers(one)]
        return tuple(roots) or entries

    def read_manifest(self, descriptor: Descriptor) -> Manifest:
        """As `manifest`. Blocks."""
        if descriptor.size > MAX_DOCUMENT_BYTES:
            raise InvalidManifest(
                f"{self.label}: manifest {descriptor.digest} is {descriptor.size} bytes, more than "
                f"{MAX_DOCUMENT_BYTES}",
                side="source",
            )
        with self.open_file(descriptor) as file:
            raw = file.read(descriptor.size)
        try:
            return parse_manifest(raw, descriptor)
        except InvalidManifest as error:
            raise InvalidManifest(f"{self.label}: {error}", side="source") from None

    def read_document(self, name: str, read: Callable[[bytes], T]) -> T:
        """
        Return one of the documents at the root, capped in size. Blocks.

        Raises:
            InvalidLayout: it is missing, or `read` refuses it.
        """
        with self.files.open((name,)) as file:
            raw = file.read(MAX_DOCUMENT_BYTES + 1)
        try:
            return read(raw)
        except DocumentError as error:
            raise self.refusal(name, f"cannot be used: {error}") from None

    def no_choice(self, reason: str, candidates: Sequence[Descriptor]) -> InvalidLayout:
        """Return the error that index.json has none, or several, of what is meant."""
        if len(candidates) < 2:
            return self.refusal(INDEX_FILE, reason)
        return AmbiguousImage(f"{self.label}: {INDEX_FILE} {reason}", candidates=tuple(candidates), side="source")

    def refusal(self, shown: str, reason: str) -> InvalidLayout:
        """Return the error that says of a file why it cannot be used."""
        return InvalidLayout(f"{self.label}: {shown} {reason}", side="source")
