"""
A mirror's progress drawn on a terminal with rich: one bar over all bytes, a line for each image in work.

The picture is a pure function of the state and the size of the terminal; drawing it is rich's. What ended scrolls away
above it.
"""

from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from transfer.cli.display.mirror.lines import counts_of, event_line
from transfer.cli.display.mirror.progress import ImageInWork, MirrorProgress
from transfer.cli.display.terminal import STALL
from transfer.cli.display.text import display, format_duration, format_rate, format_size
from transfer.mirror.run.events import MirrorEvent
from transfer.mirror.run.report import ImageReport

MOST_IMAGES = 16
# Columns between columns, and what is too few for amounts in bytes.
_GAP = 2
_NARROW = 90


class MirrorTerminal:
    """A live picture on stderr that is gone when the mirror ends; a line of each image that ended stays above it."""

    interval = 0.1

    def __init__(self, console: Console | None = None) -> None:
        # Forced, since whether to draw was decided before; rich itself reads NO_COLOR, TERM and the size.
        self._console = console or Console(stderr=True, force_terminal=True, highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def event(self, event: MirrorEvent, state: MirrorProgress, now: float) -> None:
        del state, now
        line = event_line(event)
        if line is not None:
            style = "red" if isinstance(event, ImageReport) and event.status == "failed" else None
            self._console.print(Text(line, style=style or ""), markup=False)

    def tick(self, state: MirrorProgress, now: float) -> None:
        width, height = self._console.size
        self._live.update(mirror_picture(state, now, width=width, rows=height - 1), refresh=True)

    def close(self) -> None:
        self._live.stop()


def mirror_picture(state: MirrorProgress, now: float, *, width: int, rows: int) -> RenderableType:
    """Return the whole display for a terminal of this size; images that do not fit are counted in a last line."""
    if not state.found:
        return Text(f"looking what there is, {format_duration(now - state.started)}", overflow="ellipsis", no_wrap=True)
    room = min(MOST_IMAGES, rows - 2)
    if len(state.work) > room:
        room = max(0, min(MOST_IMAGES, rows - 3))
    images = list(state.work.values())
    lines: list[RenderableType] = [_headline(state, now, width=width), _bars(state, images[:room], now, width=width)]
    if len(images) > room:
        lines.append(Text(f"and {len(images) - room} more in work", style="dim"))
    return Group(*lines)


def _headline(state: MirrorProgress, now: float, *, width: int) -> Text:
    parts = [counts_of(state, unchanged=width >= _NARROW)]
    if state.total:
        parts += [format_rate(state.rate(now)), f"{format_duration(state.time_left(now))} left"]
    if state.work and state.silence(now) >= STALL:
        parts.append(f"nothing moved for {state.silence(now):.0f} s")
    return Text("  ".join(parts), overflow="ellipsis", no_wrap=True)


class Widths(NamedTuple):
    """Columns of the picture, in characters."""

    name: int
    bar: int
    amount: int
    state: int


def widths_of(width: int) -> Widths:
    """Return the columns for a terminal so wide: a narrow one gets percents instead of bytes."""
    if width < _NARROW:
        bar, amount, state = 8, 4, 24
    else:
        bar, amount, state = 20, 18, 26
    rest = max(8, width - bar - amount - state - 3 * _GAP)
    name = min(70, rest)
    return Widths(name, min(50, bar + rest - name), amount, state)


def _bars(state: MirrorProgress, images: list[ImageInWork], now: float, *, width: int) -> Table:
    widths = widths_of(width)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", width=widths.name)
    table.add_column(width=widths.bar)
    table.add_column(no_wrap=True, justify="right", width=widths.amount)
    table.add_column(no_wrap=True, overflow="ellipsis", width=widths.state)

    rows = [("total", state.done, state.total, bool(state.total), "")]
    for image in images:
        plan, progress = image.progress.plan is not None, image.progress
        rows.append((_name(image, widths.name), progress.done, progress.total, plan, _state(image, now)))
    for name, done, total, is_known, what in rows:
        # Nothing to move is complete once that is known.
        bar = ProgressBar(total=total or 1, completed=done if total else int(is_known), width=widths.bar)
        amount = f"{100 * done // (total or 1)}%" if width < _NARROW else f"{format_size(done)} of {format_size(total)}"
        table.add_row(name, bar, amount if total else "", what)
    return table


def _name(image: ImageInWork, width: int) -> str:
    """Return the end of a target's name, which tells images apart."""
    text = display(image.targets[0]) + (f" +{len(image.targets) - 1}" if len(image.targets) > 1 else "")
    return text if len(text) <= width else f"…{text[1 - width :]}"


def _state(image: ImageInWork, now: float) -> str:
    progress = image.progress
    if image.waits:
        return image.waits
    if progress.plan is None:
        return "looking"
    if not progress.remaining:
        return "waits for the registry" if progress.uploads else "writing manifests"
    if not progress.uploads:
        return "waits for a shared layer"
    return format_rate(progress.rate(now))
