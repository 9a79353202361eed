"""`transfer mirror --watch`: a mirror that goes on until a signal ends it."""

import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from transfer.cli.display.mirror.report import image_line, report_document, summary, write_report
from transfer.cli.display.text import display, json_text
from transfer.cli.event_loop import handle, run
from transfer.cli.main import DONE

if TYPE_CHECKING:
    from transfer.cli.options.run_options import RunOptions
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.errors import InvalidConfig
    from transfer.mirror import ImageReport, MirrorConfig, MirrorReport
    from transfer.mirror.watcher.health import Health
    from transfer.mirror.watcher.reload import ConfigReloader


def watch_mirror(
    read: Callable[[], "MirrorConfig"],
    file: str | None,
    accesses: "Callable[[MirrorConfig], Mapping[str, RegistryAccess]]",
    options: "RunOptions",
) -> int:
    """Mirror again and again. Its end is a signal's, and no failure: the reports tell of those."""
    from transfer.mirror.watcher.reload import ConfigReloader

    followed = ConfigReloader(read, file=file, schedule=options.watch or None, accesses=accesses, jobs=options.jobs)
    run(lambda: _watch(followed, options))
    return DONE


async def _watch(followed: "ConfigReloader", options: "RunOptions") -> None:
    from transfer.mirror.watcher.loop import Watch

    async with AsyncExitStack() as stack:
        teller = _Teller(options, followed.file, await _health(stack, options))
        watching = Watch(
            followed,
            limits=options.config,
            credentials=options.aws.credentials(),
            fail_fast=options.fail_fast,
            on_image=teller.image,
            on_report=teller.report,
            on_reload=teller.reload,
        )
        handlers = stack.enter_context(ExitStack())

        def stop() -> None:
            # A second signal ends the program at once.
            handlers.close()
            watching.stop(options.grace)

        handle(handlers, signal.SIGINT, stop)
        handle(handlers, signal.SIGTERM, stop)
        if hasattr(signal, "SIGHUP"):  # Windows has none
            handle(handlers, signal.SIGHUP, watching.reload)
        await watching.run()
    if not options.quiet:
        click.echo("stopped", err=True)


async def _health(stack: AsyncExitStack, options: "RunOptions") -> "Health | None":
    if options.listen is None:
        return None
    from transfer.mirror.watcher.health import Health

    health = Health()
    url = await stack.enter_async_context(health.listening(*options.listen))
    if not options.quiet:
        click.echo(f"listening at {url}", err=True)
    return health


class _Teller:
    """Says what happens: lines on stderr, reports on stdout and in a file, numbers to whoever asks for them."""

    def __init__(self, options: "RunOptions", file: str | None, health: "Health | None") -> None:
        self._options = options
        self._file = file
        self._health = health

    def image(self, image: "ImageReport") -> None:
        if self._health:
            self._health.metrics.image(image)
        line = image_line(image) if image.status == "failed" or not self._options.quiet else None
        if line is not None:
            _say(line)

    def report(self, report: "MirrorReport") -> None:
        if self._health:
            self._health.run(report)
        document = report_document(report)
        if self._options.report:
            try:
                write_report(self._options.report, document)
            except OSError as error:  # the next one may fit on the disk
                _say(f"report {self._options.report}: {error.strerror}")
        if not self._options.quiet:
            for warning in report.warnings:
                _say(f"warning: {display(warning)}")
            _say(summary(report))
        if self._options.as_json:
            click.echo(json_text(document, indented=False))

    def reload(self, error: "InvalidConfig | None") -> None:
        if self._health:
            self._health.metrics.reload(error)
        if error is not None:
            _say("the configuration stays as it was; what is there now is wrong:")
            for line in str(error).splitlines():
                _say(f"  {display(line)}")
        elif not self._options.quiet:
            _say(f"read {display(self._file)} again")


def _say(line: str) -> None:
    """Print a line on stderr, with the time where it is a log."""
    time = "" if sys.stderr.isatty() else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} "
    click.echo(f"{time}{line}", err=True)
