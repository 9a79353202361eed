"""
One layer: a tree of files as a tar.gz that has the same bytes whenever and by whomever it is built.

Source of the rules: OCI image-spec 1.1, layer.md.
"""

import gzip
import hashlib
import os
import stat
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from transfer.cli.commands.demo.machine import Entry, Tree, walk
from transfer.config import MIB
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

# Enough for layers of several parts, little enough for a demo of seconds where gigabytes are installed.
ROOM_BYTES = 64 * MIB

_FASTEST = 1  # zlib's level: 80 MB/s of a core, at the others half of it and less
_BLOCK_BYTES = MIB


class Stopped(Exception):
    """Nobody wants the layer any more."""


@dataclass(frozen=True, slots=True)
class Layer:
    """
    A layer as written.

    Attributes:
        tree: what it was made of.
        descriptor: of the compressed archive.
        diff_id: digest of the archive before compression.
        files: regular files in it.
    """

    tree: Tree
    descriptor: Descriptor
    diff_id: Digest
    files: int


class _Hashing(RawIOBase):
    """A stream that counts and hashes what passes through it."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write
        self._hasher = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        self._write(data)
        self._hasher.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._hasher.hexdigest()}")


def write_layer(tree: Tree, blobs: Path, stop: threading.Event, *, room: int = ROOM_BYTES) -> Layer | None:
    """
    Write a tree into a folder of blobs, up to the first file that exceeds `room` bytes in all.

    Blocks; made for a thread. What cannot be read is left out; None when that is everything.

    Raises:
        Stopped: `stop` was set.
        OSError: the archive cannot be written.
    """
    with NamedTemporaryFile(dir=blobs, prefix="unnamed-", delete=False) as file:
        packed = _Hashing(file.write)
        # No name and no time in gzip's header, or the same files would make another digest.
        with gzip.GzipFile("", "wb", compresslevel=_FASTEST, fileobj=packed, mtime=0) as compressed:
            plain = _Hashing(compressed.write)
            files = _write_tar(tree, plain, stop, room)
    unnamed = Path(file.name)
    if not files:
        unnamed.unlink()
        return None
    unnamed.replace(blobs / packed.digest.encoded)
    descriptor = Descriptor(media_type=OCI_LAYER_GZIP, digest=packed.digest, size=packed.size)
    return Layer(tree, descriptor, plain.digest, files)


def _write_tar(tree: Tree, stream: _Hashing, stop: threading.Event, room: int) -> int:
    files = 0
    with tarfile.open(mode="w|", fileobj=stream, bufsize=_BLOCK_BYTES, format=tarfile.PAX_FORMAT) as archive:
        for entry in walk(tree):
            if stop.is_set():
                raise Stopped
            if entry.size is None:
                archive.addfile(member(entry.name, directory=True))
                continue
            room -= entry.size
            if room < 0:
                break
            files += _add_file(archive, entry)
    return files


def _add_file(archive: tarfile.TarFile, entry: Entry) -> bool:
    try:
        content, executable = _read(entry)
    except OSError:
        return False
    archive.addfile(member(entry.name, size=len(content), executable=executable), BytesIO(content))
    return True


def _read(entry: Entry) -> tuple[bytes, bool]:
    """Return a file's content, and whether it is executable; it may have become a link or a pipe."""
    handle = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(f"{entry.path} is no regular file any more")
        return file.read(entry.size), bool(mode & stat.S_IXUSR)


def member(name: str, *, size: int = 0, executable: bool = False, directory: bool = False) -> tarfile.TarInfo:
    """Return an archive's entry that is the same on every machine: of root, of 1970, with the usual rights."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    info.mode = 0o755 if directory or executable else 0o644
    info.size = size
    return info
