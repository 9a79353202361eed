"""`transfer serve`: the embedded registry until a signal ends it."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from transfer.cli.commands.serve.child import run_child
from transfer.cli.commands.serve.env_file import exports, remove, wait, write
from transfer.cli.display.text import display
from transfer.cli.event_loop import handle, run
from transfer.cli.main import DONE
from transfer.cli.options.common import ACCESS_KEY, Parsed

if TYPE_CHECKING:
    from transfer.server import RequestLog, RequestRecord, Server

# What to do about a --host or --port that the system refuses.
_ADVICE = {
    errno.EADDRINUSE: "choose another with --port, or --port 0 for any free one",
    errno.EACCES: "ports below 1024 are not for everybody; choose another with --port",
    errno.EADDRNOTAVAIL: "--host takes an address of this machine",
}

# Seconds that --wait waits for a registry.
_PATIENCE = 30.0

# Seconds between looks at the request log for --verbose.
_REQUESTS_EVERY = 0.1


def _account(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not (len(value) == 12 and value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is not an account id of twelve digits")
    return value


def parse_throttle(text: str) -> Mapping[str, float]:
    """
    Requests a second by operation, from `OPERATION=RATE` or `ecr`.

    Raises:
        ValueError: it is neither.
    """
    from transfer.server.throttle import ECR_QUOTAS

    if text == "ecr":
        return ECR_QUOTAS
    operation, _, rate = text.partition("=")
    try:
        return {operation: float(rate)}
    except ValueError:
        raise ValueError(f"{text!r} is neither OPERATION=RATE, as in PutImage=10, nor ecr") from None


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep everything in this folder.  [default: a temporary folder that is removed at the end]",
)
@click.option("--account", default="123456789012", show_default=True, callback=_account, help="The registry's id.")
@click.option("--region", default="us-east-1", show_default=True, help="The region of the registry.")
@click.option(
    "--access-key",
    type=ACCESS_KEY,
    default="transfer:transfer",
    show_default=True,
    metavar="ID:SECRET",
    help="The credentials that requests must be signed with, and user and password at /v2/.",
)
@click.option("--no-auth", is_flag=True, help="Accept requests with any signature, or none.")
@click.option(
    "--dialect",
    type=click.Choice(["oci", "ecr"]),
    default="oci",
    show_default=True,
    help="How /v2/ behaves: as the OCI specification says, or as ECR's Docker endpoint with its quirks.",
)
@click.option(
    "--create-on-push/--no-create-on-push",
    default=None,
    help="Whether a push to /v2/ creates its repository.  [default: yes for oci, no for ecr]",
)
@click.option("--blob-mounting", is_flag=True, help="Let the ecr dialect mount blobs, which ECR's accounts opt in to.")
@click.option(
    "--throttle",
    "throttles",
    type=Parsed("throttle", parse_throttle),
    multiple=True,
    metavar="OPERATION=RATE",
    help="Refuse what comes faster than so many requests a second, as ECR does; ecr stands for the quotas that AWS "
    "publishes. Several may be given, the later ones count.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the environment there once it answers, instead of on stdout; removed at the end.",
)
@click.option(
    "--wait",
    "awaited",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Serve nothing: wait until the registry that writes FILE answers, and print its environment.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print a line on stderr for each request.")
def serve(  # noqa: PLR0913 -- one argument for each option
    *,
    command: tuple[str, ...],
    port: int,
    host: str,
    data: Path | None,
    account: str,
    region: str,
    access_key: tuple[str, str],
    no_auth: bool,
    dialect: str,
    create_on_push: bool | None,
    blob_mounting: bool,
    throttles: tuple[Mapping[str, float], ...],
    env_file: Path | None,
    awaited: Path | None,
    verbose: bool,
) -> int:
    """Run a registry on this machine that speaks the AWS ECR API and, at /v2/, OCI Distribution.

    With a COMMAND, that runs with the environment that makes boto3, the AWS CLI and transfer use the
    registry, which ends with it. Without one, the environment is printed on stdout, or written to a
    file, and the registry serves until Ctrl-C, SIGTERM or SIGHUP.

    \b
    Examples:
      transfer serve --port 0 -- pytest tests/
      transfer serve
      transfer serve --port 0 --data ~/registry
      transfer serve --port 0 --env-file registry.env &
      eval "$(transfer serve --wait registry.env)"
      transfer serve --no-auth --verbose
      transfer serve --dialect ecr --create-on-push
      transfer serve --throttle ecr --throttle PutImage=2
    """
    if awaited is not None:
        click.echo(run(lambda: wait(awaited, _PATIENCE)))
        return DONE

    from transfer.server import Server

    server = Server(
        host=host,
        port=port,
        data=data,
        account=account,
        region=region,
        access_key=access_key[0],
        secret_key=access_key[1],
        auth=not no_auth,
        dialect=dialect,
        create_on_push=create_on_push,
        blob_mounting=blob_mounting,
        throttle={operation: rate for one in throttles for operation, rate in one.items()},
    )
    if env_file is not None:
        # One of an earlier registry names another port.
        remove(env_file)
    return run(lambda: _serve(server, f"{host}:{port}", _Use(command, env_file, data), verbose=verbose))


class _Use(NamedTuple):
    """What the registry is for: a command, or those who find its environment in a file or on stdout."""

    command: tuple[str, ...]
    env_file: Path | None
    data: Path | None


async def _serve(server: "Server", address: str, use: _Use, *, verbose: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            refused = refusal(address, error)
            if refused is None:
                raise
            raise click.ClickException(refused) from None
        if use.env_file is not None:
            write(use.env_file, server.environment)
            stack.callback(remove, use.env_file)
        if use.command:
            return await _beside(server, use.command, verbose=verbose)
        with stopping() as stopped:
            if use.env_file is None:
                click.echo(exports(server.environment))
            click.echo(_hint(server, use.data), err=True)
            await _wait(stopped, server.requests, verbose=verbose)
    click.echo("stopped", err=True)
    return DONE


async def _beside(server: "Server", command: Sequence[str], *, verbose: bool) -> int:
    watching = asyncio.create_task(_wait(asyncio.Event(), server.requests, verbose=verbose))
    try:
        return await run_child(command, server.environment)
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@contextlib.contextmanager
def stopping() -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, in place of what they do else; SIGHUP not where it is ignored."""
    stopped = asyncio.Event()
    with contextlib.ExitStack() as handlers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handle(handlers, number, stopped.set)
        yield stopped


async def _wait(stopped: asyncio.Event, requests: "RequestLog", *, verbose: bool) -> None:
    if not verbose:
        await stopped.wait()
        return
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _REQUESTS_EVERY)
        for record in requests:
            click.echo(request_line(record), err=True)
        requests.clear()  # this program is the log's only reader


def request_line(record: "RequestRecord") -> str:
    """Return one request: status, operation, repository, and what it was about."""
    about = (
        ("tag", record.tag),
        ("digest", record.digest),
        ("upload", record.upload_id),
        ("bytes", None if record.first_byte is None else f"{record.first_byte}-{record.last_byte}"),
        ("error", record.code),
    )
    named = (f"{name}={value}" for name, value in about if value)
    return display(" ".join([str(record.status), record.operation, record.repository or "-", *named]))


def _hint(server: "Server", data: Path | None) -> str:
    place = server.url.partition("//")[2]
    where = f"in {data}" if data else "in a temporary folder, removed at the end; --data DIR keeps it"
    return "\n".join(
        (
            f"serving {server.registry} at {server.url}; Ctrl-C stops it",
            f"data: {where}",
            "in another shell, after the lines above:",
            f"  transfer push oci:DIR {server.registry}/app:v1 --create-repository",
            "or, with the access key as user and the secret as password:",
            f"  skopeo copy --dest-tls-verify=false --dest-creds ID:SECRET oci:DIR docker://{place}/app:v1",
        )
    )


def refusal(address: str, error: OSError) -> str | None:
    """Return the message for an address that cannot be bound; None for an error about a file."""
    if isinstance(error, socket.gaierror):
        return f"cannot listen on {address}: {error.strerror}; --host takes an address of this machine"
    if error.filename is not None or error.errno not in _ADVICE:
        return None
    return f"cannot listen on {address}: {os.strerror(error.errno).lower()}; {_ADVICE[error.errno]}"
