"""
Progress as lines for a log: one every ten seconds while something moves, fewer when nothing does.

Retries and notices are lines too, a notice that repeats only once.
"""

from collections.abc import Callable
from functools import partial

import click

from transfer.cli.display.text import count, display, format_duration, format_rate, format_size
from transfer.events import At, BlobFinished, Event, Notice, Planned, Retrying, unwrapped
from transfer.progress import Progress

# Seconds without a confirmed byte that are worth a line; the next one comes after twice as long.
FIRST_STALL = 30.0

_ECHO = partial(click.echo, err=True)


class PlainRenderer:
    """Calm lines on stderr."""

    interval = 10.0

    def __init__(self, write: Callable[[str], object] = _ECHO) -> None:
        self._write = write
        self._shown: tuple[int, int, int] | None = None
        self._stall = FIRST_STALL
        self._notices: set[str] = set()

    def event(self, event: Event, progress: Progress, now: float) -> None:
        what = unwrapped(event)
        if isinstance(what, Notice):
            if what.message in self._notices:
                return
            self._notices.add(what.message)
        line = describe(event, download=progress.download)
        if line:
            self._write(line)
        if isinstance(what, BlobFinished) and all_sent(progress):
            self._line(progress, now)

    def tick(self, progress: Progress, now: float) -> None:
        if _mark(progress) != self._shown:
            self._stall = FIRST_STALL
            self._line(progress, now)
        elif progress.silence(now) >= self._stall:
            self._stall = 2 * progress.silence(now)
            self._write(stall_line(progress, now))

    def close(self) -> None:
        """Nothing to put back: lines stay."""

    def _line(self, progress: Progress, now: float) -> None:
        self._shown = _mark(progress)
        self._write(progress_line(progress, now))


def _mark(progress: Progress) -> tuple[int, int, int]:
    return progress.moved, progress.sent, progress.manifests


def all_sent(progress: Progress) -> bool:
    """Return whether there were blobs to send and all of them are at the target."""
    return progress.plan is not None and 0 < progress.plan.missing_blobs == progress.sent


def describe(event: Event, *, download: bool = False) -> str | None:
    """Return the line that an event is worth in itself, or None for those that only change the numbers."""
    match event:
        case At():
            line = describe(event.event, download=download)
            return f"{display(event.target)}: {line}" if line else None
        case Planned():
            have, size = event.blobs - event.missing_blobs, event.size - event.missing_size
            return (
                f"{count(event.blobs, 'blob')} ({format_size(event.size)}): {have} present ({format_size(size)}), "
                f"{event.missing_blobs} to {'download' if download else 'send'} ({format_size(event.missing_size)})"
            )
        case Retrying():
            # An error's own message begins with what was being done.
            action, reason = display(event.action), display(event.reason)
            what = reason if reason.startswith(action) else f"{action}: {reason}"
            return f"retry: {what}; attempt {event.attempt + 1} in {event.delay:.1f} s{_outlook(event)}"
        case Notice():
            return f"note: {display(event.message)}"
        case _:
            return None


def _outlook(event: Retrying) -> str:
    """Return for how long it has failed, and how long it will be tried; nothing for a failure that is the first."""
    if event.left is None or event.attempt == 1:
        return ""
    return f", failing for {format_duration(event.failing)}, tried for {format_duration(event.left)} more"


def progress_line(progress: Progress, now: float) -> str:
    """Bytes, rate, time left and blobs, in one line."""
    if progress.plan is None:
        return "reading the image" if progress.download else "reading the image and asking the registry what it has"
    if not progress.remaining:
        moved = "downloaded" if progress.download else "sent"
        return f"all {format_size(progress.total)} {moved}, writing the manifests"
    return (
        f"{format_size(progress.done)} of {format_size(progress.total)} "
        f"({100 * progress.done // progress.total}%), {format_rate(progress.rate(now))}, "
        f"{format_duration(progress.time_left(now))} left, "
        f"blobs {progress.sent} of {progress.plan.missing_blobs}, {len(progress.uploads)} active"
    )


def stall_line(progress: Progress, now: float) -> str:
    """Says that nothing moves, since when, and what is waited for."""
    waiting = ", ".join(upload.descriptor.digest.short for upload in list(progress.uploads.values())[:3])
    more = len(progress.uploads) - 3
    for_what = f"; waiting for {waiting}{f' and {more} more' if more > 0 else ''}" if waiting else ""
    return f"stalled: nothing confirmed for {progress.silence(now):.0f} s{for_what}"
