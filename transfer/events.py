"""
Events: what observers receive, as plain frozen values, in the order things happen.

An observer is called in the event loop with one event at a time and must return at once; it steers nothing. Knows
no terminal and no log.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest

BlobStatus = Literal["uploaded", "present", "resumed", "mounted"]


class Planned(msgspec.Struct, frozen=True):
    """The blobs of an image, and those that must be sent."""

    blobs: int
    size: int
    missing_blobs: int
    missing_size: int


class BlobStarted(msgspec.Struct, frozen=True):
    """A blob's upload begins, or continues at `offset` bytes."""

    descriptor: Descriptor
    offset: int = 0


class BlobProgress(msgspec.Struct, frozen=True):
    """
    `offset` bytes of a blob are on the wire, or written; told at least twice a second while a large one moves.

    Smaller than before where bytes must be sent again: what counts in the end is that the registry has them.
    """

    digest: Digest
    offset: int


class BlobFinished(msgspec.Struct, frozen=True):
    """A blob is at the target."""

    descriptor: Descriptor
    status: BlobStatus


class ManifestPushed(msgspec.Struct, frozen=True):
    """A manifest is at the target, under `tag` where one is named."""

    digest: Digest
    tag: str | None


class Retrying(msgspec.Struct, frozen=True):
    """
    Something failed and is tried again.

    Attributes:
        attempt: the number of the try that failed, from 1; it counts anew once one has got further.
        delay: seconds until the next.
        reason: what the error says.
        failing: seconds since the first of these tries failed.
        left: seconds until it is given up.
    """

    action: str
    attempt: int
    delay: float
    reason: str
    failing: float = 0.0
    left: float | None = None


class Requested(msgspec.Struct, frozen=True):
    """A request goes out; counted on the way to an observer, and not passed on."""

    action: str


class Notice(msgspec.Struct, frozen=True):
    """Something that costs comfort, not correctness: a journal that cannot be used, a file that changed."""

    message: str


class At(msgspec.Struct, frozen=True):
    """An event of one of several targets."""

    target: str
    event: "Event"


def unwrapped(event: "Event") -> "Event":
    """Return the event without its target."""
    return unwrapped(event.event) if isinstance(event, At) else event


Event = Planned | BlobStarted | BlobProgress | BlobFinished | ManifestPushed | Retrying | Requested | Notice | At
Observer = Callable[[Event], None]
