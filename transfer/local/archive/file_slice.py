"""
A part of an open file as a file of its own.

Reads at absolute positions (pread), so any number of windows over one descriptor, in any number of threads, never
disturb each other.
"""

import io
import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Window(io.RawIOBase):
    """`size` bytes from `start` of the file behind `fd`; the descriptor is duplicated and closed with the window."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._start = start
        self._size = size
        self._position = 0
        self._fd = os.dup(fd)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "Buffer", /) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._position)]
        count = os.preadv(self._fd, [view], self._start + self._position) if view else 0
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)


def file_slice(fd: int, start: int, size: int) -> BinaryIO:
    """Return a buffered file over a part of another one. The caller may close `fd` before it."""
    return io.BufferedReader(_Window(fd, start, size))
