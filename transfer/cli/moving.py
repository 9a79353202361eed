"""What `transfer push` and `transfer copy` share: options, the run itself, and what is said at its end."""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from transfer.cli.options import SIZE, access_options, aws_options
from transfer.cli.render import Form, choose_form, observing
from transfer.cli.run import Terminated, run
from transfer.cli.text import count, format_size
from transfer.engine.config import MIB, TransferConfig
from transfer.engine.result import PushResult, Total

if TYPE_CHECKING:
    from transfer.ends import EcrProtocol
    from transfer.registry.access import RegistryAccess
    from transfer.registry.ecr.aws import AwsCredentials

T = TypeVar("T")

_DEFAULTS = TransferConfig()
_OPTIONS = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[/VARIANT]",
        help="Of an index, only the images for these (a comma between them, or the option again): one is copied as the "
        "image that it is, several as an index of those.",
    ),
    click.option(
        "--ecr-protocol",
        type=click.Choice(["auto", "api", "registry"]),
        default="auto",
        show_default=True,
        help="How a target in ECR is written to: by its API, or by its Docker endpoint, which can mount blobs.",
    ),
    click.option("--create-repository", is_flag=True, help="Create the repository if it does not exist."),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=_DEFAULTS.max_concurrent_blobs,
        show_default=True,
        help="Blobs in work at once.",
    ),
    click.option(
        "--bytes-in-flight",
        type=SIZE,
        default=_DEFAULTS.max_bytes_in_flight,
        metavar="SIZE",
        help="Bytes read ahead or on the wire at once, as in 64MiB; memory grows by 4/3 of it."
        f"  [default: {_DEFAULTS.max_bytes_in_flight // MIB}MiB]",
    ),
    click.option(
        "--chunk-size",
        type=SIZE,
        default=_DEFAULTS.upload_chunk_bytes,
        metavar="SIZE",
        help="Bytes of a chunk of an upload that is not by ECR's API: what a kill costs at most. "
        f"A smaller blob goes in one request.  [default: {_DEFAULTS.upload_chunk_bytes // MIB}MiB]",
    ),
    click.option(
        "--state",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="PATH",
        help="The journal that lets a later push continue; by default in your state folder.",
    ),
    click.option("--no-journal", is_flag=True, help="Keep no journal: a push that is killed starts its layers over."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "tty", "json"]),
        default="auto",
        show_default=True,
        help="How progress is shown on stderr; json is one event a line.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing on stderr but errors."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of the reference."),
)


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """How to move an image, and how to show it."""

    config: TransferConfig
    form: Form
    as_json: bool
    create_repository: bool
    platforms: tuple[str, ...]
    ecr_protocol: "EcrProtocol"
    source_access: "RegistryAccess"
    target_access: "RegistryAccess"
    profile: str | None
    endpoint_url: str | None


def move_options(command: Callable[..., T]) -> Callable[..., T]:
    """The options of a command that moves an image; it gets them as its first argument, a `MoveOptions`."""

    @functools.wraps(command)
    def gather(  # noqa: PLR0913 -- one argument for each option
        *,
        platforms: tuple[str, ...],
        ecr_protocol: "EcrProtocol",
        create_repository: bool,
        jobs: int,
        bytes_in_flight: int,
        chunk_size: int,
        state: Path | None,
        no_journal: bool,
        progress: str,
        quiet: bool,
        as_json: bool,
        src_access: "RegistryAccess",
        dest_access: "RegistryAccess",
        profile: str | None,
        endpoint_url: str | None,
        **arguments: Any,
    ) -> T:
        config = TransferConfig(
            max_concurrent_blobs=jobs,
            max_bytes_in_flight=bytes_in_flight,
            upload_chunk_bytes=chunk_size,
            upload_chunk_threshold=chunk_size,
            state_path=state,
            journal=not no_journal,
        )
        form = choose_form(progress, quiet=quiet, terminal=sys.stderr.isatty(), environment=os.environ)
        names = tuple(name for listed in platforms for name in listed.split(","))
        options = MoveOptions(
            config=config,
            form=form,
            as_json=as_json,
            create_repository=create_repository,
            platforms=names,
            ecr_protocol=ecr_protocol,
            source_access=src_access,
            target_access=dest_access,
            profile=profile,
            endpoint_url=endpoint_url,
        )
        return command(options, **arguments)

    decorated: Callable[..., T] = aws_options(access_options("src")(access_options("dest")(gather)))
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def move(source: str, target: str, options: MoveOptions) -> None:
    """Copy an image, and print its reference or the whole result."""
    from transfer.registry.ecr.aws import AwsCredentials

    credentials = AwsCredentials(profile=options.profile, endpoint_url=options.endpoint_url)
    try:
        result = run(lambda: _move(source, target, options, credentials))
    except (KeyboardInterrupt, Terminated) as stopped:
        if options.config.journal:
            stopped.add_note("the same command, run again, continues from here")
        raise
    if options.form in ("plain", "tty"):
        click.echo(summary(result), err=True)
    click.echo(result_json(result) if options.as_json else result.reference)


async def _move(source: str, target: str, options: MoveOptions, credentials: "AwsCredentials") -> PushResult:
    from transfer.api import Engine

    with observing(options.form, title=target.rpartition("/")[2]) as observer:
        async with Engine(options.config, credentials=credentials) as engine:
            return await engine.copy(
                source,
                target,
                platforms=options.platforms,
                source_access=options.source_access,
                target_access=options.target_access,
                ecr_protocol=options.ecr_protocol,
                create_repository=options.create_repository,
                observer=observer,
            )


def summary(result: PushResult) -> str:
    """One line: what was uploaded, present, mounted and resumed, retries, seconds."""
    earlier = sum(blob.resumed for blob in result.blobs)
    parts = [f"uploaded {_total(result.uploaded)}", f"present {_total(result.present)}"]
    if result.mounted.count:
        parts.append(f"mounted {_total(result.mounted)}")
    if result.resumed.count:
        parts.append(f"resumed {_total(result.resumed)}, {format_size(earlier)} of it sent before")
    if result.retries:
        parts.append(count(result.retries, "retry"))
    return "; ".join([*parts, f"{result.seconds:.1f} s"])


def _total(total: Total) -> str:
    blobs = count(total.count, "blob")
    return f"{blobs} ({format_size(total.size)})" if total.count else blobs


def result_json(result: PushResult) -> str:
    """The result as one JSON document: sizes in bytes, times in seconds."""
    document = {
        "reference": result.reference,
        "digest": result.digest,
        "uploaded": result.uploaded,
        "present": result.present,
        "resumed": result.resumed,
        "mounted": result.mounted,
        "retries": result.retries,
        "seconds": result.seconds,
        "blobs": result.blobs,
    }
    return msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()
