"""
The progress of a mirror as numbers: events folded into one value.

Pure: the clock is an argument. The bytes that must move are those of the images in work and of those that ended; what
images that were not begun will take is estimated from these.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from transfer.errors import PULLS_RESERVED
from transfer.events import Notice, Planned, Retrying, unwrapped
from transfer.mirror.run.events import ImageMoved, ImagesFound, ImageStarted, ImageStopped, MirrorEvent, RunStopping
from transfer.progress import RATE_WINDOW, SILENT, Progress, begin, fold


@dataclass(frozen=True, slots=True)
class ImageInWork:
    """
    An image in work.

    Attributes:
        source: its reference.
        targets: references.
        progress: its blobs.
        waits: what it waits for, in words; empty where something moves.
    """

    source: str
    targets: tuple[str, ...]
    progress: Progress
    waits: str = ""


@dataclass(frozen=True, slots=True)
class MirrorProgress:
    """
    A mirror at one moment; times are seconds of one monotonic clock.

    Attributes:
        started, advanced: when it began, and when anything last moved.
        found: images, each at one target, that are known to belong to the run.
        ended: of these, how many ended, by status.
        work: the images in work, in the order they began.
        ended_size, ended_moved: bytes that the ended images had to move, and those that went.
        ended_images: how many were in work and ended.
        samples: (time, bytes moved) of the last `RATE_WINDOW` seconds, and the one before.
    """

    started: float
    advanced: float
    found: int = 0
    ended: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    work: Mapping[int, ImageInWork] = field(default_factory=lambda: MappingProxyType({}))
    ended_size: int = 0
    ended_moved: int = 0
    ended_images: int = 0
    samples: tuple[tuple[float, int], ...] = ()

    @property
    def total(self) -> int:
        """Bytes that must move, as far as they are known."""
        return self.ended_size + sum(one.progress.total for one in self.work.values())

    @property
    def done(self) -> int:
        """Bytes of those that are on the wire, or at their targets."""
        return self.ended_size + sum(one.progress.done for one in self.work.values())

    @property
    def moved(self) -> int:
        """Bytes that went out."""
        return self.ended_moved + sum(one.progress.moved for one in self.work.values())

    @property
    def finished(self) -> int:
        """Images that ended, whatever became of them."""
        return sum(self.ended.values())

    def rate(self, now: float) -> float | None:
        """Return bytes a second over the window, or None before there is enough to tell."""
        if not self.samples or now - self.samples[0][0] < 0.5:
            return None
        since, moved = self.samples[0]
        return (self.moved - moved) / (now - since)

    def silence(self, now: float) -> float:
        """Return seconds since anything moved or ended."""
        return now - self.advanced

    def time_left(self, now: float) -> float | None:
        """Return seconds until all images have ended, or None where that cannot be told."""
        rate = self.rate(now) if self.silence(now) < SILENT else None
        begun = self.ended_images + len(self.work)
        if not rate or not begun:
            return None
        waiting = max(0, self.found - self.finished - len(self.work))
        return (self.total - self.done + waiting * self.total / begun) / rate


def begin_mirror(now: float) -> MirrorProgress:
    """Return the state before the first event."""
    return MirrorProgress(started=now, advanced=now, samples=((now, 0),))


def fold_mirror(state: MirrorProgress, event: MirrorEvent, now: float) -> MirrorProgress:
    """Return the state after an event."""
    match event:
        case RunStopping():
            return state
        case ImagesFound():
            return replace(state, found=state.found + event.count)
        case ImageStarted():
            image = ImageInWork(event.source, event.targets, begin(now))
            return replace(state, work=MappingProxyType({**state.work, event.number: image}), advanced=now)
        case ImageMoved():
            return _moved(state, event, now)
        case ImageStopped():
            return _stopped(state, event.number, now)
        case _:
            ended = Counter(state.ended)
            ended[event.status] += 1
            return replace(state, ended=MappingProxyType(dict(ended)), advanced=now)


def _moved(state: MirrorProgress, event: ImageMoved, now: float) -> MirrorProgress:
    image = state.work.get(event.number)
    if image is None:
        return state
    progress = fold(image.progress, event.event, now)
    moved = progress.moved > image.progress.moved
    waits = waiting_for(unwrapped(event.event), "" if moved else image.waits)
    image = replace(image, progress=progress, waits=waits)
    state = replace(state, work=MappingProxyType({**state.work, event.number: image}))
    if not moved:
        return state
    samples = (*state.samples, (now, state.moved))
    old = sum(1 for time, _ in samples if time < now - RATE_WINDOW)
    return replace(state, samples=samples[max(0, old - 1) :], advanced=now)


def waiting_for(event: object, before: str) -> str:
    """Return what an image waits for after an event."""
    match event:
        case Retrying(reason=reason, delay=delay):
            limited = any(word in reason for word in ("Rate exceeded", "TOOMANYREQUESTS", "too many requests", "429"))
            return f"limited, next in {delay:.0f} s" if limited else f"tries again in {delay:.0f} s"
        case Notice(message=message) if "waiting for pulls" in message or PULLS_RESERVED in message:
            return "waits for the pull quota"
        case Planned():
            return ""
        case _:
            return before


def _stopped(state: MirrorProgress, number: int, now: float) -> MirrorProgress:
    image = state.work.get(number)
    if image is None:
        return state
    return replace(
        state,
        work=MappingProxyType({key: one for key, one in state.work.items() if key != number}),
        ended_size=state.ended_size + image.progress.total,
        ended_moved=state.ended_moved + image.progress.moved,
        ended_images=state.ended_images + 1,
        advanced=now,
    )
