"""What `transfer push`, `copy` and `pull` share: options, the run, and its result."""

import functools
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from transfer.cli.display.choose import Form, choose_form, observing
from transfer.cli.display.text import count, format_size, json_text
from transfer.cli.main import DONE, error_document, exit_code, explain
from transfer.cli.options.common import PROGRESS, AwsOptions, access_options, aws_options, with_options
from transfer.cli.options.limits import limit_options
from transfer.cli.resumable import Resumable
from transfer.config import TransferConfig
from transfer.engine.result import PushResult, Total
from transfer.errors import TransferError

if TYPE_CHECKING:
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.job import CopyOptions, Outcome

T = TypeVar("T")

OUTPUT_OPTIONS = (
    PROGRESS,
    click.option("-q", "--quiet", is_flag=True, help="Show only errors on stderr."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of the reference."),
)

_OPTIONS = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[/VARIANT]",
        help="Of an index, only the images for these platforms (separated by commas, or the option repeated): one is "
        "copied as a single image, several as an index of them.  [default: all]",
    ),
    click.option(
        "--ecr-protocol",
        type=click.Choice(["auto", "api", "registry"]),
        default="auto",
        show_default=True,
        help="How a target in ECR is written to: by its API, or by its Docker endpoint, which can mount blobs.",
    ),
    click.option(
        "--referrers",
        is_flag=True,
        help="Copy referrers too: signatures, SBOMs and attestations, including those under cosign's tags.",
    ),
    click.option(
        "--include-foreign",
        is_flag=True,
        help="Copy layers too that registries need not hold (Windows base layers), from the URLs in their descriptors.",
    ),
    click.option("--create-repository", is_flag=True, help="Create the repository if it does not exist."),
    *OUTPUT_OPTIONS,
    # As other tools have them: skopeo's and crane's, and what is always so here.
    click.option("-r", "--recursive", is_flag=True, hidden=True),
    click.option("--override-os", metavar="OS", hidden=True),
    click.option("--override-arch", metavar="ARCH", hidden=True),
    click.option("-a", "--all", is_flag=True, hidden=True, expose_value=False),
    click.option("--preserve-digests", is_flag=True, hidden=True, expose_value=False),
)


# The options that are named as in `CopyOptions`, and passed on as they are.
_COPY_FLAGS = ("ecr_protocol", "create_repository", "referrers", "include_foreign")


@dataclass(frozen=True, slots=True)
class CopyCommandOptions:
    """The options of a command that copies an image."""

    config: TransferConfig
    form: Form
    as_json: bool
    copy: "CopyOptions"
    aws: AwsOptions


def copy_command_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of a command that copies an image, which gets a `CopyCommandOptions`."""

    @functools.wraps(command)
    def gather(  # noqa: PLR0913 -- one argument for each option
        *,
        platforms: tuple[str, ...],
        config: TransferConfig,
        progress: str,
        quiet: bool,
        as_json: bool,
        src_access: "RegistryAccess",
        dest_access: "RegistryAccess",
        aws: AwsOptions,
        recursive: bool,
        override_os: str | None,
        override_arch: str | None,
        **arguments: Any,
    ) -> T:
        if override_os or override_arch:
            platforms = (*platforms, f"{override_os or 'linux'}/{override_arch or platform.machine()}")
        copy = cast("CopyOptions", {name: arguments.pop(name) for name in _COPY_FLAGS})
        copy["platforms"] = tuple(name for listed in platforms for name in listed.split(","))
        copy["referrers"] = copy["referrers"] or recursive
        copy["source_access"], copy["target_access"] = src_access, dest_access
        form = choose_form(progress, quiet=quiet, terminal=sys.stderr.isatty(), environment=os.environ)
        return command(CopyCommandOptions(config, form, as_json, copy, aws), **arguments)

    decorated: Callable[..., T] = aws_options(access_options("src")(access_options("dest")(gather)))
    return with_options(limit_options(jobs=False)(decorated), _OPTIONS)


def move(source: str, targets: Sequence[str], options: CopyCommandOptions) -> int:
    """Copy an image, print its references or the whole results, and return the exit code."""
    return show(targets, _moved(source, targets, options), options.form, as_json=options.as_json)


def show(targets: Sequence[str], outcomes: "Sequence[Outcome]", form: Form, *, as_json: bool) -> int:
    """Print the references of what was copied, or the whole results, and return the exit code."""
    # Where an archive goes to the standard output, nothing else does.
    aside = any(map(_is_stdout, targets))
    if len(targets) == 1 and isinstance(outcomes[0], TransferError):
        raise outcomes[0]
    for target, outcome in zip(targets, outcomes, strict=True):
        _tell(target, outcome, form, named=len(targets) > 1)
    if as_json:
        documents = [outcome_document(target, one) for target, one in zip(targets, outcomes, strict=True)]
        click.echo(json_text(documents if len(targets) > 1 else documents[0]), err=aside)
    else:
        for outcome in outcomes:
            if isinstance(outcome, PushResult):
                click.echo(outcome.reference, err=aside)
    return max(exit_code(one) if isinstance(one, TransferError) else DONE for one in outcomes)


def _is_local(target: str) -> bool:
    from transfer.local.reference import parse_local_reference

    return parse_local_reference(target, side="target") is not None


def _is_stdout(target: str) -> bool:
    from transfer.local.reference import parse_local_reference

    local = parse_local_reference(target, side="target")
    return local is not None and local.path is None


def _moved(source: str, targets: Sequence[str], options: CopyCommandOptions) -> list["Outcome"]:
    plain = not _may_speak_tls(source, targets, options)
    command = Resumable(journal=options.config.journal)
    outcomes = command.run(lambda: _move(source, targets, options, command), plain=plain)
    for outcome in outcomes:
        if isinstance(outcome, TransferError):
            command.note(outcome)
    return outcomes


def _may_speak_tls(source: str, targets: Sequence[str], options: CopyCommandOptions) -> bool:
    """Return whether an end may be reached by TLS, as far as what was said tells."""
    from transfer.local.reference import parse_local_reference

    reads = not options.copy["source_access"].plain_http and parse_local_reference(source, side="source") is None
    writes = not options.copy["target_access"].plain_http
    return reads or (writes and any(parse_local_reference(target, side="target") is None for target in targets))


async def _move(
    source: str, targets: Sequence[str], options: CopyCommandOptions, command: Resumable
) -> list["Outcome"]:
    from transfer.api import Engine
    from transfer.job import make_job

    title = ", ".join(target.rpartition("/")[2] for target in targets)
    with observing(options.form, title, download=all(map(_is_local, targets))) as observer:
        async with Engine(options.config, credentials=options.aws.credentials()) as engine:
            command.opened(engine, observer)
            return await engine.run(make_job(source, targets, options.copy), observer=observer)


def _tell(target: str, outcome: "Outcome", form: Form, *, named: bool) -> None:
    if isinstance(outcome, TransferError):
        for line in explain(outcome):
            click.echo(line, err=True)
    elif form in ("plain", "tty"):
        line = summary(outcome, download=_is_local(target))
        click.echo(f"{target}: {line}" if named else line, err=True)


def summary(result: PushResult, *, download: bool = False) -> str:
    """Return one line: what was uploaded or downloaded, present, mounted and resumed, retries, seconds."""
    earlier = sum(blob.resumed for blob in result.blobs)
    moved = "downloaded" if download else "uploaded"
    parts = [f"{moved} {_total(result.uploaded)}", f"present {_total(result.present)}"]
    if result.mounted.count:
        parts.append(f"mounted {_total(result.mounted)}")
    if result.resumed.count:
        before = "before" if download else "sent before"
        parts.append(f"resumed {_total(result.resumed)}, {format_size(earlier)} of it {before}")
    if result.attached:
        parts.append(f"{count(len(result.attached), 'referrer')} along")
    if result.retries:
        parts.append(count(result.retries, "retry"))
    return "; ".join([*parts, f"{result.seconds:.1f} s"])


def _total(total: Total) -> str:
    blobs = count(total.count, "blob")
    return f"{blobs} ({format_size(total.size)})" if total.count else blobs


def outcome_document(target: str, outcome: "Outcome") -> dict[str, Any]:
    """Return the result for one target as a JSON document: sizes in bytes, times in seconds."""
    if isinstance(outcome, TransferError):
        return {"target": target, "error": error_document(outcome)}
    return {
        "target": target,
        "reference": outcome.reference,
        "digest": outcome.digest,
        "uploaded": outcome.uploaded,
        "present": outcome.present,
        "resumed": outcome.resumed,
        "mounted": outcome.mounted,
        "attached": outcome.attached,
        "retries": outcome.retries,
        "seconds": outcome.seconds,
        "blobs": outcome.blobs,
    }
