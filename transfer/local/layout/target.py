"""
An OCI image layout in a folder as a Target, for any number of writers at once.

A blob is there whole and verified, or not at all; `index.json` is changed under a lock (`.index.json.lock`) and
replaced in one step. A copy that was killed in a blob goes on in it, from the file that it left: its bytes are hashed
again, and thrown away where the whole then has another digest, so no journal is needed.
"""

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import filelock

from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Presence
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.local.layout.files import open_below, refusal
from transfer.local.layout.folder import PartialFile, size_below, sweep, write_below
from transfer.local.layout.index import (
    EMPTY_INDEX,
    INDEX_FILE,
    LAYOUT_DOCUMENT,
    LAYOUT_FILE,
    check_layout,
    read_entries,
    with_manifest,
)
from transfer.local.layout.reader import blob_names
from transfer.local.target import LocalTarget
from transfer.local.verified_write import require_content, write_rest, writing
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest, parse_manifest

_LOCK_FILE = ".index.json.lock"
# Who has the lock rewrites one small file: this is some hundred writers.
_LOCK_SECONDS = 60.0


class LayoutTarget(LocalTarget):
    """
    One layout; the folder is made when the first content comes.

    Every error of its own has `side="target"`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = self.registry = f"layout {os.path.realpath(path)}"
        self._label = f"layout {str(path)!r}"
        self._guard = threading.Lock()
        self._prepared = False

    def __repr__(self) -> str:
        return f"LayoutTarget({str(self.path)!r})"

    async def present(
        self,
        manifests: Sequence[Descriptor],
        *,
        tag: str | None,
        hints: Hints = NO_HINTS,  # noqa: ARG002 - the protocol's signature
    ) -> Presence:
        """
        Return what the tag holds, and which manifests are present with their size.

        Raises:
            InvalidLayout: the index cannot be used.
        """
        return await asyncio.to_thread(self._present, manifests, tag)

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:  # noqa: ARG002 - the protocol's signature
        """Return the blobs without a file of their size; `fresh` makes no difference."""
        return await asyncio.to_thread(lambda: {blob.digest for blob in blobs if not self._holds(blob)})

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        """
        Write one blob, going on where a killed writer stopped.

        Raises:
            ContentMismatch: the bytes have another digest or size than the descriptor.
            InvalidLayout: the folder cannot be written.
        """
        descriptor = blob.descriptor
        await asyncio.to_thread(self._prepare)
        if await asyncio.to_thread(self._holds, descriptor):
            return BlobSent(sent=0, already_there=True)
        draft, keep = PartialFile(self.path, descriptor.digest), True
        try:
            with writing(self._label, f"blob {descriptor.digest}"):
                kept = await asyncio.to_thread(draft.open, descriptor.size)
            if not await write_rest(blob, source, draft, self._label, kept):
                kept = 0
            with writing(self._label, f"blob {descriptor.digest}"):
                await asyncio.to_thread(draft.publish, blob_names(descriptor.digest))
        except ContentMismatch:
            keep = False
            raise
        finally:
            await asyncio.to_thread(draft.close, keep=keep)
        return BlobSent(descriptor.size - kept, kept)

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """
        Write one manifest, and an entry of index.json: under the tag, or without a name where nothing leads to it.

        Raises:
            BlobUnknown: blobs or manifests that it names are not there; nothing is changed.
            InvalidManifest: its bytes are not what its descriptor says; nothing is changed.
            InvalidLayout: the folder cannot be written, or its index not be used.
        """
        parse_manifest(manifest.raw, manifest.descriptor)
        await asyncio.to_thread(self._push_manifest, manifest, tag)

    def _push_manifest(self, manifest: Manifest, tag: str | None) -> None:
        self._prepare()
        require_content(manifest, self._holds, self._label)
        with writing(self._label, f"manifest {manifest.digest}"):
            if not self._holds(manifest.descriptor):
                write_below(self.path, blob_names(manifest.digest), manifest.raw)
            with self._locked():
                raw = self._read(INDEX_FILE)
                try:
                    changed = with_manifest(raw, manifest, tag)
                except DocumentError as error:
                    raise self._refusal(INDEX_FILE, error) from None
                if changed != raw:
                    write_below(self.path, (INDEX_FILE,), changed)

    def _prepare(self) -> None:
        """Make the folder a layout, and look after what killed writers left in it, once."""
        with self._guard:
            if self._prepared:
                return
            with writing(self._label, "the folder"):
                self.path.mkdir(parents=True, exist_ok=True)
                with self._locked():
                    if size_below(self.path, (INDEX_FILE,)) is None:
                        write_below(self.path, (INDEX_FILE,), EMPTY_INDEX)
                    if size_below(self.path, (LAYOUT_FILE,)) is None:
                        write_below(self.path, (LAYOUT_FILE,), LAYOUT_DOCUMENT)
                sweep(self.path)
            try:
                check_layout(self._read(LAYOUT_FILE))
            except DocumentError as error:
                raise self._refusal(LAYOUT_FILE, error) from None
            self._prepared = True

    def _locked(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.path / _LOCK_FILE, timeout=_LOCK_SECONDS)

    def _present(self, manifests: Sequence[Descriptor], tag: str | None) -> Presence:
        exists = frozenset(one.digest for one in manifests if self._holds(one))
        if tag is None or size_below(self.path, (INDEX_FILE,)) is None:
            return Presence(None, exists)
        try:
            entries = read_entries(self._read(INDEX_FILE))
        except DocumentError as error:
            raise self._refusal(INDEX_FILE, error) from None
        return Presence(next((entry.digest for entry in entries if entry.name == tag), None), exists)

    def _holds(self, descriptor: Descriptor) -> bool:
        names = blob_names(descriptor.digest)
        try:
            return size_below(self.path, names) == descriptor.size
        except OSError as error:
            raise refusal(self.path, "/".join(names), f"cannot be read: {error.strerror}", side="target") from None

    def _read(self, name: str) -> bytes:
        with open_below(self.path, (name,), side="target") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)

    def _refusal(self, name: str, error: DocumentError) -> InvalidLayout:
        return refusal(self.path, name, f"cannot be used: {error}", side="target")
