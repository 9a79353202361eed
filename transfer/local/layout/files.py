"""
Files below a folder that somebody else filled: opened without waiting for a writer and, but for blobs, without
following a link.

A layout may come from anywhere, so a link in it could name any file of this machine, and a FIFO could hang the
reader.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from transfer.errors import ContentMissing, InvalidLayout, Side
from transfer.model.digest import Digest

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer. It changes nothing for a regular file.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_PIECE = 1024 * 1024


def open_below(root: Path, names: Sequence[str], *, follow: bool = False, side: Side = "source") -> BinaryIO:
    """
    Open the regular file `names` below `root` for reading; only `root` itself may be a link, and the file if `follow`.

    Raises:
        InvalidLayout: a folder or the file is missing, a link, of another kind, or cannot be read.
    """
    shown = "/".join(names)
    try:
        # The path gives the file its name; what is opened is what the opener returns.
        file = open(root.joinpath(*names), "rb", opener=lambda _path, _flags: _descend(root, names, follow=follow))  # noqa: SIM115 - Path.open has no opener
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and not root.is_dir():
            raise InvalidLayout(
                f"layout {str(root)!r}: no such folder: name the folder of an OCI image layout, not an archive",
                side=side,
            ) from None
        # Without its own files it is no layout: another folder was meant.
        if error.errno == errno.ENOENT and len(names) > 1:
            raise ContentMissing(f"layout {str(root)!r}: {shown} {_reason(error)}", side=side) from None
        raise refusal(root, shown, _reason(error), side=side) from None
    except ValueError as error:  # A NUL or a lone surrogate in the path.
        raise refusal(root, shown, f"cannot be read: {error}", side=side) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise refusal(root, shown, "is not a regular file: write the layout again", side=side)
    return file


def open_blob_below(
    root: Path, names: Sequence[str], digest: Digest, known: set[tuple[int, int, int, int]]
) -> BinaryIO:
    """
    Open a blob's file, which may be a symbolic link to a regular file, as in layouts of Bazel and Nix.

    What a link leads to is read here, before anybody else sees a byte of it: it must have the digest, so that a link
    to a file of this machine gives nothing away. Neither `blobs` nor the folders in it may be links.

    Args:
        known: files that have been read so before; filled here.

    Raises:
        InvalidLayout: as `open_below`, or the link leads to other content.
    """
    file = open_below(root, names, follow=True)
    try:
        status = os.fstat(file.fileno())
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in known and root.joinpath(*names).is_symlink():
            _check_digest(file, digest, root.joinpath(*names))
            known.add(key)
    except BaseException:
        file.close()
        raise
    return file


def _check_digest(file: BinaryIO, digest: Digest, path: Path) -> None:
    hasher = digest.hasher()
    while piece := file.read(_PIECE):
        hasher.update(piece)
    file.seek(0)
    if not digest.matches(hasher):
        raise InvalidLayout(
            f"{str(path)!r} is a symbolic link to other content than its digest says: write the layout again",
            side="source",
        )


def refusal(root: Path, shown: str, reason: str, *, side: Side = "source") -> InvalidLayout:
    """Return the error that says of a file of the layout why it cannot be used."""
    return InvalidLayout(f"layout {str(root)!r}: {shown} {reason}", side=side)


def _descend(root: Path, names: Sequence[str], *, follow: bool) -> int:
    folder = os.open(root, _FOLDER)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(names[-1], _FILE & ~os.O_NOFOLLOW if follow else _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "is missing: check the path, or write the image into the layout again"
        case errno.ELOOP:
            return "is a symbolic link, and links are not followed: put the file itself there"
        case errno.ENOTDIR:
            # What Linux says of a link where a folder was asked for, too.
            return "is not below plain folders, and links are not followed: put the folders themselves there"
        case errno.EISDIR:
            return "is a folder, not a file: write the layout again"
        case _:
            return f"cannot be read: {error.strerror}"


class FileReader:
    """
    One file that is opened, read and closed in worker threads.

    A cancelled coroutine does not stop the thread it waited for: the lock makes `close` wait for that thread, and
    what it opened is closed. `opener` is called once, by `open`.
    """

    def __init__(self, opener: Callable[[], BinaryIO]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False

    def open(self, offset: int, size: int) -> bytes:
        """Open the file, and read the first bytes in the same hop: of most blobs these are all."""
        with self._lock:
            if self._closed:
                return b""
            self._file = self._opener()
            self._file.seek(offset)
            return self._file.read(size)

    def read(self, size: int) -> bytes:
        with self._lock:
            return b"" if self._file is None or self._closed else self._file.read(size)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()
