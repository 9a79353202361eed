"""
What observers are told: plain frozen values, in the order things happen.

An observer is called in the event loop with one event at a time and must return at once; it steers nothing. Knows
no terminal and no log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest

BlobStatus = Literal["uploaded", "present", "resumed", "mounted"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What an image needs: all its blobs, and those that must be sent."""

    blobs: int
    size: int
    missing_blobs: int
    missing_size: int


@dataclass(frozen=True, slots=True)
class BlobStarted:
    """A blob's upload begins, or continues at `offset` bytes."""

    descriptor: Descriptor
    offset: int = 0


@dataclass(frozen=True, slots=True)
class BlobProgress:
    """The registry has confirmed `offset` bytes of a blob; smaller than before when an upload starts over."""

    digest: Digest
    offset: int


@dataclass(frozen=True, slots=True)
class BlobFinished:
    """A blob is at the target."""

    descriptor: Descriptor
    status: BlobStatus


@dataclass(frozen=True, slots=True)
class ManifestPushed:
    """A manifest is at the target, under `tag` where one is named."""

    digest: Digest
    tag: str | None


@dataclass(frozen=True, slots=True)
class Retrying:
    """Something failed and is tried again after `delay` seconds; `attempt` counts from 1."""

    action: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class Requested:
    """A request goes out; counted on the way to an observer, and not passed on."""

    action: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that costs comfort, not correctness: a journal that cannot be used, a file that changed."""

    message: str


@dataclass(frozen=True, slots=True)
class At:
    """What happened on the way to one of several targets."""

    target: str
    event: "Event"


def unwrapped(event: "Event") -> "Event":
    """What happened, wherever it did."""
    return unwrapped(event.event) if isinstance(event, At) else event


Event = Planned | BlobStarted | BlobProgress | BlobFinished | ManifestPushed | Retrying | Requested | Notice | At
Observer = Callable[[Event], None]
