"""
Getting at an archive as one file that can be read anywhere: in place, or through an unnamed temporary file.

A plain file is read where it lies. A pipe, and a compressed file, pass once through a file without a name (in
$TMPDIR), which the system removes when it is closed, however the process ends: a compressed archive cannot be read at
an offset, and a pipe not twice.
"""

import os
import select
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import IO, BinaryIO

from transfer.compression import BLOCK_BYTES, MAGIC_BYTES, CompressionRefused, Decompressed, Readable, blocks_of, sniff
from transfer.errors import InvalidLayout
from transfer.local.storage import temporary_files

# How long a stalled pipe may keep a reader that was told to stop.
_POLL_MILLISECONDS = 200


class SpoolStopped(Exception):
    """The reader was told to stop."""


def open_archive(archive: Path | IO[bytes], label: str, stop: Event) -> BinaryIO:
    """
    Return the archive, uncompressed, as a file with a descriptor of its own. Blocks until a pipe has ended.

    Args:
        archive: a file, a FIFO, or an open stream such as the standard input, which stays open.
        label: what the archive is called in messages.
        stop: set by another thread to give up.

    Raises:
        InvalidLayout: it cannot be read, its compression is unknown or a bomb, or there is no room for it.
    """
    try:
        file = _opened(archive)
        try:
            with temporary_files(label):
                return _readable(file, stop)
        except BaseException:
            file.close()
            raise
    except CompressionRefused as error:
        raise InvalidLayout(f"{label}: {error}", side="source") from None
    except OSError as error:
        raise InvalidLayout(f"{label}: cannot be read: {error.strerror}", side="source") from None
    except ValueError as error:  # A NUL or a lone surrogate in the path.
        raise InvalidLayout(f"{label}: cannot be read: {error}", side="source") from None


def _opened(archive: Path | IO[bytes]) -> BinaryIO:
    if isinstance(archive, Path):
        # O_NONBLOCK: opening a FIFO must not wait for its writer, `_Pipe` does that.
        return open(archive, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))
    return os.fdopen(os.dup(archive.fileno()), "rb", buffering=0)


def _readable(file: BinaryIO, stop: Event) -> BinaryIO:
    """`file` itself where it is a plain and uncompressed one, else a temporary file with its content."""
    kind = os.fstat(file.fileno()).st_mode
    if file.isatty():
        raise CompressionRefused("it is a terminal: pipe an archive in, as in docker save app | transfer push - …")
    stream = file if stat.S_ISREG(kind) else _Pipe(file, stop)
    head = b""
    while len(head) < MAGIC_BYTES and (more := stream.read(MAGIC_BYTES - len(head))):
        head += more
    method = sniff(head)
    if method is None and stat.S_ISREG(kind):
        return file
    with file:
        joined: Readable = _Joined(head, stream)
        return _spooled(joined if method is None else Decompressed(joined, method), stop)


def _spooled(stream: Readable, stop: Event) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - handed on
    try:
        for piece in _until(stop, stream):
            spool.write(piece)
        # It is read through its descriptor.
        spool.flush()
    except BaseException:
        spool.close()
        raise
    return spool


def _until(stop: Event, stream: Readable) -> Iterator[bytes]:
    for piece in blocks_of(stream):
        if stop.is_set():
            raise SpoolStopped
        yield piece


class _Joined:
    """A stream together with what was read ahead of it."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)


class _Pipe:
    """A pipe that is left when somebody says so, although nothing comes out of it."""

    def __init__(self, file: BinaryIO, stop: Event) -> None:
        self._file = file
        self._stop = stop
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)

    def read(self, size: int, /) -> bytes:
        while not self._poll.poll(_POLL_MILLISECONDS):
            if self._stop.is_set():
                raise SpoolStopped
        return os.read(self._file.fileno(), min(size, BLOCK_BYTES))
