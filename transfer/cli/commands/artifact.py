"""`transfer artifact`: files and folders in a registry."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from transfer.cli.display.choose import Form, choose_form, observing
from transfer.cli.display.text import json_text
from transfer.cli.event_loop import run
from transfer.cli.main import DONE
from transfer.cli.options.common import AwsOptions, access_options, aws_options, with_options
from transfer.cli.options.copy_options import OUTPUT_OPTIONS, show
from transfer.cli.options.help import HelpCommand
from transfer.cli.options.limits import limit_options
from transfer.cli.resumable import Resumable

if TYPE_CHECKING:
    from transfer.config import TransferConfig
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.engine.result import PushResult
    from transfer.job import FilesOptions

T = TypeVar("T")

_PUSH = (
    click.option("--artifact-type", metavar="TYPE", help="What the artifact is, as in application/vnd.example.model."),
    click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="An annotation; repeatable."),
    click.option("--subject", metavar="REFERENCE", help="An image of the same repository that the artifact refers to."),
    click.option(
        "--compression",
        type=click.Choice(["gzip", "zstd", "none"]),
        default="gzip",
        show_default=True,
        help="How folders are compressed; files are pushed as they are.",
    ),
    click.option("--create-repository", is_flag=True, help="Create the repository if it does not exist."),
    *OUTPUT_OPTIONS,
)


def _options(own: Sequence[Callable[[Callable[..., T]], Callable[..., T]]]) -> Callable[..., Callable[..., T]]:
    """Add options of a command's own, those of its registry, and the limits."""

    def add(command: Callable[..., T]) -> Callable[..., T]:
        reached: Callable[..., T] = aws_options(access_options("")(command))
        return with_options(limit_options(jobs=False)(reached), own)

    return add


@click.group()
def artifact() -> None:
    """Push files and folders into a registry, and pull them: models, charts, reports.

    \b
    Examples:
      transfer artifact push "$REGISTRY/models/llama:v1" llama.gguf tokenizer.json:application/json
      transfer artifact pull "$REGISTRY/models/llama:v1" models
    """


def _annotations(pairs: tuple[str, ...]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for (key, equals, _), pair in zip(split, pairs, strict=True):
        if not key or not equals:
            raise click.UsageError(f"--annotation {pair!r}: expected KEY=VALUE")
    return {key: value for key, _, value in split}


@artifact.command(cls=HelpCommand)
@click.argument("target")
@click.argument("files", nargs=-1, required=True)
@_options(_PUSH)
def push(  # noqa: PLR0913 - one argument for each option
    *,
    target: str,
    files: tuple[str, ...],
    access: "RegistryAccess",
    aws: AwsOptions,
    config: "TransferConfig",
    annotations: tuple[str, ...],
    progress: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Push files and folders as one artifact.

    TARGET is REGISTRY/REPOSITORY:TAG. Each of FILES is a path, with :MEDIATYPE behind it where it
    has one. A file is a layer as it is, read where it lies; a folder is a compressed tar, the same
    bytes each time, that is unpacked when it is pulled. oras pulls it too. Run the same command
    again to continue a push that was interrupted, inside each file.

    \b
    Examples:
      transfer artifact push "$REGISTRY/models/llama:v1" llama.gguf tokenizer.json:application/json
      transfer artifact push "$REGISTRY/app:report" report --artifact-type application/vnd.example.report
      transfer artifact push "$REGISTRY/app:sbom" sbom.json --subject "$REGISTRY/app:v1"
    """
    form = choose_form(progress, quiet=quiet, terminal=sys.stderr.isatty(), environment=os.environ)
    wanted: FilesOptions = {**options, "annotations": _annotations(annotations), "target_access": access}  # type: ignore[typeddict-item] # named as in FilesOptions
    running = Resumable(journal=config.journal)
    outcome = running.run(
        lambda: _push(target, files, Running(config, aws, form, running), wanted), plain=access.plain_http
    )
    return show([target], [outcome], form, as_json=as_json)


class Running(NamedTuple):
    """How a push of files runs."""

    config: "TransferConfig"
    aws: AwsOptions
    form: Form
    command: Resumable


async def _push(target: str, files: tuple[str, ...], running: Running, wanted: "FilesOptions") -> "PushResult":
    from transfer.api import Engine

    with observing(running.form, title=target.rpartition("/")[2]) as observer:
        async with Engine(running.config, credentials=running.aws.credentials()) as engine:
            running.command.opened(engine, observer)
            wanted["observer"] = observer
            return await engine.push_files(target, files, **wanted)


@artifact.command(cls=HelpCommand)
@click.argument("source")
@click.argument("folder")
@_options(OUTPUT_OPTIONS)
def pull(  # noqa: PLR0913 - one argument for each option
    *,
    source: str,
    folder: str,
    access: "RegistryAccess",
    aws: AwsOptions,
    config: "TransferConfig",
    progress: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Pull the files of an artifact into a folder.

    SOURCE is written as for transfer copy. FOLDER is made if it is not there; files of the same
    names are replaced, each at once and verified. The paths are printed on stdout.

    \b
    Examples:
      transfer artifact pull "$REGISTRY/models/llama:v1" models
      transfer artifact pull ghcr.io/org/charts/app:1.0 . --json
    """
    from transfer.api import Engine

    form = choose_form(progress, quiet=quiet, terminal=sys.stderr.isatty(), environment=os.environ)

    async def read() -> Any:
        with observing(form, title=source.rpartition("/")[2]) as observer:
            async with Engine(config, credentials=aws.credentials()) as engine:
                return await engine.pull_files(source, folder, access=access, observer=observer)

    written = [str(path) for path in run(read, plain=access.plain_http)]
    click.echo(json_text({"files": written}) if as_json else "\n".join(written))
    return DONE
