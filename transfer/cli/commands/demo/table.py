"""The output of the demo: lines on stderr while it runs, and a table on stdout at its end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transfer.cli.display.text import display, format_size

# Where there is no terminal, no line of the table is broken.
_WIDTH_OF_A_FILE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One step of the demo, done.

    Attributes:
        requests: what the registry was asked; None where it was not there to be asked.
        moved: bytes of content that went through it.
        result: what came of it.
        held: whether that is what was promised.
    """

    title: str
    seconds: float
    result: str
    requests: int | None = None
    moved: int | None = None
    held: bool = True


def row(step: Step) -> tuple[str, ...]:
    """Return a step as the cells of the table."""
    return (
        step.title,
        "" if step.requests is None else str(step.requests),
        "" if step.moved is None else format_size(step.moved),
        f"{step.seconds:.1f}",
        step.result if step.held else f"FAILED: {step.result}",
    )


def print_table(steps: Sequence[Step]) -> None:
    """All steps on stdout."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("step", "requests", "bytes moved", "seconds"):
        table.add_column(heading, justify="left" if heading == "step" else "right", no_wrap=heading != "step")
    table.add_column("result")
    for step in steps:
        table.add_row(*map(Text, row(step)), style=None if step.held else "bold red")
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    Console(width=width, highlight=False).print(table)


class Narrator:
    """Tells people on stderr what happens; `quiet` tells nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, markup=False)
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"\n{self._steps}. {title}", style="bold", soft_wrap=True)

    def line(self, text: str) -> None:
        self._console.print(display(text), soft_wrap=True)

    def take_back_terminal(self) -> None:
        """A program that was killed while it drew leaves a terminal without a cursor, in the middle of a line."""
        if self._console.is_terminal:
            self._console.line()
            self._console.show_cursor()
