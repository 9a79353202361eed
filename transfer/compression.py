"""
Compressing and decompressing streams of bytes, bounded and reproducible.

gzip is written by zlib-ng in blocks of 1 MiB that several threads compress at once, each primed with the 32 KiB
before it, as pigz does; zstd by its own worker threads. The bytes depend on the content, on the settings below and on
the version of the library, and on neither the number of threads nor the clock. Memory: some blocks a thread, about 40
MiB a thread with zstd; at most 8 threads.

zlib-ng rather than ISA-L: 96 MB/s a core for 0.303 of the size, where ISA-L has 340 MB/s for 0.336 (83 MB of an
installed Python, 2026-11); what is uploaded counts for more than the time of a core.
"""

import bz2
import hashlib
import io
import lzma
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol, cast

import zstandard
from zlib_ng import gzip_ng, zlib_ng

from transfer.model.digest import Hasher

if TYPE_CHECKING:
    from typing_extensions import Buffer

Compression = Literal["gzip", "zstd"]
# What is read besides, of whole archives; registries know no layers of these.
Decompression = Literal["gzip", "zstd", "xz", "bzip2"]

BLOCK_BYTES = 1024 * 1024
MAGIC_BYTES = 6
_MAGIC: dict[bytes, Decompression] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
}

_GZIP_LEVEL = 5
_ZSTD_LEVEL = 3
_MOST_THREADS = 8
_WINDOW = 32 * 1024
# Deflate, no flags, no time, no hint, of an unknown system: nothing that tells when or where.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# An empty last block with fixed codes.
_DEFLATE_END = b"\x03\x00"

# Decompressed content may be a hundred times its compressed size (deflate can do 1032 : 1) once it is of a size that
# could hurt.
_HARMLESS_BYTES = 1024**3
_MOST_RATIO = 100
# RFC 8878 asks decoders for 8 MiB; `zstd --long` without a number uses 128 MiB.
_MOST_ZSTD_WINDOW = 128 * 1024**2
# `xz -9` needs 65 MiB to decompress.
_MOST_XZ_MEMORY = 128 * 1024**2
# The stubs of zlib_ng say that its error is a value.
_PIECE = 64 * 1024
_DECOMPRESSOR_ERRORS = (
    gzip_ng.BadGzipFile,
    cast("type[Exception]", zlib_ng.error),
    zstandard.ZstdError,
    EOFError,
    OSError,
    lzma.LZMAError,
)


class CompressionRefused(ValueError):
    """Why compressed bytes cannot be used, for the caller to say of what."""


class Readable(Protocol):
    """A readable stream, as far as it is needed here."""

    def read(self, size: int, /) -> bytes: ...


def sniff(head: bytes) -> Decompression | None:
    """Return the compression of a stream by its first bytes; None where it is not compressed in a known way."""
    return next((method for magic, method in _MAGIC.items() if head.startswith(magic)), None)


def blocks_of(file: Readable) -> Iterator[bytes]:
    """Return a file in blocks of 1 MiB; every block but the last is full when its `read` fills what it is asked for."""
    return iter(lambda: file.read(BLOCK_BYTES), b"")


def compress(blocks: Iterable[bytes], method: Compression, *, threads: int | None = None) -> Iterator[bytes]:
    """Compress blocks that are all of BLOCK_BYTES but the last."""
    count = min(threads or os.cpu_count() or 1, _MOST_THREADS)
    return _gzip(blocks, count) if method == "gzip" else _zstd(blocks, count)


class Hashed:
    """A stream whose bytes are hashed as they are read."""

    def __init__(self, source: Readable, hasher: Hasher) -> None:
        self._source = source
        self._hasher = hasher

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hasher.update(data)
        return data


class Packed(NamedTuple):
    """What a stream became: SHA-256 of its content and of the compressed bytes, in hexadecimal, and their number."""

    content: str
    packed: str
    size: int


def pack(source: Readable, sink: BinaryIO, method: Compression) -> Packed:
    """Compress a stream into a file, in one pass; its `read` fills what it is asked for."""
    content, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    for piece in compress(blocks_of(Hashed(source, content)), method):
        packed.update(piece)
        sink.write(piece)
        size += len(piece)
    # It is read through its descriptor.
    sink.flush()
    return Packed(content.hexdigest(), packed.hexdigest(), size)


def _gzip(blocks: Iterable[bytes], threads: int) -> Iterator[bytes]:
    crc, size, before = 0, 0, b""
    pending: deque[Future[bytes]] = deque()
    yield _GZIP_HEADER
    with ThreadPoolExecutor(threads, thread_name_prefix="gzip") as pool:
        for block in blocks:
            crc, size = zlib_ng.crc32(block, crc), size + len(block)
            pending.append(pool.submit(_deflate, block, before))
            before = block[-_WINDOW:]
            if len(pending) > threads:
                yield pending.popleft().result()
        for future in pending:
            yield future.result()
    yield _DEFLATE_END + crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")


def _deflate(block: bytes, before: bytes) -> bytes:
    # A compressor for each block: one that is reset may give other bytes than a fresh one (zlib-ng/zlib-ng#2100).
    args = (_GZIP_LEVEL, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS, zlib_ng.DEF_MEM_LEVEL, zlib_ng.Z_DEFAULT_STRATEGY)
    compressor = zlib_ng.compressobj(*args, before) if before else zlib_ng.compressobj(*args)
    return compressor.compress(block) + compressor.flush(zlib_ng.Z_SYNC_FLUSH)


def _zstd(blocks: Iterable[bytes], threads: int) -> Iterator[bytes]:
    # With any number of workers zstd cuts its jobs at the same places; without workers it would not.
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=threads, write_checksum=True).compressobj()
    for block in blocks:
        if piece := compressor.compress(block):
            yield piece
    yield compressor.flush()


class Decompressed:
    """
    The content of a compressed stream, read piece by piece.

    Args:
        source: the compressed stream.
        harmless: bytes of content that are given out at any ratio.

    A zstd stream that is cut off ends early, without an error: who reads it knows by the content.

    Raises (from `read`):
        CompressionRefused: it is damaged, or a bomb.
    """

    def __init__(self, source: Readable, method: Decompression, *, harmless: int = _HARMLESS_BYTES) -> None:
        self._harmless = harmless
        self._counted = _Counted(source)
        self._content = 0
        self._inner: Readable
        if method == "gzip":
            self._inner = gzip_ng.GzipNGFile(fileobj=self._counted, mode="rb")  # type: ignore[no-untyped-call] # no types
        elif method == "zstd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_ZSTD_WINDOW)
            self._inner = decompressor.stream_reader(cast("BinaryIO", self._counted), read_across_frames=True)
        else:
            self._inner = _Stream(self._counted, method)

    def read(self, size: int, /) -> bytes:
        try:
            data = self._inner.read(size)
        except _DECOMPRESSOR_ERRORS as error:
            raise CompressionRefused(f"it cannot be decompressed: {error}") from None
        self._content += len(data)
        if self._content > max(self._harmless, _MOST_RATIO * self._counted.count):
            raise CompressionRefused(
                f"its first {self._counted.count} bytes decompress to {self._content}, more than {_MOST_RATIO} times "
                "as much: decompress it yourself if that is right"
            )
        return data


class _Decompressor(Protocol):
    """What `bz2` and `lzma` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Stream:
    """
    A bzip2 or xz stream, or several behind each other, read in pieces of a bounded size.

    `bz2.BZ2File` and `lzma.LZMAFile` have no bound for the memory that xz's dictionary takes.
    """

    def __init__(self, source: Readable, method: Decompression) -> None:
        self._source = source
        self._method = method
        self._decompressor = self._new()

    def read(self, size: int, /) -> bytes:
        """Return as many bytes as are asked for, fewer at the end."""
        content = bytearray()
        while len(content) < size and (piece := self._next(size - len(content))) is not None:
            content += piece
        return bytes(content)

    def _next(self, most: int) -> bytes | None:
        data = b""
        if self._decompressor.eof:
            # Zeros pad a stream of xz.
            data = self._decompressor.unused_data.lstrip(b"\0") or self._source.read(_PIECE).lstrip(b"\0")
            if not data:
                return None
            self._decompressor = self._new()
        elif self._decompressor.needs_input and not (data := self._source.read(_PIECE)):
            raise EOFError("it is cut off")
        try:
            return self._decompressor.decompress(data, most)
        except (OSError, lzma.LZMAError) as error:
            raise CompressionRefused(f"it cannot be decompressed: {error}") from None

    def _new(self) -> _Decompressor:
        if self._method == "bzip2":
            return bz2.BZ2Decompressor()
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_XZ_MEMORY)


class _Counted(io.RawIOBase):
    """Counts what a decompressor takes."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        view = memoryview(buffer)
        data = self._source.read(len(view))
        view[: len(data)] = data
        self.count += len(data)
        return len(data)
