"""The options that become a `TransferConfig`: how much at once, how fast, where the journal lies."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from transfer.cli.options.common import DURATION, SIZE, timeouts, with_options
from transfer.config import MIB, TransferConfig

T = TypeVar("T")

_DEFAULTS = TransferConfig()


def limit_options(*, jobs: bool) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """
    Add the limits of a command that moves images, which gets them as one argument, `config`.

    Args:
        jobs: the command has an option `-j` of its own, for images. One that moves a single image accepts it as its
            old name for `--layers`, with a warning.
    """
    old = click.option("-j", "--jobs", "old_layers", type=click.IntRange(min=1), hidden=True)
    options = (
        click.option(
            "--layers",
            "blobs",
            type=click.IntRange(min=1),
            default=_DEFAULTS.max_concurrent_blobs,
            show_default=True,
            metavar="N",
            help="Layers and other blobs in work at once.",
        ),
        *(() if jobs else (old,)),
        click.option(
            "--bytes-in-flight",
            type=SIZE,
            default=_DEFAULTS.max_bytes_in_flight,
            metavar="SIZE",
            help="Bytes being read or sent at once, as in 64MiB; memory use grows with it."
            f"  [default: {_DEFAULTS.max_bytes_in_flight // MIB}MiB]",
        ),
        click.option(
            "--chunk-size",
            type=SIZE,
            default=_DEFAULTS.upload_chunk_bytes,
            metavar="SIZE",
            help="Largest upload chunk, except by ECR's API; slow links get smaller ones, of about 8 seconds. "
            f"A smaller blob goes in one request.  [default: {_DEFAULTS.upload_chunk_bytes // MIB}MiB]",
        ),
        click.option(
            "--max-bandwidth",
            type=SIZE,
            metavar="SIZE",
            help="Bytes read from and sent to registries per second, as in 10MiB.",
        ),
        click.option(
            "--retry-for",
            type=DURATION,
            default="5m",
            show_default=True,
            metavar="DURATION",
            help="How long a request that fails is tried again without getting any further, as in 90s or 1h.",
        ),
        click.option(
            "--hub-reserve",
            type=click.IntRange(min=0),
            default=_DEFAULTS.hub_reserve,
            metavar="N",
            help="Pulls to leave of Docker Hub's rate limit; fail instead of going below.",
        ),
        click.option("--wait-for-quota", is_flag=True, help="Wait for pulls of Docker Hub instead of failing."),
        click.option(
            "--state",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="PATH",
            help="The file that lets a later run continue.  [default: in your state folder]",
        ),
        click.option("--no-journal", is_flag=True, help="Keep no such file: after an interruption, layers start over."),
    )

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        return with_options(_with_config(command), options)

    return decorate


def _with_config(command: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(command)
    def gather(  # noqa: PLR0913 -- one argument for each option
        *,
        blobs: int,
        old_layers: int | None = None,
        bytes_in_flight: int,
        chunk_size: int,
        max_bandwidth: int | None,
        retry_for: float,
        hub_reserve: int,
        wait_for_quota: bool,
        state: Path | None,
        no_journal: bool,
        **arguments: Any,
    ) -> T:
        is_default = click.get_current_context().get_parameter_source("blobs") is click.core.ParameterSource.DEFAULT
        if old_layers is not None:
            click.echo("warning: -j means images at once; use --layers N for layers", err=True)
        config = TransferConfig(
            max_concurrent_blobs=old_layers if is_default and old_layers else blobs,
            **timeouts(),
            max_bytes_in_flight=bytes_in_flight,
            upload_chunk_bytes=chunk_size,
            upload_chunk_threshold=chunk_size,
            max_bandwidth=max_bandwidth,
            retry_for=retry_for,
            hub_reserve=hub_reserve,
            wait_for_quota=wait_for_quota,
            state_path=state,
            journal=not no_journal,
        )
        return command(config=config, **arguments)

    return gather
