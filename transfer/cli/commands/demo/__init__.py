"""`transfer demo`: the main job, played on this machine alone. Knows the beginning and the end, not the story."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from transfer.cli.event_loop import run

if TYPE_CHECKING:
    from transfer.cli.commands.demo.table import Narrator, Step


def _empty(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.is_dir() and any(value.iterdir()):
        raise click.BadParameter(f"{str(value)!r} is not empty")
    return value


@click.command()
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_empty,
    metavar="DIR",
    help="Keep the image and the registry's data there, in an empty or new folder.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show only errors on stderr.")
def demo(*, keep: Path | None, quiet: bool) -> None:
    """Show a push that is killed and resumed, and a mirror, on this machine alone.

    Builds an image of Python's own files, starts a registry on a free local port, pushes the image,
    kills a second push in the middle of its layers, resumes it, pushes once more, reads everything
    back and compares; then mirrors it all into a second registry, twice. Needs no account and no
    network, takes less than half a minute, and leaves nothing behind. The table at the end goes to
    stdout, all else to stderr; every count in it is the registries' own.

    \b
    Examples:
      transfer demo
      transfer demo --keep /tmp/demo      # then:  transfer serve --data /tmp/demo/registry
    """
    from transfer.cli.commands.demo.table import Narrator, print_table

    folder = keep.absolute() if keep else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    narrator = Narrator(quiet=quiet)
    if folder:
        narrator.line(f"everything stays in {folder}; afterwards:")
        narrator.line(f"  transfer serve --data {shlex.quote(str(folder / 'registry'))}")
    steps = run(lambda: _play(folder, narrator, quiet=quiet))
    print_table(steps)
    check(steps)


def check(steps: Sequence["Step"]) -> None:
    """
    Hold the demo to what it promised.

    Raises:
        ClickException: a step did not keep its promise; the message names the first.
    """
    for step in steps:
        if not step.held:
            raise click.ClickException(f"the demo's {step.title!r} is not as promised: {step.result}")


async def _play(keep: Path | None, narrator: "Narrator", *, quiet: bool) -> "list[Step]":
    from transfer.cli.commands.demo.story import play

    if keep is None:
        with TemporaryDirectory(prefix="transfer-demo-") as folder:
            return await play(Path(folder), narrator, quiet=quiet)
    return await play(keep, narrator, quiet=quiet)
