"""
The bytes: blobs under their digest, uploads under their id, in one data folder.

Only moves bytes; which of them count is said by the metadata. All calls block, so they run in threads.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import ParamSpec, Protocol, Self, TypeVar

from transfer.model.digest import Digest

P = ParamSpec("P")
T = TypeVar("T")

_PIECE = 1024 * 1024
_IN_MEMORY = 256 * 1024  # parts up to this size never see the disk before they are accepted
_THREADS = 4


class RunningHash(Protocol):
    """A hash that can be forked."""

    @property
    def name(self) -> str: ...

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...

    def copy(self) -> Self: ...


class Files:
    """The data folder and the threads that work in it."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._uploads = root / "uploads"
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="registry-files")
        for folder in (self._blobs, self._uploads):
            folder.mkdir(parents=True, exist_ok=True)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the blocking calls in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def close(self) -> None:
        self._threads.shutdown()

    def blob(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.encoded[:2] / digest.encoded

    def spool(self) -> SpooledTemporaryFile[bytes]:
        """Somewhere to keep a part until all of it is there; it has no name, so nothing is left of it after a kill."""
        return SpooledTemporaryFile(_IN_MEMORY, dir=str(self._uploads))

    def pieces(self, part: SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
        """Yield a spooled part from its beginning."""
        part.seek(0)
        while piece := part.read(_PIECE):
            yield piece

    def append(self, upload_id: str, at: int, pieces: Iterable[bytes], hasher: RunningHash) -> None:
        """Put pieces behind the first `at` bytes of an upload; what an interrupted call left there goes."""
        with os.fdopen(os.open(self._upload(upload_id), os.O_WRONLY | os.O_CREAT, 0o666), "wb") as file:
            file.truncate(at)
            file.seek(at)
            for piece in pieces:
                hasher.update(piece)
                file.write(piece)

    def hash_upload(self, upload_id: str, size: int, algorithm: str) -> RunningHash:
        """Hash the first `size` bytes of an upload again."""
        hasher: RunningHash = hashlib.new(algorithm)
        if size:
            with self._upload(upload_id).open("rb") as file:
                while size and (piece := file.read(min(_PIECE, size))):
                    hasher.update(piece)
                    size -= len(piece)
        return hasher

    def keep(self, upload_id: str, size: int, digest: Digest) -> None:
        """
        Make an upload's bytes a blob as well.

        The upload stays until `discard`, so that a kill in between leaves one that can be completed again.
        """
        blob, upload = self.blob(digest), self._upload(upload_id)
        with upload.open("ab") as file:  # one of no bytes has no file before this
            file.truncate(size)
        blob.parent.mkdir(parents=True, exist_ok=True)
        # Replaced, not left as found: a killed server can have left a link there to an upload that went on growing.
        link = blob.with_name(f"{blob.name}.new")
        link.unlink(missing_ok=True)
        os.link(upload, link)
        link.replace(blob)
        link.unlink(missing_ok=True)  # a rename between two names of one file does nothing, says POSIX

    def discard(self, upload_id: str) -> None:
        self._upload(upload_id).unlink(missing_ok=True)

    def remove_blob(self, digest: Digest) -> None:
        self.blob(digest).unlink(missing_ok=True)

    def upload_ids(self) -> list[str]:
        return [path.name for path in self._uploads.iterdir()]

    def _upload(self, upload_id: str) -> Path:
        return self._uploads / upload_id
