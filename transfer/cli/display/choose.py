"""
The choice of a form of progress. `display` has what forms share, and is imported only where
anything is shown.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from transfer.events import Observer

Form = Literal["plain", "tty", "json", "none"]


def choose_form(wanted: str, *, quiet: bool, terminal: bool, environment: Mapping[str, str]) -> Form:
    """
    Return the form of `--progress` and `--quiet`.

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
def observing(
    form: Form, title: str, *, download: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[Observer]:
    """Render events for as long as the context lasts, of what comes to this machine or leaves it; in an event loop."""
    if form == "none":
        yield lambda _: None
        return
    from transfer.cli.display.display import Display, renderer

    display = Display(renderer(form, title), clock, download=download)
    try:
        yield display.observe
    finally:
        display.close()
