"""
The progress of a push as numbers: events folded into one value.

Pure: the clock is an argument. Bytes count once they are on the wire; those that must be sent again are taken back.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from transfer.events import (
    At,
    BlobFinished,
    BlobProgress,
    BlobStarted,
    Event,
    ManifestPushed,
    Notice,
    Planned,
    Requested,
    Retrying,
)
from transfer.model.descriptor import Descriptor

# Long enough to hold several parts of 10 MiB on a slow line, short enough to follow a line that became faster.
RATE_WINDOW = 30.0
# Seconds without a byte after which no time left is worth telling.
SILENT = 10.0


@dataclass(frozen=True, slots=True)
class BlobTransfer:
    """One blob on its way, and how many of its bytes are on the wire or there."""

    descriptor: Descriptor
    offset: int


@dataclass(frozen=True, slots=True)
class Progress:
    """
    A push at one moment; times are seconds of one monotonic clock.

    Attributes:
        started: when the push began.
        advanced: when anything last moved.
        plan: what is to be done, once that is known.
        uploads: the blobs on their way, in the order they began.
        present: blobs of the plan that were there before and have been told of.
        sent: blobs that were missing and are at the target now.
        sent_size: bytes of those.
        moved: bytes that went out in this run, those sent twice counted twice.
        samples: (time, moved) of the last `RATE_WINDOW` seconds, and the one before.
        manifests: manifests pushed.
        retries: requests tried again.
        download: blobs come to this machine.
        parts: of a copy to several targets, the state of each, by its name; the rest is then their sum.
    """

    started: float
    advanced: float
    plan: Planned | None = None
    uploads: Mapping[Hashable, BlobTransfer] = field(default_factory=lambda: MappingProxyType({}))
    present: int = 0
    sent: int = 0
    sent_size: int = 0
    moved: int = 0
    samples: tuple[tuple[float, int], ...] = ()
    manifests: int = 0
    retries: int = 0
    download: bool = False
    parts: Mapping[str, "Progress"] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def total(self) -> int:
        """Bytes of the blobs that the target lacks; 0 until the plan is known."""
        return self.plan.missing_size if self.plan else 0

    @property
    def done(self) -> int:
        """Bytes of those that are on the wire, or at the target."""
        return min(self.total, self.sent_size + sum(upload.offset for upload in self.uploads.values()))

    @property
    def remaining(self) -> int:
        return self.total - self.done

    def rate(self, now: float) -> float | None:
        """Return bytes a second over the window, or None before there is enough to tell."""
        if not self.samples:
            return None
        since, moved = self.samples[0]
        return (self.moved - moved) / (now - since) if now - since >= 0.5 else None

    def time_left(self, now: float) -> float | None:
        """Return seconds until all bytes are there at this rate, or None where that cannot be told."""
        rate = self.rate(now) if self.silence(now) < SILENT else None
        return self.remaining / rate if rate else None

    def silence(self, now: float) -> float:
        """Return seconds since anything moved."""
        return now - self.advanced


def begin(now: float, *, download: bool = False) -> Progress:
    """Return the state before the first event."""
    return Progress(started=now, advanced=now, download=download)


def fold(progress: Progress, event: Event, now: float) -> Progress:
    """Return the state after an event."""
    match event:
        case At():
            part = fold(progress.parts.get(event.target) or begin(now), event.event, now)
            return _sum(progress, {**progress.parts, event.target: part}, now)
        case Notice() | Requested():
            return progress
        case _:
            return _step(progress, event, now)


def _step(
    progress: Progress,
    event: Planned | BlobStarted | BlobProgress | BlobFinished | ManifestPushed | Retrying,
    now: float,
) -> Progress:
    match event:
        case Planned():
            progress = _plan(progress, event, now)
        case BlobStarted():
            progress = replace(progress, uploads=_with(progress, BlobTransfer(event.descriptor, event.offset)))
        case BlobProgress():
            progress = _advance(progress, event, now)
        case BlobFinished():
            progress = _finish(progress, event, now)
        case ManifestPushed():
            progress = replace(progress, manifests=progress.manifests + 1, advanced=now)
        case Retrying():
            progress = replace(progress, retries=progress.retries + 1)
    return progress


def _sum(progress: Progress, parts: Mapping[str, Progress], now: float) -> Progress:
    every = list(parts.values())
    plans = [part.plan for part in every if part.plan]
    return replace(
        _moved(progress, sum(part.moved for part in every) - progress.moved, now),
        parts=MappingProxyType(dict(parts)),
        advanced=max(part.advanced for part in every),
        plan=Planned(*map(sum, zip(*map(msgspec.structs.astuple, plans), strict=True))) if plans else None,
        uploads=MappingProxyType(
            {(name, digest): upload for name, part in parts.items() for digest, upload in part.uploads.items()}
        ),
        present=sum(part.present for part in every),
        sent=sum(part.sent for part in every),
        sent_size=sum(part.sent_size for part in every),
        manifests=sum(part.manifests for part in every),
        retries=sum(part.retries for part in every),
    )


def _plan(progress: Progress, plan: Planned, now: float) -> Progress:
    # A second plan follows when the registry turned out to miss what it had said it has: the count begins anew, and
    # what was there has been told of.
    present = plan.blobs - plan.missing_blobs if progress.plan else 0
    fresh = Progress(started=progress.started, advanced=now, plan=plan, present=present, moved=progress.moved)
    return replace(
        fresh,
        samples=((now, progress.moved),),
        manifests=progress.manifests,
        retries=progress.retries,
        download=progress.download,
    )


def _with(progress: Progress, upload: BlobTransfer) -> Mapping[Hashable, BlobTransfer]:
    return MappingProxyType({**progress.uploads, upload.descriptor.digest: upload})


def _advance(progress: Progress, event: BlobProgress, now: float) -> Progress:
    known = progress.uploads.get(event.digest)
    if known is None:
        return progress
    upload = BlobTransfer(known.descriptor, event.offset)
    # An offset that shrinks is of bytes that must be sent again: it moved nothing.
    gained = max(0, event.offset - known.offset)
    return replace(_moved(progress, gained, now), uploads=_with(progress, upload))


def _finish(progress: Progress, event: BlobFinished, now: float) -> Progress:
    known = progress.uploads.get(event.descriptor.digest)
    if known is None and progress.plan and progress.present < progress.plan.blobs - progress.plan.missing_blobs:
        return replace(progress, present=progress.present + 1)
    rest = {digest: upload for digest, upload in progress.uploads.items() if digest != event.descriptor.digest}
    # A blob that turns out to be there already was not moved by this run, so it must not raise the rate.
    gained = 0 if known is None or event.status == "present" else event.descriptor.size - known.offset
    return replace(
        _moved(progress, gained, now),
        uploads=MappingProxyType(rest),
        sent=progress.sent + 1,
        sent_size=progress.sent_size + event.descriptor.size,
        advanced=now,
    )


def _moved(progress: Progress, gained: int, now: float) -> Progress:
    if not gained:
        return progress
    moved = progress.moved + gained
    samples = (*progress.samples, (now, moved))
    old = sum(1 for time, _ in samples if time < now - RATE_WINDOW)
    return replace(progress, moved=moved, samples=samples[max(0, old - 1) :], advanced=now)
