"""The plumbing that all forms of a mirror's progress share: what has happened so far, and a timer."""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from transfer.cli.display.mirror.progress import MirrorProgress, begin_mirror, fold_mirror
from transfer.mirror.run.events import MirrorEvent


class MirrorRenderer(Protocol):
    """One form of the display."""

    interval: float
    """Seconds between ticks."""

    def event(self, event: MirrorEvent, state: MirrorProgress, now: float) -> None:
        """Something happened, and this is the state after it."""

    def tick(self, state: MirrorProgress, now: float) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Nothing more will come; leave the terminal as it was."""


class MirrorDisplay:
    """The state of one mirror, and the timer that lets its form show that time has passed."""

    def __init__(self, renderer: MirrorRenderer, clock: Callable[[], float]) -> None:
        self._renderer = renderer
        self._clock = clock
        self._state = begin_mirror(clock())
        self._timer = self._later()

    def observe(self, event: MirrorEvent) -> None:
        now = self._clock()
        self._state = fold_mirror(self._state, event, now)
        self._renderer.event(event, self._state, now)

    def close(self) -> None:
        self._timer.cancel()
        self._renderer.close()

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._renderer.interval, self._tick)

    def _tick(self) -> None:
        self._renderer.tick(self._state, self._clock())
        self._timer = self._later()


def mirror_renderer(form: Literal["plain", "tty", "json"]) -> MirrorRenderer:
    """Return the form of this name."""
    match form:
        case "tty":
            from transfer.cli.display.mirror.terminal import MirrorTerminal

            return MirrorTerminal()
        case "json":
            from transfer.cli.display.mirror.json_lines import MirrorJson

            return MirrorJson()
        case "plain":
            from transfer.cli.display.mirror.lines import MirrorLines

            return MirrorLines()
