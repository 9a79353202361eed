"""The options of `transfer mirror` that say how a run goes and what it tells."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from transfer.cli.options.common import PROGRESS, AwsOptions, Parsed

if TYPE_CHECKING:
    from transfer.config import TransferConfig


def parse_address(text: str) -> tuple[str, int]:
    """
    Host and port of `HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is none.
    """
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    if not bare or not is_port or (":" in host and bare == host):
        raise ValueError(f"{text!r} is not HOST:PORT, as in 127.0.0.1:9090 or [::1]:9090")
    return bare, int(port)


_GROUPS = {
    "changed": {"copied", "planned", "pruned"},
    "failed": {"failed", "stopped"},
    **{status: {status} for status in ("copied", "planned", "pruned", "unchanged", "stopped")},
}


def parse_statuses(text: str) -> frozenset[str]:
    """
    Return the statuses that `changed,failed` stands for; all of them for an empty text.

    Raises:
        ValueError: one is unknown.
    """
    names = [name.strip() for name in text.split(",")] if text else list(_GROUPS)
    unknown = [name for name in names if name not in _GROUPS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_GROUPS)}")
    return frozenset[str]().union(*(_GROUPS[name] for name in names))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of a run of a mirror."""

    jobs: int | None
    fail_fast: bool
    dry_run: bool
    failures: Path | None
    report: Path | None
    grace: float
    progress: str
    quiet: bool
    shown: frozenset[str]
    as_json: bool
    watch: str | None
    listen: tuple[str, int] | None
    config: "TransferConfig"
    aws: AwsOptions


RUN_OPTIONS = (
    click.option("-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Images at once.  [default: 16]"),
    click.option("--fail-fast", is_flag=True, help="Start no further image after the first failure."),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Check everything, show what would be copied and how long quotas make it, and write nothing.",
    ),
    click.option(
        "--failures",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write what failed to FILE; if it already names failures, copy only those.",
    ),
    click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the report there too, as JSON.",
    ),
    click.option(
        "--grace",
        type=click.FloatRange(min=0),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long images in work may take to finish after SIGINT or SIGTERM.",
    ),
    PROGRESS,
    click.option("-q", "--quiet", is_flag=True, help="Show only what failed on stderr."),
    click.option(
        "--only",
        "shown",
        type=Parsed("statuses", parse_statuses),
        default="",
        metavar="STATUS,…",
        help="Of the report, only these images, as in changed,failed; where there is none, nothing is printed.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of a table."),
    click.option(
        "--watch",
        is_flag=False,
        flag_value="",
        metavar="[INTERVAL|CRON]",
        help="Repeat: every 30m, or by a cron expression as '15 3 * * *'; without a value, as the file says.",
    ),
    click.option(
        "--listen",
        type=Parsed("address", parse_address),
        metavar="HOST:PORT",
        help="With --watch: answer /healthz, /readyz and /metrics there.",
    ),
)

RUN_OPTION_NAMES = [name for name in RunOptions.__dataclass_fields__ if name not in ("aws", "config")]
