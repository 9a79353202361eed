"""
The layers of a `docker save` archive as compressed blobs, each compressed once.

A layer that lies in the archive as gzip or zstd stays as it is. Any other one is compressed into one unnamed temporary
file, in which all of them lie behind each other. Either is compared with its diff_id.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import BinaryIO

from transfer.compression import (
    MAGIC_BYTES,
    Compression,
    CompressionRefused,
    Decompressed,
    Hashed,
    Readable,
    blocks_of,
    compress,
    sniff,
)
from transfer.errors import ContentMismatch, InvalidLayout
from transfer.local.archive.docker_documents import layer_media_type
from transfer.local.archive.file_slice import file_slice
from transfer.local.archive.reader import Archive
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest, Hasher


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer: its descriptor, how it is opened, and the member that it comes from."""

    descriptor: Descriptor
    open: Callable[[], BinaryIO]
    member: str


class LayerStore:
    """
    The layers of one archive, by diff_id.

    Args:
        archive: where the members are.
        compression: of layers that lie uncompressed in it.
        docker_types: name them by Docker's media types.
        stop: set by another thread to give up.
    """

    def __init__(self, archive: Archive, compression: Compression, *, docker_types: bool, stop: Event) -> None:
        self._archive = archive
        self._compression: Compression = compression
        self._docker_types = docker_types
        self._stop = stop
        self._found: dict[Digest, Layer] = {}
        self._spool: BinaryIO | None = None

    def layer(self, name: str, diff_id: Digest) -> Layer:
        """
        Return the layer of the member `name`. Blocks, for as long as compressing it takes.

        Raises:
            InvalidLayout: the member is missing or damaged, or there is no room for the compressed layer.
            ContentMismatch: its content does not have the diff_id.
        """
        if diff_id not in self._found:
            with self._archive.open((name,)) as file:
                try:
                    self._found[diff_id] = self._read(name, diff_id, file)
                except CompressionRefused as error:
                    raise self._refusal(name, str(error)) from None
                except OSError as error:
                    reason = f"cannot be compressed in {tempfile.gettempdir()!r}: {error.strerror}; set TMPDIR"
                    raise self._refusal(name, reason) from None
        return self._found[diff_id]

    def close(self) -> None:
        """Remove the temporary file; layers that are open stay so."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _read(self, name: str, diff_id: Digest, file: BinaryIO) -> Layer:
        head = file.read(MAGIC_BYTES)
        file.seek(0)
        method = sniff(head)
        content, packed = diff_id.hasher(), hashlib.sha256()
        opener: Callable[[], BinaryIO]
        if method in ("gzip", "zstd"):
            whole = Decompressed(Hashed(file, packed), method)
            for block in self._until_stopped(blocks_of(whole)):
                content.update(block)
            size, opener = file.tell(), partial(self._archive.open, (name,))
            compression: Compression = method
        else:
            compression = self._compression
            plain: Readable = file if method is None else Decompressed(file, method)
            size, opener = self._compress(Hashed(plain, content), packed)
        if not diff_id.matches(content):
            raise ContentMismatch(
                f"{self._archive.label}: {name!r} has digest {diff_id.algorithm}:{content.hexdigest()}, and the "
                f"image's config says {diff_id}: save the image again",
                side="source",
            )
        kind = layer_media_type(compression, docker_types=self._docker_types)
        digest = Digest(f"sha256:{packed.hexdigest()}")
        return Layer(Descriptor(media_type=kind, digest=digest, size=size), opener, name)

    def _compress(self, file: Readable, packed: Hasher) -> tuple[int, Callable[[], BinaryIO]]:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        start = self._spool.tell()
        for piece in compress(self._until_stopped(blocks_of(file)), self._compression):
            packed.update(piece)
            self._spool.write(piece)
        # It is read through its descriptor.
        self._spool.flush()
        size = self._spool.tell() - start
        return size, partial(self._window, start, size)

    def _window(self, start: int, size: int) -> BinaryIO:
        if self._spool is None:
            raise InvalidLayout(f"{self._archive.label}: it is closed", side="source")
        return file_slice(self._spool.fileno(), start, size)

    def _until_stopped(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self._stop.is_set():
                raise InvalidLayout(f"{self._archive.label}: it is closed", side="source")
            yield block

    def _refusal(self, name: str, reason: str) -> InvalidLayout:
        return InvalidLayout(f"{self._archive.label}: {name!r} cannot be used: {reason}", side="source")
