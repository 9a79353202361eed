"""
Progress drawn on a terminal with rich: one bar over all bytes, and a bar for each of the largest layers on the way.

The picture is a pure function of the state and the size of the terminal; drawing it is rich's.
"""

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from transfer.cli.display.plain_lines import describe, progress_line
from transfer.cli.display.text import count, display, format_duration, format_rate, format_size
from transfer.events import Event, Notice, Retrying, unwrapped
from transfer.progress import BlobTransfer, Progress

# More lines than this say less, whatever the height of the terminal.
MOST_LAYERS = 8
STALL = 15.0


class TerminalRenderer:
    """
    A live picture on stderr that is gone when the push ends; notices stay above it.

    The last retry is a line of the picture, until something moves again.
    """

    interval = 0.1

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = display(title)
        # Forced, since whether to draw was decided before; rich itself reads NO_COLOR, TERM and the size.
        self._console = console or Console(stderr=True, force_terminal=True, highlight=False)
        self._notices: set[str] = set()
        self._retry: tuple[str, int] | None = None
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def event(self, event: Event, progress: Progress, now: float) -> None:  # noqa: ARG002 -- drawn at the next tick
        what = unwrapped(event)
        if isinstance(what, Notice) and what.message in self._notices:
            return
        if isinstance(what, Notice):
            self._notices.add(what.message)
            self._console.print(describe(event) or "", markup=False)
        if isinstance(what, Retrying):
            self._retry = describe(event) or "", progress.moved

    def tick(self, progress: Progress, now: float) -> None:
        width, height = self._console.size
        lines = [picture(progress, now, title=self._title, width=width, rows=height - 1)]
        if self._retry is not None and progress.moved == self._retry[1]:
            lines.append(Text(self._retry[0], style="yellow"))
        self._live.update(Group(*lines), refresh=True)

    def close(self) -> None:
        self._live.stop()


def picture(progress: Progress, now: float, *, title: str, width: int, rows: int) -> RenderableType:
    """Return the whole display for a terminal of this size; layers that do not fit are counted in a last line."""
    if progress.plan is None:
        return Text(f"{title}: {progress_line(progress, now)}", overflow="ellipsis", no_wrap=True)
    room = min(MOST_LAYERS, rows - 2)
    if len(progress.uploads) > room:
        room = max(0, min(MOST_LAYERS, rows - 3))
    uploads = sorted(progress.uploads.values(), key=lambda upload: -upload.descriptor.size)
    lines: list[RenderableType] = [_headline(progress, now, title=title)]
    lines.append(_bars(progress, uploads[:room], width=width))
    if len(uploads) > room:
        lines.append(Text(f"and {len(uploads) - room} more on the way", style="dim"))
    return Group(*lines)


def _headline(progress: Progress, now: float, *, title: str) -> Text:
    plan = progress.plan
    blobs = f"{progress.sent} of {plan.missing_blobs} blobs" if plan else ""
    parts = [title, blobs, format_rate(progress.rate(now)), f"{format_duration(progress.time_left(now))} left"]
    if not progress.remaining:
        parts = [title, blobs, "writing manifests"]
    elif progress.silence(now) >= STALL:
        parts = [title, blobs, f"nothing confirmed for {progress.silence(now):.0f} s"]
    if progress.retries:
        parts.append(count(progress.retries, "retry"))
    return Text("  ".join(parts), overflow="ellipsis", no_wrap=True)


def _bars(progress: Progress, uploads: list[BlobTransfer], *, width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    bar_width = max(10, min(40, width - 44))
    table.add_row("total", _bar(progress.done, progress.total, bar_width), _amount(progress.done, progress.total))
    for upload in uploads:
        name, size = upload.descriptor.digest.short, upload.descriptor.size
        table.add_row(name, _bar(upload.offset, size, bar_width), _amount(upload.offset, size))
    return table


def _bar(done: int, total: int, width: int) -> ProgressBar:
    # An empty image is complete, not unknown.
    return ProgressBar(total=total or 1, completed=done if total else 1, width=width)


def _amount(done: int, total: int) -> Text:
    return Text(f"{format_size(done)} of {format_size(total)}", no_wrap=True)
