"""
An OCI image layout on disk as a Source.

Source of the rules: OCI image-spec 1.1, image-layout.md and annotations.md. Everything in the folder is taken as
written by a stranger: documents are read strictly and capped, no link below the root is followed. Does not know
where the image goes.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from transfer.errors import ContentMismatch, InvalidDigest, InvalidManifest, InvalidReference
from transfer.local.files import FileReader, open_below, refusal
from transfer.model.descriptor import OCI_INDEX, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError, convert, load
from transfer.model.manifest import Manifest, parse_manifest

T = TypeVar("T")

PIECE_BYTES = 1024 * 1024
LAYOUT_VERSION = "1.0.0"
# Written by containerd, BuildKit and docker save beside ref.name, which then holds the tag alone.
_CONTAINERD_NAME = "io.containerd.image.name"
_AT_DIGEST = re.compile(r"(.*)@(sha[0-9]+:[^/]*)", re.DOTALL)
_MOST_NAMES_SHOWN = 10


class _Layout(msgspec.Struct, frozen=True, rename="camel"):
    image_layout_version: str


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX


def parse_layout_reference(text: str) -> tuple[Path, str | None]:
    """
    Read `DIR[:TAG]` or `DIR@sha256:…`: the folder, and the tag or digest where there is one.

    A text that is an existing folder has no tag, so this looks at the disk once. A ':' with a '/' behind it is part
    of the path.

    Raises:
        InvalidReference: no folder, an empty tag, or a malformed digest.
    """
    if "\0" in text:
        raise InvalidReference(f"layout reference {text!r}: a path cannot hold a NUL character", side="source")
    if os.path.isdir(text):  # noqa: PTH112 - Path("") is the current folder, this is none
        return Path(text), None
    folder, choice = _split(text)
    if not folder:
        raise InvalidReference(f"layout reference {text!r}: name a folder, as in oci:DIR:TAG", side="source")
    return Path(folder), choice


def _split(text: str) -> tuple[str, str | None]:
    match = _AT_DIGEST.fullmatch(text)
    if match is not None:
        try:
            return match[1], Digest(match[2])
        except InvalidDigest as error:
            raise InvalidReference(f"layout reference {text!r}: {error}", side="source") from None
    folder, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    if folder and not tag:
        raise InvalidReference(f"layout reference {text!r}: the tag after ':' is empty", side="source")
    return folder, tag


class LayoutSource:
    """
    The images of one OCI image layout.

    Every error has `side="source"` and names the layout and the file in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"LayoutSource({str(self.path)!r})"

    async def resolve(self, reference: str | None) -> Descriptor:
        """
        Descriptor of an entry of index.json: by tag, by full name, by digest, or None for the only image.

        Raises:
            InvalidLayout: the folder is not a layout, or none or several of its images fit.
        """
        entries = await asyncio.to_thread(self._entries)
        found = choose_entry(entries, reference)
        if isinstance(found, str):
            raise refusal(self.path, "index.json", found)
        return found

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """
        The manifest, verified against the descriptor.

        Raises:
            InvalidLayout, ContentMismatch: its file cannot be used, or has another size.
            InvalidManifest: it is too large, malformed or has another digest.
        """
        if descriptor.size > MAX_DOCUMENT_BYTES:
            raise InvalidManifest(
                f"layout {str(self.path)!r}: manifest {descriptor.digest} is {descriptor.size} bytes, "
                f"more than {MAX_DOCUMENT_BYTES}",
                side="source",
            )
        raw = await asyncio.to_thread(self._read_blob, descriptor)
        try:
            return parse_manifest(raw, descriptor)
        except InvalidManifest as error:
            raise InvalidManifest(f"layout {str(self.path)!r}: {error}", side="source") from None

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
        stop = descriptor.size if end is None else end
        if not 0 <= offset <= stop <= descriptor.size:
            raise ValueError(f"bytes {offset} to {stop} are not inside a blob of {descriptor.size} bytes")
        reader = FileReader(lambda: self.open_file(descriptor))
        try:
            await asyncio.to_thread(reader.open, offset)
            async with aclosing(self._pieces(reader, descriptor, stop - offset)) as pieces:
                yield pieces
        finally:
            await asyncio.to_thread(reader.close)

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        """
        The blob's file, buffered; its `name` is the full path. Blocks.

        Raises:
            InvalidLayout: it is missing, behind a link, not a regular file, or cannot be read.
            ContentMismatch: its size is not the descriptor's.
        """
        file = open_below(self.path, _blob_names(descriptor.digest))
        size = os.fstat(file.fileno()).st_size
        if size != descriptor.size:
            file.close()
            raise self._mismatch(descriptor, size)
        return file

    def locate(self, descriptor: Descriptor) -> str:
        """The path of the blob's file."""
        return str(self.path.joinpath(*_blob_names(descriptor.digest)))

    async def _pieces(self, reader: FileReader, descriptor: Descriptor, remaining: int) -> AsyncGenerator[bytes, None]:
        while remaining:
            try:
                piece = await asyncio.to_thread(reader.read, min(PIECE_BYTES, remaining))
            except OSError as error:
                shown = "/".join(_blob_names(descriptor.digest))
                raise refusal(self.path, shown, f"cannot be read: {error.strerror}") from None
            if not piece:
                raise self._mismatch(descriptor, descriptor.size - remaining)
            remaining -= len(piece)
            yield piece

    def _mismatch(self, descriptor: Descriptor, size: int) -> ContentMismatch:
        shown = "/".join(_blob_names(descriptor.digest))
        return ContentMismatch(
            f"layout {str(self.path)!r}: {shown} has {size} bytes where {descriptor.size} were expected: "
            "write the image into the layout again",
            side="source",
        )

    def _read_blob(self, descriptor: Descriptor) -> bytes:
        with self.open_file(descriptor) as file:
            return file.read(descriptor.size)

    def _entries(self) -> tuple[Descriptor, ...]:
        layout = self._document("oci-layout", _Layout)
        if layout.image_layout_version != LAYOUT_VERSION:
            found = layout.image_layout_version
            raise refusal(self.path, "oci-layout", f"says version {found!r}, only {LAYOUT_VERSION} can be read")
        index = self._document("index.json", _Index)
        if index.schema_version != 2:
            raise refusal(self.path, "index.json", f"says schemaVersion {index.schema_version}, only 2 can be read")
        if index.media_type != OCI_INDEX:
            raise refusal(self.path, "index.json", f"says it is {index.media_type!r}, not {OCI_INDEX!r}")
        return index.manifests

    def _document(self, name: str, kind: type[T]) -> T:
        with open_below(self.path, (name,)) as file:
            raw = file.read(MAX_DOCUMENT_BYTES + 1)
        try:
            return convert(load(raw), kind)
        except DocumentError as error:
            raise refusal(self.path, name, f"cannot be used: {error}") from None


def _blob_names(digest: Digest) -> tuple[str, str, str]:
    # A Digest has passed its grammar, so neither part can hold a slash or dots.
    return ("blobs", digest.algorithm, digest.encoded)


def choose_entry(entries: Sequence[Descriptor], reference: str | None) -> Descriptor | str:
    """The entry that a reference means, or why there is not exactly one."""
    found = _fitting(entries, reference)
    digests = {entry.digest for entry in found}
    if len(digests) == 1:
        chosen = found[0]
        return chosen if chosen.is_manifest else f"has {chosen.digest} as {chosen.media_type!r}, not an image"
    how = "choose with oci:DIR:TAG or oci:DIR@sha256:…"
    if not entries:
        return "names no image: write one into the layout"
    if found:
        what = f"{reference!r} for" if reference else "no single image but"
        return f"has {what} {len(digests)} different images ({_listed(found)}): {how}"
    return f"has no image {reference!r}, only {_listed(entries)}: {how}"


def _fitting(entries: Sequence[Descriptor], reference: str | None) -> list[Descriptor]:
    if reference is None:
        return list(entries)
    exact = [entry for entry in entries if reference in (entry.digest, *_names(entry))]
    ending = [entry for entry in entries if any(name.endswith(f":{reference}") for name in _names(entry))]
    return exact or ending


def _names(entry: Descriptor) -> tuple[str, ...]:
    containerd = (entry.annotations or {}).get(_CONTAINERD_NAME, "")
    return tuple(filter(None, (entry.name, containerd)))


def _listed(entries: Sequence[Descriptor]) -> str:
    labels = [" ".join((*map(repr, _names(entry)[:1]), entry.digest)) for entry in entries[:_MOST_NAMES_SHOWN]]
    more = len(entries) - len(labels)
    return ", ".join(labels) + (f" and {more} more" if more else "")
