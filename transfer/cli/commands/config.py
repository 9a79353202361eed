"""`transfer config`: look at a mirror's configuration without running it."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from transfer.cli.display.text import count, display, json_text
from transfer.cli.main import INVALID

if TYPE_CHECKING:
    from transfer.mirror.config.load import ConfigReport, Format
    from transfer.mirror.diagnostics import Diagnostic

T = TypeVar("T")

_FIRST = """\
# A mirror: transfer mirror -c FILE. Check it: transfer config check FILE. All keys: transfer config schema.

# Where a login is needed, or a registry shall be spared. Docker's and podman's logins are used anyway.
registries:
  registry.example:
    username: mirror
    password: "${REGISTRY_PASSWORD}" # of the environment; or password_file: FILE
    max_bandwidth: 50MB

# What mappings take that do not say otherwise.
defaults:
  referrers: true # signatures, SBOMs and attestations
  create: true # repositories of ECR that are missing

mappings:
  - source: docker.io/library/alpine
    targets: ["registry.example/mirror/{name}"]
    tags: {semver: ">=3.18", newest: 5}

  - source: quay.io/prometheus/*
    targets: ["registry.example/mirror/{repository}"]
    tags: ["v2.*", latest]
    platforms: [linux/amd64, linux/arm64]
"""


def format_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say how a file is read: `file_format`, `destination` and `scoped`."""
    for option in (
        click.option("--scoped", is_flag=True, help="As skopeo's: keep the source's registry and path below --dest."),
        click.option("--dest", "destination", metavar="HOST[/PATH]", help="Where the images of a skopeo file go."),
        click.option(
            "--format",
            "file_format",
            type=click.Choice(["transfer", "skopeo", "regsync"]),
            help="The file's format; else it is seen.",
        ),
    ):
        command = option(command)
    return command


def file_options(command: Callable[..., T]) -> Callable[..., T]:
    """Return a configuration file and how it is read; the command gets what was read as its first argument."""

    @functools.wraps(command)
    def read(*, file: str, file_format: "Format | None", destination: str | None, scoped: bool, **arguments: Any) -> T:
        from transfer.mirror.config.load import check_config

        return command(check_config(file, file_format, target=destination, scoped=scoped, secrets=False), **arguments)

    return format_options(click.argument("file")(read))


@click.group()
def config() -> None:
    """Look at the configuration of a mirror without running it.

    \b
    Examples:
      transfer config check mirror.yaml
      transfer config convert regsync.yml > mirror.yaml
      transfer config schema > mirror.schema.json
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one document.")
@file_options
def check(report: "ConfigReport", *, as_json: bool) -> None:
    """Name every mistake in FILE, with its line and key.

    FILE is a mirror's configuration, a YAML file of skopeo sync, or a regsync.yml.

    \b
    Examples:
      transfer config check mirror.yaml
      transfer config check sync.yml --dest registry.example/mirror
      transfer config check regsync.yml --json | jq -r '.mistakes[].reason'
    """
    if as_json:
        click.echo(json_text(document(report), indented=False))
        if report.config is None:
            click.get_current_context().exit(INVALID)
        return
    _warn(report)
    found = report.require()
    click.echo(f"{display(report.file)}: {count(len(found.mappings), 'mapping')}, no mistake")


@config.command()
@file_options
def convert(report: "ConfigReport") -> None:
    """Write FILE as transfer's own format.

    What cannot be taken over is named on stderr.

    \b
    Examples:
      transfer config convert regsync.yml > mirror.yaml
      transfer config convert sync.yml --dest registry.example/mirror --scoped > mirror.yaml
    """
    from transfer.mirror.config.native import write_own

    _warn(report)
    click.echo(write_own(report.require()), nl=False)


@config.command()
def init() -> None:
    """Print a configuration to begin with, with a word on each part.

    \b
    Examples:
      transfer config init > mirror.yaml
      transfer config check mirror.yaml && transfer mirror -c mirror.yaml --dry-run
    """
    click.echo(_FIRST, nl=False)


@config.command("schema")
def print_schema() -> None:
    """Print the JSON schema of transfer's own format, for editors.

    \b
    Examples:
      transfer config schema > mirror.schema.json
    """
    from transfer.mirror.config.schema import schema

    click.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())


def document(report: "ConfigReport") -> dict[str, Any]:
    """Return the findings as one JSON document."""

    def rows(mistakes: "tuple[Diagnostic, ...]") -> list[dict[str, Any]]:
        from transfer.mirror.diagnostics import spelled

        return [{"line": one.line, "key": spelled(one.path) or None, "reason": one.reason} for one in mistakes]

    return {
        "file": report.file,
        "format": report.format,
        "mappings": len(report.config.mappings) if report.config else None,
        "mistakes": rows(report.mistakes),
        "warnings": rows(report.warnings),
    }


def _warn(report: "ConfigReport") -> None:
    for warning in report.warnings:
        click.echo(f"transfer: warning: {display(report.describe(warning))}", err=True)
