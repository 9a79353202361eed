"""
The plumbing that all forms of progress share: what has happened so far, and a timer.

A form receives every event at once, and ticks of a timer; it decides what to print.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from transfer.events import Event
from transfer.progress import Progress, begin, fold


class Renderer(Protocol):
    """One form of progress display."""

    interval: float
    """Seconds between ticks."""

    def event(self, event: Event, progress: Progress, now: float) -> None:
        """Something happened, and this is the state after it."""

    def tick(self, progress: Progress, now: float) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Nothing more will come; leave the terminal as it was."""


class Display:
    """The state of one push, and the timer that lets its form show that time has passed."""

    def __init__(self, renderer: Renderer, clock: Callable[[], float], *, download: bool = False) -> None:
        self._renderer = renderer
        self._clock = clock
        self._state = begin(clock(), download=download)
        self._timer = self._later()

    def observe(self, event: Event) -> None:
        now = self._clock()
        self._state = fold(self._state, event, now)
        self._renderer.event(event, self._state, now)

    def close(self) -> None:
        self._timer.cancel()
        self._renderer.close()

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._renderer.interval, self._tick)

    def _tick(self) -> None:
        self._renderer.tick(self._state, self._clock())
        self._timer = self._later()


def renderer(form: Literal["plain", "tty", "json"], title: str) -> Renderer:
    """Return the form of this name."""
    match form:
        case "plain":
            from transfer.cli.display.plain_lines import PlainRenderer

            return PlainRenderer()
        case "json":
            from transfer.cli.display.json_lines import JsonRenderer

            return JsonRenderer()
        case "tty":
            from transfer.cli.display.terminal import TerminalRenderer

            return TerminalRenderer(title)
