"""
Writing below a folder that others write into too: a file is there whole or not at all.

Bytes go into a draft, `.transfer-….part` at the root, which is flushed and renamed when it is whole. A draft is
locked by who writes it, and the system lets go of the lock however that process ends: what it left is continued or
swept. No link below the root is followed.
"""

import fcntl
import os
import re
import stat
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from transfer.local.layout.reader import PIECE_BYTES
from transfer.model.digest import Digest

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: what is in the place of a draft may be a FIFO, and must not hang who opens it.
_DRAFT = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRAFT_NAME = re.compile(r"\.transfer-.*\.part")
# A copy that stopped is likely to be run again within the day.
_KEPT_SECONDS = 86_400.0


def open_folder(root: Path, names: Sequence[str] = (), *, create: bool = False) -> int:
    """Return a descriptor of a folder below `root`, which alone may be a link; its parents and itself made if asked."""
    if create:
        root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, _FOLDER)
    for name in names:
        try:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def size_below(root: Path, names: Sequence[str]) -> int | None:
    """Return bytes of a plain file below `root`, or None where there is none."""
    try:
        folder = open_folder(root, names[:-1])
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def write_below(root: Path, names: Sequence[str], content: bytes) -> None:
    """Make or replace a small file below `root`, at once."""
    folder = open_folder(root)
    name = f".transfer-{uuid.uuid4().hex}.part"
    try:
        file = os.open(name, _DRAFT | os.O_EXCL, 0o644, dir_fd=folder)
        try:
            _write_all(file, content)
            _publish(root, folder, file, name, names)
        except BaseException:
            os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(file)
    finally:
        os.close(folder)


def sweep(root: Path) -> None:
    """Remove drafts that nobody writes and that have not changed for a day."""
    folder = open_folder(root)
    try:
        for name in filter(_DRAFT_NAME.fullmatch, os.listdir(folder)):  # noqa: PTH208 - of a descriptor, not a path
            with suppress(OSError):
                _sweep_one(folder, name)
    finally:
        os.close(folder)


def _sweep_one(folder: int, name: str) -> None:
    if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < _KEPT_SECONDS:
        return
    file = os.open(name, _DRAFT & ~os.O_CREAT, dir_fd=folder)
    try:
        if _own(folder, file, name):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(file)


class PartialFile:
    """
    A blob on its way into a folder.

    One thread at a time: the lock makes `close` wait for a thread whose coroutine was cancelled.
    """

    def __init__(self, root: Path, digest: Digest) -> None:
        self.hasher = digest.hasher()
        self._root = root
        self._digest = digest
        self._lock = threading.Lock()
        self._folder = -1
        self._file = -1
        self._name = ""

    def open(self, limit: int) -> int:
        """Begin, or go on after a writer that was killed; returns the bytes that it left, at most `limit`."""
        with self._lock:
            self._folder = open_folder(self._root)
            self._file, self._name = _open_draft(self._folder, self._digest)
            if os.fstat(self._file).st_size > limit:
                os.ftruncate(self._file, 0)
            kept = 0
            while data := os.read(self._file, PIECE_BYTES):
                self.hasher.update(data)
                kept += len(data)
            return kept

    def restart(self) -> None:
        """Throw away what there is."""
        with self._lock:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self.hasher = self._digest.hasher()

    def write(self, data: bytes | memoryview) -> None:
        with self._lock:
            self.hasher.update(data)
            _write_all(self._file, data)

    def publish(self, names: Sequence[str], *, executable: bool = False) -> None:
        """Give the file its name: from now on it is there."""
        with self._lock:
            if executable:
                os.fchmod(self._file, 0o755)
            _publish(self._root, self._folder, self._file, self._name, names)
            self._name = ""

    def close(self, *, keep: bool) -> None:
        """Let go of it; what is not published is removed, or kept for the next writer."""
        with self._lock:
            if self._name and not (keep and self._name == _draft_name(self._digest)):
                with suppress(OSError):
                    os.unlink(self._name, dir_fd=self._folder)
            for descriptor in (self._file, self._folder):
                if descriptor >= 0:
                    os.close(descriptor)
            self._file = self._folder = -1


def _draft_name(digest: Digest) -> str:
    return f".transfer-{digest.algorithm}-{digest.encoded}.part"


def _open_draft(folder: int, digest: Digest) -> tuple[int, str]:
    """Return the draft of that digest, or one of our own while somebody else writes that one."""
    name = _draft_name(digest)
    with suppress(OSError):
        file = os.open(name, _DRAFT, 0o644, dir_fd=folder)
        if _own(folder, file, name):
            return file, name
        os.close(file)
    name = f".transfer-{uuid.uuid4().hex}.part"
    file = os.open(name, _DRAFT | os.O_EXCL, 0o644, dir_fd=folder)
    _own(folder, file, name)
    return file, name


def _own(folder: int, file: int, name: str) -> bool:
    """Lock a draft; False when somebody else has it, or has published or removed it since it was opened."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opened, named = os.fstat(file), os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(opened.st_mode) and os.path.samestat(opened, named)


def _publish(root: Path, folder: int, file: int, name: str, names: Sequence[str]) -> None:
    os.fsync(file)
    place = open_folder(root, names[:-1], create=True)
    try:
        os.rename(name, names[-1], src_dir_fd=folder, dst_dir_fd=place)
        os.fsync(place)
    finally:
        os.close(place)


def _write_all(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
