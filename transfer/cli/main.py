"""
From arguments to an exit code: the one place that turns errors into what a shell sees.

    0  done        1  failed        2  usage or invalid input        4  credentials
    130  interrupted (Ctrl-C)       143  terminated (SIGTERM)
"""

import contextlib
import gc
import re
import sys
from collections.abc import Iterator, Sequence

import click

from transfer.cli.display.option_names import spelled
from transfer.cli.display.text import display, json_text
from transfer.errors import (
    ContentMissing,
    CredentialsMissing,
    InvalidConfig,
    InvalidDigest,
    InvalidLayout,
    InvalidManifest,
    InvalidReference,
    StorageFull,
    TransferError,
    Unauthorized,
)

DONE, FAILED, INVALID, CREDENTIALS, INTERRUPTED, TERMINATED = 0, 1, 2, 4, 130, 143


_SIDE = re.compile(r"^--(?:src-|dest-)?")
# What other tools call an option that has another name here, or none.
_ELSEWHERE = {
    "insecure": "use --plain-http, or --tls-verify false",
    "insecure-policy": "there is no policy file; leave it out",
    "authfile": "set REGISTRY_AUTH_FILE",
    "registry-config": "set REGISTRY_AUTH_FILE",
    "username": "use --creds USER:PASSWORD, or docker login",
    "password": "use --creds USER:PASSWORD, or docker login",
    "registry-token": "use --creds USER:PASSWORD, or docker login",
    "cert-dir": "use --ca FILE, and --cert FILE with --key FILE",
    "ca-file": "use --ca FILE",
    "allow-nondistributable-artifacts": "use --include-foreign",
    "all-platforms": "all platforms are copied; leave it out",
    "multi-arch": "all platforms are copied; leave it out, or choose with --platform",
    "format": "the image stays as it is, bit for bit; for output, use --json",
    "concurrency": "use --layers N",
    "parallel": "use --layers N",
    "digest-tags": "use --referrers",
    "retry-times": "use --retry-for DURATION",
    "retry-delay": "use --retry-for DURATION",
    "keep-going": "an image that fails never stops the others; leave it out",
    "src": "name the source as the first argument",
}


class Terminated(BaseException):
    """SIGTERM arrived; a BaseException for the reason that KeyboardInterrupt is one."""


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error ends the program with."""
    match error:
        case click.ClickException():
            return error.exit_code
        case KeyboardInterrupt():
            return INTERRUPTED
        case Terminated():
            return TERMINATED
        case CredentialsMissing() | Unauthorized():
            return CREDENTIALS
        case InvalidReference() | InvalidDigest() | InvalidManifest() | InvalidConfig() | InvalidLayout():
            return FAILED if isinstance(error, StorageFull | ContentMissing) else INVALID
        case _:
            return FAILED


def explain(error: BaseException) -> Iterator[str]:
    """Yield the lines that describe an error: what happened, then its notes."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            yield from error.format_message().splitlines()
        case click.UsageError():
            yield from _usage(error)
            yield f"transfer: {display(_complaint(error))}"
        case click.ClickException():
            yield f"transfer: {display(error.format_message())}"
        case KeyboardInterrupt():
            yield "transfer: interrupted"
        case Terminated():
            yield "transfer: terminated"
        case TransferError():
            yield from _described(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            yield f"transfer: {display(where + (error.strerror or str(error)))}"
        case _:
            kind = type(error).__name__
            yield f"transfer: this is a bug, please report it: {kind}: {display(error)} (transfer --debug shows where)"
    yield from (f"  {display(note)}" for note in getattr(error, "__notes__", ()))


def _described(error: TransferError) -> Iterator[str]:
    """Yield one line, but a line for each mistake of a configuration file."""
    first, *more = (str(error).splitlines() if isinstance(error, InvalidConfig) else ()) or (str(error),)
    yield f"transfer: {display(spelled(first, error.side))}"
    yield from (f"  {display(line)}" for line in more)


def _complaint(error: click.UsageError) -> str:
    """Return what is wrong; of names that are like an unknown option, the likest alone."""
    known = _ELSEWHERE.get(_SIDE.sub("", getattr(error, "option_name", "")))
    if known is not None:
        return f"{error.message.rstrip('.')}: {known}"
    likest = next(iter(getattr(error, "possibilities", None) or ()), None)
    return f"{error.message.rstrip('.')}; did you mean {likest!r}?" if likest else error.format_message()


def _usage(error: click.UsageError) -> Iterator[str]:
    if error.ctx is not None:
        yield from error.ctx.get_usage().splitlines()
        yield f"Try '{error.ctx.command_path} --help' for help."


def program() -> int:
    """
    Run the command line as all that its process is for, and return its exit code.

    What is left at the end is not searched for garbage, which would take 33 ms after a mirror.
    """
    code = main()
    gc.freeze()
    return code


def main(args: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit code; `args` default to the program's own.

    A reader of stdout that leaves early (`| head`) is click's to settle: it exits with 1, without a word.
    """
    context: dict[str, bool] = {}
    try:
        from transfer.cli.group import transfer

        code = transfer.main(args=args, prog_name="transfer", standalone_mode=False, obj=context)
    except (Exception, KeyboardInterrupt, Terminated) as error:  # noqa: BLE001 -- the end of the program
        # click turns Ctrl-C into an Abort of its own, which has not the notes.
        cause = (isinstance(error, click.Abort) and error.__cause__) or error
        _report(cause, debug=context.get("debug", False))
        if _wants_json(sys.argv[1:] if args is None else args):
            with contextlib.suppress(OSError):
                click.echo(json_text({"error": error_document(cause)}, indented=False))
        return exit_code(cause)
    return code if isinstance(code, int) else DONE


def _wants_json(args: Sequence[str]) -> bool:
    return "--json" in (args[: args.index("--")] if "--" in args else args)


def error_document(error: BaseException) -> dict[str, object]:
    """Return an error for programs: its class, its message, whose side it is of, and what else there is to say."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    return {
        "class": type(error).__name__,
        "message": display(message),
        "side": getattr(error, "side", None),
        "notes": [display(note) for note in getattr(error, "__notes__", ())],
    }


def _report(error: BaseException, *, debug: bool) -> None:
    with contextlib.suppress(OSError):  # nobody reads stderr any more
        if debug:
            import traceback

            traceback.print_exception(error)
        for line in explain(error):
            click.echo(line, err=True)
