"""
An archive that is being written: what it holds, the list of its images, and its file from first to last byte.

Blocks.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from transfer.compression import MAGIC_BYTES, CompressionRefused, sniff
from transfer.errors import InvalidLayout
from transfer.local.archive.catalogue import Catalogue
from transfer.local.archive.file_slice import file_slice
from transfer.local.archive.tar import TarIndex, TarRefused, index_tar
from transfer.local.archive.tar_append import TarAppender
from transfer.local.layout.reader import blob_names
from transfer.local.verified_write import require_content
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest


class ArchiveWriter:
    """
    One archive, of the kind that `catalogue` says.

    Raises (all its methods):
        InvalidLayout: what lies at the path is no archive of that kind that can be appended to.
        OSError: the file system refuses.
    """

    def __init__(self, path: Path, label: str, catalogue: Catalogue) -> None:
        self._path = path
        self._catalogue = catalogue
        self._label = label
        self._lock = threading.RLock()
        self._draft: Path | None = None
        self._appender: TarAppender | None = None
        self._index = catalogue.empty
        self._changed = False

    @property
    def appender(self) -> TarAppender:
        """The appender that writes blobs."""
        if self._appender is None:
            raise InvalidLayout(f"{self._label}: it is closed", side="target")
        return self._appender

    def open(self) -> None:
        """Open the archive for appending, or begin a new one under another name."""
        with self._lock:
            if self._path.exists() and (self._path.stat().st_size or not self._path.is_file()):
                self._appender = self._existing()
                return
            draft = self._path.with_name(f".{self._path.name}.part")
            file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            self._draft, self._appender = draft, TarAppender(file, TarIndex(), self._catalogue.file)
            for name, content in self._catalogue.others.items():
                self._appender.add(name, content)

    def holds(self, descriptor: Descriptor) -> bool:
        """Return whether the blob is there, in its size."""
        member = self.appender.members.get("/".join(blob_names(descriptor.digest)))
        return member is not None and member.size == descriptor.size

    def tagged(self, tag: str) -> Digest | None:
        """Return the digest under a tag."""
        return self._catalogue.tagged(self._index, tag)

    def put(self, manifest: Manifest, tag: str | None) -> None:
        """
        Write a manifest; a tag shows it, and all before it, to every reader.

        Raises:
            BlobUnknown: it names what is not there.
        """
        with self._lock:
            require_content(manifest, self.holds, self._label)
            try:
                index = self._catalogue.with_image(self._index, manifest, tag)
                if not self.holds(manifest.descriptor):
                    self.appender.add("/".join(blob_names(manifest.digest)), manifest.raw)
            except DocumentError as error:
                reason = f"{self._catalogue.file} cannot take another image: {error}"
                raise InvalidLayout(f"{self._label}: {reason}", side="target") from None
            self._changed = self._changed or index != self._index
            self._index = index
            if tag is not None:
                self._commit()

    def close(self, *, commit: bool) -> None:
        """Close the archive, with what was written without a tag if `commit`; a new one without an image vanishes."""
        with self._lock:
            if self._appender is None:
                return
            try:
                if commit:
                    self._commit()
            finally:
                self._appender.close()
                self._appender = None
                if self._draft is not None:
                    with suppress(FileNotFoundError):
                        self._draft.unlink()

    def _commit(self) -> None:
        if not self._changed:
            return
        self.appender.commit(self._index)
        self._changed = False
        if self._draft is not None:
            self._draft.rename(self._path)
            self._draft = None
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _existing(self) -> TarAppender:
        file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            index = self._checked(file)
            return TarAppender(file, index, self._catalogue.file)
        except (TarRefused, CompressionRefused, DocumentError) as error:
            os.close(file)
            advice = "name another file, or an archive of this kind that is not compressed"
            reason = f"it cannot be appended to: {error}; {advice}"
            raise InvalidLayout(f"{self._label}: {reason}", side="target") from None
        except BaseException:
            os.close(file)
            raise

    def _checked(self, file: int) -> TarIndex:
        """Return the members of an archive that is there, after a look at its documents."""
        with file_slice(file, 0, os.fstat(file).st_size) as whole:
            if sniff(whole.read(MAGIC_BYTES)) is not None:
                raise CompressionRefused("it is compressed")
            index = index_tar(whole)
        self._index = self._catalogue.check(lambda name: _read(file, index, name))
        return index


def _read(file: int, index: TarIndex, name: str) -> bytes | None:
    member = index.members.get(name)
    return None if member is None else os.pread(file, min(member.size, MAX_DOCUMENT_BYTES + 1), member.start)
