"""
A digest: the identity of content.

Grammar and registered algorithms: OCI image-spec 1.1, descriptor.md, "Digests". Only the registered algorithms are
accepted, since nothing else can be verified.
"""

import hashlib
import re
from typing import Protocol, Self

from transfer.errors import InvalidDigest

_ENCODED_LENGTH = {"sha256": 64, "sha512": 128}
_PATTERN = re.compile(r"(sha256|sha512):([a-f0-9]+)")
_DIGEST_TAG = re.compile(r"sha(256|512)-[a-f0-9]{64}(\..+)?")


class Hasher(Protocol):
    """The hash objects of `hashlib`, as far as they are needed here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Digest(str):
    """
    A checked digest, `sha256:…` or `sha512:…` in lower case; a `str` everywhere a string is wanted.

    Raises:
        InvalidDigest: the text is not a digest of a registered algorithm.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        match = _PATTERN.fullmatch(text)
        if match is None or len(match[2]) != _ENCODED_LENGTH[match[1]]:
            shown = text if len(text) <= 140 else text[:140] + "…"
            raise InvalidDigest(f"digest {shown!r}: expected sha256:<64 hex digits> or sha512:<128 hex digits>")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes | memoryview, algorithm: str = "sha256") -> Self:
        """Digest of content that is in memory."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, for people."""
        return self.encoded[:12]

    @property
    def as_tag(self) -> str:
        """The tag under which what refers to this content is listed where there is no API for it: `sha256-…`."""
        # distribution-spec 1.1, "Referrers Tag Schema": a longer digest is cut.
        return f"{self.algorithm}-{self.encoded[:64]}"

    def hasher(self) -> Hasher:
        """Return a fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, hasher: Hasher) -> bool:
        """Return whether all that was fed to `hasher` has this digest."""
        return hasher.hexdigest() == self.encoded


def is_digest_tag(tag: str) -> bool:
    """Return whether a tag is made of a digest, as `sha256-….sig`, for content attached to it."""
    return _DIGEST_TAG.fullmatch(tag) is not None
