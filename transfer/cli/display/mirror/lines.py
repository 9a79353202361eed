"""A mirror's progress as lines for a log: what ended as it ends, and a line every ten seconds while something moves."""

from collections.abc import Callable
from functools import partial

import click

from transfer.cli.display.mirror.progress import MirrorProgress
from transfer.cli.display.mirror.report import image_line
from transfer.cli.display.plain_lines import FIRST_STALL
from transfer.cli.display.text import count, format_duration, format_rate, format_size
from transfer.mirror.run.events import MirrorEvent, RunStopping
from transfer.mirror.run.report import ImageReport

_ECHO = partial(click.echo, err=True)


class MirrorLines:
    """Calm lines on stderr."""

    interval = 10.0

    def __init__(self, write: Callable[[str], object] = _ECHO) -> None:
        self._write = write
        self._stall = FIRST_STALL

    def event(self, event: MirrorEvent, state: MirrorProgress, now: float) -> None:
        del state, now
        line = event_line(event)
        if line is not None:
            self._write(line)

    def tick(self, state: MirrorProgress, now: float) -> None:
        if state.silence(now) < self.interval:
            self._stall = FIRST_STALL
            self._write(mirror_line(state, now))
        elif state.silence(now) >= self._stall:
            self._stall = 2 * state.silence(now)
            self._write(f"{mirror_line(state, now)}; nothing moved for {state.silence(now):.0f} s")

    def close(self) -> None:
        """Nothing to put back: lines stay."""


def event_line(event: MirrorEvent) -> str | None:
    """Return the line that an event is worth in itself; None for those that only change the numbers."""
    match event:
        case ImageReport():
            return image_line(event)
        case RunStopping(grace=grace):
            return f"stopping: what is in work has {grace:g} s to end"
        case _:
            return None


def counts_of(state: MirrorProgress, *, unchanged: bool = True) -> str:
    """Return how many images ended, of how many, how many of those failed and, if wanted, were unchanged."""
    names = ["unchanged", "failed"] if unchanged else ["failed"]
    parts = [f"{state.finished} of {count(state.found, 'image')}"]
    return ", ".join([*parts, *(f"{state.ended[name]} {name}" for name in names if state.ended.get(name))])


def mirror_line(state: MirrorProgress, now: float) -> str:
    """Images, bytes, rate and time left, in one line."""
    if not state.found:
        return "looking what there is"
    parts = [counts_of(state), f"{len(state.work)} in work"]
    if state.total:
        parts += [f"{format_size(state.done)} of {format_size(state.total)}", format_rate(state.rate(now))]
        parts += [f"{format_duration(state.time_left(now))} left"]
    return ", ".join(parts)
