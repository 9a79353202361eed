"""What happens during a run of a mirror, for those who show it while it goes on."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from transfer.events import Event
from transfer.mirror.run.report import ImageReport


class ImagesFound(msgspec.Struct, frozen=True):
    """So many images more, each at one target, belong to the run."""

    count: int


class ImageStarted(msgspec.Struct, frozen=True):
    """
    An image is in work.

    Attributes:
        number: of the image in this run; its later events have it.
        source, targets: references.
    """

    number: int
    source: str
    targets: tuple[str, ...]


class ImageMoved(msgspec.Struct, frozen=True):
    """Something happened to an image in work; where it has several targets, its events are wrapped in `At`."""

    number: int
    event: Event


class ImageStopped(msgspec.Struct, frozen=True):
    """An image is not in work any more; what became of it at each target is a report."""

    number: int


class RunStopping(msgspec.Struct, frozen=True):
    """The run begins nothing more; what is in work has some seconds to end."""

    grace: float


MirrorEvent: TypeAlias = RunStopping | ImagesFound | ImageStarted | ImageMoved | ImageStopped | ImageReport
MirrorObserver: TypeAlias = Callable[[MirrorEvent], None]


def unobserved(event: MirrorEvent) -> None:
    """Ignore an event."""
    del event
