"""
The choice of a form of progress. `display` has what forms share, and is imported only where
anything is shown.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

from transfer.events import Observer

if TYPE_CHECKING:
    from transfer.mirror.run.events import MirrorEvent, MirrorObserver

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


@contextmanager
def observing_mirror(form: Form) -> "Iterator[MirrorObserver]":
    """Render a mirror's events for as long as the context lasts; inside a running event loop."""
    if form == "none":
        yield _say_failure
        return
    from transfer.cli.display.mirror.display import MirrorDisplay, mirror_renderer

    display = MirrorDisplay(mirror_renderer(form), time.monotonic)
    try:
        yield display.observe
    finally:
        display.close()


def _say_failure(event: "MirrorEvent") -> None:
    if getattr(event, "status", None) == "failed":
        from transfer.cli.display.mirror.lines import event_line

        click.echo(event_line(event), err=True)
