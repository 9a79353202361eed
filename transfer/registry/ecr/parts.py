"""
Parts: a layer's bytes, read, hashed and encoded into bodies of UploadLayerPart.

A part is read once, in a worker thread: the content digest, the guard of what was sent and the hash that signs the
request, which is over base64 text, all come from the same pass. The text itself is made again while it is sent: that
takes a tenth of the hashing, and a third less memory than to keep it. Slices are a multiple of three bytes, so that
base64 text of slices joins to base64 text of the part.
"""

import asyncio
import mmap
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Self, TypeVar

import msgspec
import pybase64
import xxhash

from transfer.concurrency import worker_threads
from transfer.engine.blob_reader import BlobReader, SourceFailed
from transfer.engine.protocols import BlobSource
from transfer.http.bodies import Base64Text, RequestBody
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Hasher
from transfer.registry.ecr.host import RepositoryNames

T = TypeVar("T")

# A multiple of three, for base64, and small enough to be in the processor's cache for all three hashes.
SLICE = 96 * 1024
# Recorded for bytes that were not all read here; no file is taken up on the strength of it.
NO_GUARD = 0


@dataclass(frozen=True, slots=True)
class EcrUploadSession:
    """An upload session: whose it is, what ECR calls it, and how large it wants the parts to be."""

    names: RepositoryNames
    upload_id: str
    part_size: int


@dataclass(frozen=True, slots=True)
class LayerPart:
    """
    The bytes [first, end) of a layer, ready to be sent.

    `guard` is xxh3-64 over [0, end), or None where the layer had been read further before.
    """

    first: int
    end: int
    body: RequestBody
    guard: int | None

    @property
    def size(self) -> int:
        return self.end - self.first


def _head(session: EcrUploadSession, first: int, end: int) -> bytes:
    """Return the JSON of an UploadLayerPart request up to its base64 text, which passes no encoder."""
    members = {**session.names, "uploadId": session.upload_id, "partFirstByte": first, "partLastByte": end - 1}
    return msgspec.json.encode(members)[:-1] + b',"layerPartBlob":"'


_TAIL = b'"}'


def _body(head: bytes, content: memoryview, signed: Hasher) -> RequestBody:
    signed.update(_TAIL)
    return RequestBody((head, Base64Text(content), _TAIL), digest=signed.hexdigest(), blob_bytes=len(content))


def _memory(size: int) -> mmap.mmap:
    """
    Return a memory map of private pages, large ones where the system has them.

    Freed, they go back to the system at once, while the C library's heaps (one a thread) would keep tens of megabytes.
    Getting 14 MB takes 2 ms in large pages, 9 in small ones and 13 in shared ones; all of a part's hashing takes 16.
    """
    memory = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)
    if sys.platform == "linux":
        with suppress(OSError):  # a kernel built without large pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class LayerReader:
    """
    Reads a layer in any order of parts, and verifies it as its front moves to the end.

    A stream that is taken up in its middle is not verified here: its beginning is not read again, and the registry
    computes the digest when the upload completes.

    Raises (all its methods):
        ContentMismatch: the layer is shorter than its size, or does not have its digest; names its place.
    """

    def __init__(self, source: BlobSource, descriptor: Descriptor, *, in_memory: bool = False) -> None:
        self._descriptor = descriptor
        self._in_memory = in_memory
        self._reader = BlobReader(source, descriptor)
        self._hasher = descriptor.digest.hasher()
        self._guard = xxhash.xxh3_64()
        self._front = 0
        self._hashing = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.aclose()

    async def resume(self, offset: int, guard: int) -> bool:
        """
        Take the layer up at `offset`; whether the bytes before it are those that `guard` was computed over.

        A file may have changed since, so that it is read again. A stream is known by its digest.
        """
        return await _in_lane(partial(self._resume, offset, guard))

    def _resume(self, offset: int, guard: int) -> bool:
        if not self._reader.is_file():
            self._hashing = False
            return True
        self._pass_over(offset)
        self._verify()
        return self._guard.intdigest() == guard

    async def part(self, session: EcrUploadSession, first: int) -> LayerPart:
        """Return the part of `session` that begins at `first`."""
        end = min(first + session.part_size, self._descriptor.size)
        if self._in_memory and end - first == self._descriptor.size:
            content = await self._reader.content()
            return await asyncio.to_thread(self._whole, session, content)
        return await _in_lane(partial(self._part, session, first, end))

    def _whole(self, session: EcrUploadSession, content: bytes) -> LayerPart:
        head = _head(session, 0, len(content))
        body = _body(head, memoryview(content), sha256(head + pybase64.b64encode(content)))
        return LayerPart(0, len(content), body, xxhash.xxh3_64_intdigest(content))

    def _part(self, session: EcrUploadSession, first: int, end: int) -> LayerPart:
        if self._hashing and first > self._front:
            self._pass_over(first)
        head, content = _head(session, first, end), memoryview(_memory(end - first))
        signed = sha256(head)
        self._reader.seek(first)
        for start in range(0, len(content), SLICE):
            piece = content[start : start + SLICE]
            self._fill(piece)
            self._hash(piece, first + start)
            signed.update(pybase64.b64encode(piece))
        self._verify()
        return LayerPart(first, end, _body(head, content, signed), self._guard_at(end))

    def _pass_over(self, end: int) -> None:
        """Hash what lies before `end`."""
        self._reader.seek(self._front)
        buffer = memoryview(bytearray(SLICE))
        while self._front < end:
            piece = buffer[: end - self._front]
            self._fill(piece)
            self._hash(piece, self._front)

    def _fill(self, piece: memoryview) -> None:
        worker_threads.check()
        while piece:
            piece = piece[self._reader.readinto(piece) :]

    def _hash(self, piece: memoryview, first: int) -> None:
        fresh = first + len(piece) - self._front
        if self._hashing and fresh > 0:
            data = piece[-fresh:]
            self._hasher.update(data)
            self._guard.update(data)
            self._front += len(data)

    def _guard_at(self, end: int) -> int | None:
        if not self._hashing:
            return NO_GUARD
        return self._guard.intdigest() if self._front == end else None

    def _verify(self) -> None:
        blob = self._descriptor
        if self._front == blob.size and not blob.digest.matches(self._hasher):
            raise self._reader.wrong_digest(self._hasher)


async def _in_lane(work: Callable[[], T]) -> T:
    """Run what reads the source in a worker thread; an error of the source comes out as it is."""
    try:
        return await worker_threads.run_in_worker(work)
    except SourceFailed as failed:
        raise failed.error from None
