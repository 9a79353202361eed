"""
What a push shows on stderr while it runs: the choice of a form, and the plumbing that all forms share.

A form is told of every event at once, and of the time by ticks; what it prints is its own matter.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Protocol

from transfer.cli.progress import Progress, begin, fold
from transfer.engine.events import Event, Observer

Form = Literal["plain", "tty", "json", "none"]


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


def choose_form(wanted: str, *, quiet: bool, terminal: bool, environment: Mapping[str, str]) -> Form:
    """
    The form of `--progress` and `--quiet`.

    `auto` draws only where a person looks at a terminal that can be drawn on: TERM=dumb cannot, and CI systems that
    give a job a terminal keep what it prints as a log.
    """
    if quiet:
        return "none"
    match wanted:
        case "plain" | "tty" | "json":
            return wanted
        case _:
            drawable = environment.get("TERM", "dumb") != "dumb" and not environment.get("CI")
            return "tty" if terminal and drawable else "plain"


@contextmanager
def observing(form: Form, title: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Observer]:
    """An observer that renders what it is told, for as long as the context lasts; inside a running event loop."""
    if form == "none":
        yield lambda _: None
        return
    display = _Display(_renderer(form, title), clock)
    try:
        yield display.observe
    finally:
        display.close()


class _Display:
    """The state of one push, and the timer that lets its form show that time has passed."""

    def __init__(self, renderer: Renderer, clock: Callable[[], float]) -> None:
        self._renderer = renderer
        self._clock = clock
        self._state = begin(clock())
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


def _renderer(form: Literal["plain", "tty", "json"], title: str) -> Renderer:
    match form:
        case "plain":
            from transfer.cli.render_plain import PlainRenderer

            return PlainRenderer()
        case "json":
            from transfer.cli.render_json import JsonRenderer

            return JsonRenderer()
        case "tty":
            from transfer.cli.render_tty import TerminalRenderer

            return TerminalRenderer(title)
