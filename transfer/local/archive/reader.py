"""
A tar archive as named files, read in place.

Opened and indexed by whoever first asks for a file, in that one's worker thread, once.
"""

import os
import posixpath
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO

from transfer.errors import ContentMissing, InvalidLayout
from transfer.local.archive.file_slice import file_slice
from transfer.local.archive.spool import SpoolStopped, open_archive
from transfer.local.archive.tar import Member, TarIndex, TarRefused, index_tar


class Archive:
    """
    The members of one archive.

    Args:
        archive: a file, or a stream such as the standard input.
        links: take symbolic links between its members.
        how_to_choose: how one of several images is named, for messages.
        label: what it is called in messages, instead of by its path.

    Raises (all its methods):
        InvalidLayout: the archive cannot be used, or a member is missing; `side="source"`.
    """

    def __init__(self, archive: Path | IO[bytes], *, links: bool, how_to_choose: str, label: str | None = None) -> None:
        self._path = str(archive) if isinstance(archive, Path) else label or "-"
        self.label = label or f"archive {self._path!r}"
        self.how_to_choose = how_to_choose
        self._archive = archive
        self._links = links
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._file: BinaryIO | None = None
        self._index: TarIndex | None = None
        self._failure: InvalidLayout | None = None

    def open(self, names: Sequence[str]) -> BinaryIO:
        """Return the member, buffered and seekable. Blocks; the first call reads all headers, and a pipe to its end."""
        name = "/".join(names)
        member = self.find(name)
        if member is None:
            # Without its own files it is no archive of an image: another file was meant.
            kind = ContentMissing if len(names) > 1 else InvalidLayout
            raise kind(f"{self.label}: {name} is missing: write the archive again", side="source")
        with self._lock:
            if self._file is None:
                raise self._closed()
            return file_slice(self._file.fileno(), member.start, member.size)

    def find(self, name: str) -> Member | None:
        """Return the member of that name. Blocks as `open` does."""
        return self._indexed().find(posixpath.normpath(name))

    def locate(self, names: Sequence[str]) -> str:
        return f"{self._path}:{'/'.join(names)}"

    def close(self) -> None:
        """Close the archive; files that are open stay so. Blocks until a first reading has been given up."""
        self._stop.set()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _indexed(self) -> TarIndex:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._index is None:
                try:
                    self._index = self._read_index()
                except InvalidLayout as error:
                    # A pipe cannot be read twice: it fails for the same reason again.
                    self._failure = error
                    raise
            return self._index

    def _read_index(self) -> TarIndex:
        if self._stop.is_set():
            raise self._closed()
        try:
            self._file = open_archive(self._archive, self.label, self._stop)
        except SpoolStopped:
            raise self._closed() from None
        try:
            with file_slice(self._file.fileno(), 0, os.fstat(self._file.fileno()).st_size) as headers:
                return index_tar(headers, links=self._links)
        except TarRefused as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        self._file.close()
        self._file = None
        raise InvalidLayout(f"{self.label}: {reason}", side="source")

    def _closed(self) -> InvalidLayout:
        return InvalidLayout(f"{self.label}: it is closed", side="source")
