"""
Request bodies, read without holding them.

A layer part is up to 20 MiB of base64 inside a JSON document. `PartBody` takes the document in pieces as they arrive,
passes the decoded `layerPartBlob` on and keeps the small rest, which is then strict JSON like any other document.
`receive` feeds a body and hashes it for its signature, away from the event loop where there is much of it. Knows
neither operations nor files.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import pybase64

from transfer.server.errors import ApiError, not_json

MAX_DOCUMENT = 16 * 1024 * 1024  # a manifest of 4 MiB fits, also with most of it escaped
MAX_PART_DOCUMENT = 32 * 1024 * 1024  # 20 MiB in base64 are 28 MB

# A thread hop costs about as much as handling 64 KiB in place; whole batches make it cheap.
_INLINE = 64 * 1024
_BATCH = 256 * 1024
_MAX_REST = 64 * 1024
_DRAIN_SECONDS = 10

_BLOB = "layerPartBlob"
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_OPEN, _CLOSE = frozenset(b"{["), frozenset(b"}]")


class Body(Protocol):
    """Something that a request body is fed to."""

    limit: int

    def feed(self, data: bytes, /) -> None: ...

    def document(self) -> bytes: ...


class PlainBody:
    """A body that is kept whole."""

    limit = MAX_DOCUMENT

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes, /) -> None:
        self._data += data

    def document(self) -> bytes:
        return bytes(self._data)


class Base64:
    """A strict decoder of base64 that arrives in pieces cut anywhere."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._carry = b""
        self._padded = False
        self.size = 0

    def feed(self, data: bytes) -> None:
        data = self._carry + data
        whole = len(data) - len(data) % 4
        self._carry = data[whole:]
        if not whole:
            return
        if self._padded:
            raise not_json(f"{_BLOB} continues after the padding of its base64")
        try:
            decoded = pybase64.b64decode(data[:whole], validate=True)
        except ValueError:
            raise not_json(f"{_BLOB} is not base64") from None
        self._padded = data[whole - 1 : whole] == b"="
        self.size += len(decoded)
        self._write(decoded)

    def close(self) -> None:
        if self._carry:
            raise not_json(f"{_BLOB} is not base64: its length is not a multiple of 4")


class PartBody:
    """
    A body whose top-level `layerPartBlob` is decoded on the way, as far as it is a string.

    `document()` is the body with that string emptied. The scanner does not judge the rest, since a strict parser
    reads that afterwards; the blob's characters are judged here.
    """

    limit = MAX_PART_DOCUMENT

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._blob = Base64(write)
        self._seen = self._in_blob = False
        self._escape = b""  # the beginning of an escape in the blob that the latest piece cut
        self._rest = bytearray()
        self._depth = 0
        self._string_at: int | None = None  # where in the rest the string begins that is being read
        self._escaped = False
        self._key = b""
        self._in_value = False

    @property
    def blob_bytes(self) -> int:
        """Decoded bytes so far."""
        return self._blob.size

    def feed(self, data: bytes, /) -> None:
        """
        Take the next piece, cut anywhere.

        Raises:
            ApiError: SerializationException, for what cannot be a layer part's document.
        """
        position = 0
        while position < len(data):
            position = self._read_blob(data, position) if self._in_blob else self._read_rest(data, position)

    def document(self) -> bytes:
        if self._in_blob:
            raise not_json(f"the document ends inside {_BLOB}")
        return bytes(self._rest)

    def beginning(self) -> dict[str, Any]:
        """Return the members that stood before the blob, of a body that broke off in it or behind it."""
        for end in (b'"}', b"}", b""):
            with suppress(ValueError):
                found = msgspec.json.decode(bytes(self._rest) + end)
                return found if isinstance(found, dict) else {}
        return {}

    def _read_rest(self, data: bytes, position: int) -> int:
        for at in range(position, len(data)):
            byte = data[at]
            self._rest.append(byte)
            if self._string_at is not None:
                self._in_string(byte)
            elif byte == _QUOTE:
                if self._at_blob():
                    return at + 1
                self._string_at = len(self._rest) - 1
            else:
                self._structure(byte)
        if len(self._rest) > _MAX_REST:
            raise not_json(f"there are more than {_MAX_REST} bytes beside {_BLOB}")
        return len(data)

    def _in_string(self, byte: int) -> None:
        if self._escaped or byte == _BACKSLASH:
            self._escaped = not self._escaped
        elif byte == _QUOTE:
            if self._depth == 1 and not self._in_value:
                self._key = bytes(self._rest[self._string_at :])
            self._string_at = None

    def _structure(self, byte: int) -> None:
        if byte in _OPEN:
            self._depth += 1
        elif byte in _CLOSE:
            self._depth -= 1
        elif self._depth == 1 and byte in (_COLON, _COMMA):
            self._in_value = byte == _COLON

    def _at_blob(self) -> bool:
        """Return whether the string that begins here is the blob; a key may be written with escapes."""
        if not (self._depth == 1 and self._in_value):
            return False
        try:
            if msgspec.json.decode(self._key) != _BLOB:
                return False
        except ValueError:
            return False
        if self._seen:
            raise not_json(f"{_BLOB} occurs twice in the document")
        self._seen = self._in_blob = True
        return True

    def _read_blob(self, data: bytes, position: int) -> int:
        quote = data.find(b'"', position)
        ended = quote >= 0
        piece = self._escape + (data[position:quote] if ended else data[position:])
        self._escape = b""
        if b"\\" in piece:
            piece = self._unescape(piece, ended=ended)
        self._blob.feed(piece)
        if not ended:
            return len(data)
        self._blob.close()
        self._in_blob = False
        self._rest.append(_QUOTE)
        return quote + 1

    def _unescape(self, piece: bytes, *, ended: bool) -> bytes:
        r"""PHP writes `\/` for `/`, some Java writers `\u003d` for `=`. Any other backslash is left, and no base64."""
        last = piece.rfind(b"\\")
        needed = 6 if piece[last + 1 : last + 2] in (b"", b"u") else 2
        if not ended and len(piece) - last < needed:
            piece, self._escape = piece[:last], piece[last:]
        return _ESCAPED.sub(_character, piece).replace(b"\\/", b"/")


def _character(match: re.Match[bytes]) -> bytes:
    character = bytes.fromhex(match[1].decode())
    return character if character[0] in _ALPHABET else match[0]


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """
    Let the rest of a refused body pass, within bounds.

    A client that sends all of it before it reads the answer would otherwise find its connection reset instead; one
    that hung up reads nothing.
    """
    left = MAX_PART_DOCUMENT
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    return


async def receive(
    chunks: AsyncIterator[bytes], body: Body, in_thread: Callable[[Callable[[bytes], None], bytes], Awaitable[None]]
) -> str:
    """
    Feed a request's body and return its sha256 in hex.

    Raises:
        ApiError: RequestEntityTooLargeException, or what `body` refuses.
    """
    hasher = hashlib.sha256()

    def consume(data: bytes) -> None:
        hasher.update(data)
        body.feed(data)

    total = 0
    batch: list[bytes] = []
    batched = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > body.limit:
            raise ApiError("RequestEntityTooLargeException", f"Request is larger than {body.limit} bytes", status=413)
        batch.append(chunk)
        batched += len(chunk)
        if batched >= _BATCH:
            await in_thread(consume, b"".join(batch))
            batch.clear()
            batched = 0
    if batched <= _INLINE:
        consume(b"".join(batch))
    else:
        await in_thread(consume, b"".join(batch))
    return hasher.hexdigest()
