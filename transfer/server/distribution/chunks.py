"""The bodies of uploads: which bytes a request claims to bring, and those bytes in pieces worth writing."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from transfer.server.distribution import errors

_SPAN = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")  # distribution-spec 1.1, "Pushing a blob in chunks"

# A piece costs a thread hop and a transaction; one mebibyte makes both cheap and bounds what an upload holds.
PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of the blob that a chunk holds, both inclusive."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


def read_span(header: str | None, length: int | None) -> Span | None:
    """
    Read the Content-Range of a chunk, None where there is none.

    Raises:
        Refusal: BLOB_UPLOAD_INVALID for one that is malformed, SIZE_INVALID where the Content-Length differs.
    """
    if header is None:
        return None
    match = _SPAN.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise errors.upload_invalid(f"Content-Range {header[:80]!r}: expected FIRST-LAST")
    span = Span(int(match[1]), int(match[2]))
    if length is not None and length != span.size:
        raise errors.size_invalid(f"Content-Range {header} is of {span.size} bytes, Content-Length says {length}")
    return span


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join what arrives until a piece is full; what a client sent that then hung up comes before the error."""
    held: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= PIECE:
                piece = b"".join(held)
                held.clear()
                size = 0
                yield piece
    except ConnectionError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)
