"""
A blob of a source as a file of this machine, where it is one: sent by the kernel, or looked through.

Errors are the source's: no retry loop of a target takes them for the target's. Knows no registry.
"""

import asyncio
import threading
from typing import BinaryIO

from transfer.engine.config import MIB
from transfer.engine.content import BlobSource
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.model.descriptor import Descriptor


class SourceFailed(Exception):
    """
    An error of the source inside a request to the target, as `error`.

    Not one of the package's own, so that no retry loop of the target takes it for the target's: the source has tried
    again by itself as often as it is worth it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class BlobFile:
    """One blob of one source."""

    def __init__(self, source: BlobSource, blob: Descriptor) -> None:
        self._source = source
        self._blob = blob

    def open(self) -> BinaryIO | None:
        """The file, if there is one. Blocks."""
        return self._source.open_file(self._blob)

    def mismatch(self, found: str) -> ContentMismatch:
        """The error that the blob is not what its descriptor says."""
        blob = self._blob
        return ContentMismatch(
            f"blob {blob.digest} in {self._source.locate(blob)}: its size should be {blob.size}, and {found}; "
            "it is damaged, so make it again",
            side="source",
        )

    def unreadable(self, error: OSError) -> InvalidLayout:
        """The error that the file cannot be read."""
        where = self._source.locate(self._blob)
        return InvalidLayout(f"{where}: cannot be read: {error.strerror}; check the disk", side="source")

    async def check(self) -> None:
        """
        Look at the whole file, where there is one.

        Raises:
            ContentMismatch: it is shorter, or its digest is another.
            InvalidLayout: it cannot be read.
        """
        abandoned = threading.Event()
        try:
            await asyncio.to_thread(self._check, abandoned)
        finally:
            abandoned.set()

    def _check(self, abandoned: threading.Event) -> None:
        """A thread is not stopped by a cancellation, but by the event."""
        file, size, hasher, position = self.open(), self._blob.size, self._blob.digest.hasher(), 0
        if file is None:
            return
        try:
            with file:
                while position < size and not abandoned.is_set():
                    data = file.read(min(MIB, size - position))
                    if not data:
                        raise self.mismatch(f"it ends at byte {position}")
                    hasher.update(data)
                    position += len(data)
        except OSError as error:
            raise self.unreadable(error) from None
        if position == size and not self._blob.digest.matches(hasher):
            raise self.mismatch(f"its content has digest {self._blob.digest.algorithm}:{hasher.hexdigest()}")


class BlobPart:
    """A blob's bytes from `first` on, as a body may be sent from: its errors are those of a source."""

    def __init__(self, file: BlobFile, first: int) -> None:
        self._file = file
        self.first = first

    def open(self) -> BinaryIO | None:
        """The file, where it has a descriptor, in which the blob begins at byte 0. Blocks."""
        try:
            file = self._file.open()
        except Exception as error:
            raise SourceFailed(error) from error
        if file is None or _has_descriptor(file):
            return file
        file.close()
        return None

    def ended(self, position: int) -> SourceFailed:
        """The error that the file ends at this byte."""
        return SourceFailed(self._file.mismatch(f"it ends at byte {position}"))

    def unreadable(self, error: OSError) -> SourceFailed:
        """The error that the file cannot be read."""
        return SourceFailed(self._file.unreadable(error))


def _has_descriptor(file: BinaryIO) -> bool:
    try:
        file.fileno()
    except OSError:
        return False
    return True
