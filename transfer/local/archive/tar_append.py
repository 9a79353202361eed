"""
Appending to a tar so that it is whole at every moment, for every reader.

New members are written behind the end mark, where no reader looks. To commit, the last member, `index.json`, is
written anew behind them with a new end mark; then one block of 512 bytes is overwritten, the header of the old
`index.json`, with that of a padding member which covers the old index and the old end mark. Before that write every
reader sees the old archive, after it the new one, and neither ever holds two members of one name (skopeo takes the
last, others the first). A process that is killed leaves bytes behind the end mark, which the next one cuts off.

A member that is being written lies in space of its own, so several are written at once. Its header says padding until
it is whole.
"""

import errno
import os
import tarfile
import threading
from dataclasses import dataclass

from transfer.local.archive.tar import BLOCK, END_MARK_BYTES, Member, TarIndex
from transfer.local.layout.reader import PIECE_BYTES

_PADDING_FOLDER = ".padding"


@dataclass(frozen=True, slots=True)
class Space:
    """The space of a member being written: `start` is the offset of its first byte, behind `header`."""

    name: str
    offset: int
    header: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + _padded(self.size)


class TarAppender:
    """
    An archive that grows.

    Args:
        file: a descriptor, for reading and writing, that is closed by `close`.
        index: its members; those that lie behind `last` are written again, since `last` is always the last member.
        last: the name of the member that every commit replaces.

    Raises (all its methods):
        OSError: the file system refuses, or has no room.
    """

    def __init__(self, file: int, index: TarIndex, last: str) -> None:
        self.members = dict(index.members)
        self._file = file
        self._last = last
        self._lock = threading.Lock()
        old = self.members.pop(last, None)
        # From the header of `last` to behind the end mark: what the next commit makes padding.
        self._covered = old.header if old else 0
        self._tail = self._committed = index.end + END_MARK_BYTES if old else 0
        os.ftruncate(file, self._committed)
        for name, member in list(self.members.items()):
            if member.header > self._covered:
                self._move(name, member)

    def reserve(self, name: str, size: int) -> Space:
        """Room for one member, which is padding until it is published."""
        header = member_header(name, size)
        with self._lock:
            system = os.fstatvfs(self._file)
            free = system.f_bavail * system.f_frsize
            if size > free:
                raise OSError(errno.ENOSPC, f"{size} bytes are needed and {free} are free")
            space = Space(name, self._tail, header, self._tail + len(header), size)
            self._tail = space.end
            self._write(_padding(space.offset, space.end), space.offset)
            self._write(header[BLOCK:], space.offset + BLOCK)
            return space

    def write(self, space: Space, position: int, data: bytes | memoryview) -> None:
        """Write bytes of a member, at a position in it."""
        with self._lock:
            self._write(data, space.start + position)

    def publish(self, space: Space) -> None:
        """Let a whole member be one, unless there is another of that name by now."""
        with self._lock:
            flushed = os.dup(self._file)
        try:
            # Others may write meanwhile; the member's bytes are on the disk before its header says that it is one.
            os.fsync(flushed)
        finally:
            os.close(flushed)
        with self._lock:
            if space.name not in self.members:
                self._write(space.header[:BLOCK], space.offset)
                self.members[space.name] = Member(space.offset, space.start, space.size)

    def give_back(self, space: Space) -> None:
        """Use the room of a member that did not become whole again, where nothing lies behind it."""
        with self._lock:
            if self._tail == space.end and space.offset >= self._committed:
                self._tail = space.offset

    def add(self, name: str, content: bytes) -> None:
        """Append a small member."""
        space = self.reserve(name, len(content))
        self.write(space, 0, content)
        self.publish(space)

    def commit(self, content: bytes) -> None:
        """Replace the last member: from now on every reader sees all that was published."""
        whole = member_header(self._last, len(content)) + content + bytes(_padded(len(content)) - len(content))
        with self._lock:
            covered, behind, place = self._covered, self._committed, self._tail
            os.ftruncate(self._file, place)
            self._write(whole + bytes(END_MARK_BYTES), place)
            self._covered = place
            self._tail = self._committed = place + len(whole) + END_MARK_BYTES
            os.fsync(self._file)
            if behind:
                self._write(_padding(covered, behind), covered)
                os.fsync(self._file)

    def close(self) -> None:
        """Cut off what was not committed; whoever still writes in another thread is refused."""
        with self._lock:
            if self._file >= 0:
                try:
                    os.ftruncate(self._file, self._committed)
                finally:
                    os.close(self._file)
                    self._file = -1

    def _move(self, name: str, member: Member) -> None:
        """Write a member again that lies where padding will be."""
        del self.members[name]
        space = self.reserve(name, member.size)
        for position in range(0, member.size, PIECE_BYTES):
            wanted = min(PIECE_BYTES, member.size - position)
            self.write(space, position, os.pread(self._file, wanted, member.start + position))
        self.publish(space)

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file, view, offset)
            view, offset = view[count:], offset + count


def member_header(name: str, size: int) -> bytes:
    """Return a member's header: one block, or three for a long name, with no time or owner in it."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(offset: int, end: int) -> bytes:
    """Return the header, one block, of a member that covers all between its own end and `end`."""
    return member_header(f"{_PADDING_FOLDER}/{offset}", end - offset - BLOCK)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
