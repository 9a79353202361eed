"""`transfer push`: one image from this machine into a registry. Knows neither end; the engine opens both."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from transfer.cli.options import SIZE, aws_options
from transfer.cli.render import Form, choose_form, observing
from transfer.cli.run import Terminated, run
from transfer.cli.text import count, format_size
from transfer.engine.config import MIB, TransferConfig
from transfer.engine.result import PushResult, Total

if TYPE_CHECKING:
    from transfer.registry.ecr.aws import AwsCredentials

_DEFAULTS = TransferConfig()


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--create-repository", is_flag=True, help="Create the repository if it does not exist.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    default=_DEFAULTS.max_concurrent_blobs,
    show_default=True,
    help="Blobs in work at once.",
)
@click.option(
    "--bytes-in-flight",
    type=SIZE,
    default=_DEFAULTS.max_bytes_in_flight,
    metavar="SIZE",
    help="Bytes read ahead or on the wire at once, as in 64MiB; memory grows by 4/3 of it."
    f"  [default: {_DEFAULTS.max_bytes_in_flight // MIB}MiB]",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The journal that lets a later push continue; by default in your state folder.",
)
@click.option("--no-journal", is_flag=True, help="Keep no journal: a push that is killed starts its layers over.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "tty", "json"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr; json is one event a line.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show nothing on stderr but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of the reference.")
@aws_options
def push(  # noqa: PLR0913 -- one argument for each option
    *,
    source: str,
    target: str,
    create_repository: bool,
    jobs: int,
    bytes_in_flight: int,
    state: Path | None,
    no_journal: bool,
    progress: str,
    quiet: bool,
    as_json: bool,
    profile: str | None,
    endpoint_url: str | None,
) -> None:
    """Push an image from an OCI image layout into a registry.

    SOURCE is oci:DIR, oci:DIR:TAG or oci:DIR@DIGEST; a multi-platform index is pushed whole. TARGET is
    HOST/REPOSITORY:TAG, the tag being latest if it is left out; HOST names account and region.

    What the registry has is not sent. A push that was killed, run again, continues inside each
    layer. The reference by digest is printed on stdout, all else on stderr.

    \b
    Examples:
      transfer push oci:build/image 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1
      transfer push oci:build/image:v1 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1 --create-repository
      digest=$(transfer push -q oci:build/image "$REGISTRY/app:v1")
      transfer push --progress json oci:build/image "$REGISTRY/app:v1" 2>events.jsonl
    """
    from transfer.registry.ecr.aws import AwsCredentials

    config = TransferConfig(
        max_concurrent_blobs=jobs, max_bytes_in_flight=bytes_in_flight, state_path=state, journal=not no_journal
    )
    form = choose_form(progress, quiet=quiet, terminal=sys.stderr.isatty(), environment=os.environ)
    credentials = AwsCredentials(profile=profile, endpoint_url=endpoint_url)
    try:
        result = run(lambda: _push(source, target, config, credentials, form, create_repository=create_repository))
    except (KeyboardInterrupt, Terminated) as stopped:
        if config.journal:
            stopped.add_note("the same command, run again, continues from here")
        raise
    if form in ("plain", "tty"):
        click.echo(summary(result), err=True)
    click.echo(result_json(result) if as_json else result.reference)


async def _push(
    source: str,
    target: str,
    config: TransferConfig,
    credentials: "AwsCredentials",
    form: Form,
    *,
    create_repository: bool,
) -> PushResult:
    from transfer.api import Engine

    with observing(form, title=target.rpartition("/")[2]) as observer:
        async with Engine(config, credentials=credentials) as engine:
            return await engine.push(source, target, create_repository=create_repository, observer=observer)


def summary(result: PushResult) -> str:
    """One line: what was uploaded, present and resumed, retries, seconds."""
    earlier = sum(blob.resumed for blob in result.blobs)
    parts = [f"uploaded {_total(result.uploaded)}", f"present {_total(result.present)}"]
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
        "retries": result.retries,
        "seconds": result.seconds,
        "blobs": result.blobs,
    }
    return msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()
