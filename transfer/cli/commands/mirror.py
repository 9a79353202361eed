"""`transfer mirror`: many images, from arguments or a file."""

import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from transfer.cli.commands.config import format_options
from transfer.cli.commands.mirror_watch import watch_mirror
from transfer.cli.display.choose import choose_form, observing_mirror
from transfer.cli.display.mirror.report import only, report_document, report_lines, summary, write_report
from transfer.cli.display.text import json_text
from transfer.cli.event_loop import handle, run
from transfer.cli.main import CREDENTIALS, DONE, FAILED, INTERRUPTED, TERMINATED
from transfer.cli.mirror_failures import read_failures, write_failures
from transfer.cli.options.common import AwsOptions, access_options, aws_options, with_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.options.limits import limit_options
from transfer.cli.options.mirror_options import choice_options, config_of, config_of_list
from transfer.cli.options.run_options import RUN_OPTION_NAMES, RUN_OPTIONS, RunOptions

if TYPE_CHECKING:
    from transfer.config import TransferConfig
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.mirror import MirrorConfig, MirrorReport
    from transfer.mirror.config.load import Format
    from transfer.mirror.run.run import MirrorRun

_LOGIN_ERRORS = frozenset({"CredentialsMissing", "Unauthorized"})


@click.command(cls=HelpCommand)
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("-c", "--config", "file", metavar="FILE", help="A configuration: transfer's own, skopeo's or regsync's.")
@format_options
@choice_options
@limit_options(jobs=True)
@access_options("src")
@access_options("dest")
@aws_options
@partial(with_options, options=RUN_OPTIONS)
@click.pass_context
def mirror(  # noqa: PLR0913 -- one argument for each group of options
    context: click.Context,
    /,
    *,
    source: str | None,
    target: str | None,
    file: str | None,
    file_format: "Format | None",
    destination: str | None,
    scoped: bool,
    src_access: "RegistryAccess",
    dest_access: "RegistryAccess",
    aws: AwsOptions,
    config: "TransferConfig",
    **arguments: Any,
) -> int:
    """Keep repositories of one registry in step with another.

    SOURCE is an image (alpine:3), a repository, or repositories by a pattern
    (registry.example/team/*). TARGET is a repository, a prefix that ends in / and keeps the source's
    path below it, or a template (mirror.example/{namespace}-{name}:{tag}). With -c, a file has any
    number of them. With --images-from, a list names the images; they are shown before any moves.

    A tag that has not changed costs one request at each side. A layer that several images need is sent
    once. An image that fails does not stop the others; run the same command again to continue after an
    interruption. The report goes to stdout, everything else to stderr.

    With --watch, the mirror runs until a signal ends it. A changed file is read before the next run;
    SIGHUP reads it and runs at once. Each run prints one line with --json, and replaces --report.

    \b
    Examples:
      transfer mirror alpine "$REGISTRY/mirror/" --semver '>=3.18' --newest 5 --create-repository
      transfer mirror registry.example/team/app other.example/app --all-tags --to third.example/app
      transfer mirror 'registry.example/team/*' "$REGISTRY/team/{name}" --tags 'v*' --exclude '*-rc*'
      helm template chart | transfer mirror --images-from - "$REGISTRY/mirror/" --create-repository
      transfer mirror -c mirror.yaml --dry-run
      transfer mirror -c mirror.yaml --failures failed.jsonl --json > report.json
      transfer mirror -c skopeo-sync.yaml --dest "$REGISTRY/mirror" --scoped
      transfer mirror -c mirror.yaml --watch 30m --listen 127.0.0.1:9090

    \b
    Exit codes:
      0 done   1 an image failed   2 usage or a bad configuration   4 credentials
    """
    options = RunOptions(aws=aws, config=config, **{name: arguments.pop(name) for name in RUN_OPTION_NAMES})
    _check_watch(options, file)
    accesses = partial(_accesses, source=src_access, target=dest_access)
    images = arguments.pop("images_from")
    if images is not None and (file is not None or source is None or target is not None):
        raise click.UsageError("--images-from FILE takes TARGET alone, and no other file", ctx=context)
    if file is None:
        if source is None or (target is None and images is None):
            raise click.UsageError("name SOURCE and TARGET, or a file with -c", ctx=context)
        found = config_of(source, target, arguments) if target else config_of_list(str(images), source, arguments)
        if options.watch is not None:
            return watch_mirror(lambda: found, None, accesses, options)
        return _mirror(found, accesses(found), options)
    if source is not None:
        raise click.UsageError("SOURCE and TARGET, and a file that names them, exclude each other")
    from transfer.mirror.config.load import check_config

    check = partial(check_config, file, file_format, target=destination, scoped=scoped)
    checked = check()
    for warning in checked.warnings:
        click.echo(f"warning: {checked.describe(warning)}", err=True)
    found = checked.require()
    if options.watch is not None:
        return watch_mirror(lambda: check().require(), file, accesses, options)
    return _mirror(found, accesses(found), options)


def _check_watch(options: RunOptions, file: str | None) -> None:
    if file == "-" and options.watch is not None:
        raise click.UsageError("--watch reads its file again, which the standard input cannot be: name a file")
    if options.watch is None and options.listen is not None:
        raise click.UsageError("--listen requires --watch")
    if options.watch is not None and options.failures is not None:
        raise click.UsageError("--watch and --failures exclude each other: the next run does what failed anyway")
    if options.watch is not None and options.dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other: one look tells what a run would do")


def _accesses(
    config: "MirrorConfig", source: "RegistryAccess", target: "RegistryAccess"
) -> dict[str, "RegistryAccess"]:
    """Return the access of each side, for those of its registries that the configuration does not have."""
    from transfer.mirror.config.references import parse_source, parse_target

    found = {parse_target(text).registry: target for mapping in config.mappings for text in mapping.targets}
    found |= {parse_source(mapping.source).registry: source for mapping in config.mappings}
    return {host: access for host, access in found.items() if host not in config.registries}


def _mirror(config: "MirrorConfig", accesses: dict[str, "RegistryAccess"], options: RunOptions) -> int:
    only = read_failures(options.failures) if options.failures else None
    stopped: list[int] = []
    plain_sides = [access.plain_http for access in accesses.values()]
    plain = all((*plain_sides, *(registry.plain_http for registry in config.registries.values())))
    report = run(lambda: _run(config, accesses, options, only, stopped), plain=plain)
    if options.failures and not options.dry_run:
        write_failures(options.failures, report)
    _tell(report, options)
    return stopped[0] if stopped else exit_code(report)


async def _run(
    config: "MirrorConfig",
    accesses: dict[str, "RegistryAccess"],
    options: RunOptions,
    only: frozenset[str] | None,
    stopped: list[int],
) -> "MirrorReport":
    from transfer.mirror.api import mirror as mirror_all

    form = choose_form(options.progress, quiet=options.quiet, terminal=sys.stderr.isatty(), environment=os.environ)
    with ExitStack() as handlers, observing_mirror(form) as observer:

        def started(running: "MirrorRun") -> None:
            def stop(code: int) -> None:
                # A second signal ends the program at once.
                handlers.close()
                stopped.append(code)
                running.stop(options.grace)

            handle(handlers, signal.SIGINT, partial(stop, INTERRUPTED))
            handle(handlers, signal.SIGTERM, partial(stop, TERMINATED))

        return await mirror_all(
            config,
            limits=options.config,
            credentials=options.aws.credentials(),
            accesses=accesses,
            jobs=options.jobs,
            only=only,
            fail_fast=options.fail_fast,
            dry_run=options.dry_run,
            observer=observer,
            on_start=started,
        )


def _tell(report: "MirrorReport", options: RunOptions) -> None:
    if options.report:
        write_report(options.report, report_document(report))
    if not options.quiet:
        for warning in report.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(summary(report), err=True)
    shown = only(report, options.shown)
    if options.as_json:
        click.echo(json_text(report_document(report) | {"images": report_document(shown)["images"]}))
        return
    for line in report_lines(shown):
        click.echo(line)


def exit_code(report: "MirrorReport") -> int:
    """1 when anything failed, 4 where all that failed did for want of credentials."""
    kinds = {one.error for one in report.failed}
    if not kinds:
        return FAILED if report.counts.get("stopped") else DONE
    return CREDENTIALS if kinds <= _LOGIN_ERRORS else FAILED
