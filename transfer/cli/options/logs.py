"""`-v` and `--log-level`: what the library logs under `transfer`, on stderr."""

import logging
import sys
from typing import Any

import click

_LOG = logging.getLogger("transfer")
_LEVELS = ("debug", "info", "warning", "error")


def _verbose(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        _choose(context, parameter, "debug")


def _choose(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    del parameter
    if value is None:
        return
    _LOG.setLevel(value.upper())
    handler = logging.StreamHandler(sys.stderr)
    # A log has times; on a terminal they are only in the way.
    form = "%(message)s" if sys.stderr.isatty() else "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    for earlier in list(_LOG.handlers):
        _LOG.removeHandler(earlier)
    _LOG.addHandler(handler)
    context.call_on_close(lambda: _LOG.removeHandler(handler))
    context.call_on_close(lambda: _LOG.setLevel(logging.NOTSET))


LOG_OPTIONS = (
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_verbose,
        help="Log each request: method, address, status, milliseconds; as --log-level debug.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(_LEVELS),
        expose_value=False,
        callback=_choose,
        help="What is logged on stderr: debug has each request, info each retry.  [default: warning]",
    ),
)
