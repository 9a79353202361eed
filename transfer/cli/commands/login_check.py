"""`transfer login-check`: whether the credentials work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from transfer.cli.display.text import align, display, json_text
from transfer.cli.main import CREDENTIALS, DONE, FAILED
from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.with_engine import with_engine

if TYPE_CHECKING:
    from transfer.api import Engine
    from transfer.auth.login_status import LoginStatus
    from transfer.endpoints.registry_access import RegistryAccess


@click.command("login-check", cls=HelpCommand)
@click.argument("places", nargs=-1, required=True, metavar="REGISTRY|REPOSITORY...")
@click.option("--json", "as_json", is_flag=True, help="Print all that was found out as one document.")
@access_options("")
@aws_options
def login_check(*, places: tuple[str, ...], as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> int:
    """Check whether the credentials work, for which user, and where they were found.

    For each registry (HOST) or repository (HOST/REPOSITORY) one line: the state (ok, refused, missing,
    failed), the user, or the account at ECR, the source of the credentials, what was tried and
    allowed (login, pull), and when it ends. Nothing is moved. Reasons go to stderr.

    Ends with 4 if any is refused or missing, with 1 if one cannot be told, else with 0.

    \b
    Examples:
      transfer login-check docker.io registry.example/team/app
      transfer login-check 123456789012.dkr.ecr.us-east-1.amazonaws.com --profile dev --json
    """

    async def job(engine: "Engine") -> "list[LoginStatus]":
        return [await engine.check_login(place, access=access) for place in places]

    found = with_engine(job, aws)
    if as_json:
        click.echo(json_text([msgspec.to_builtins(one) for one in found]))
    else:
        for line in align(map(row, found)):
            click.echo(line)
    for status in found:
        if status.detail is not None:
            click.echo(f"transfer: {display(status.detail)}", err=True)
    return worst(found)


def row(status: "LoginStatus") -> Sequence[str]:
    """Return one registry or repository as columns."""
    place = f"{status.registry}/{status.repository}" if status.repository else status.registry
    ends = status.expires_at.isoformat(timespec="seconds") if status.expires_at else ""
    return place, status.state, status.user or "", status.source, status.permission or "", ends


def worst(found: "Sequence[LoginStatus]") -> int:
    """Return the exit code for all of them: credentials come before what cannot be told."""
    states = {status.state for status in found}
    if states & {"refused", "missing"}:
        return CREDENTIALS
    return FAILED if "failed" in states else DONE
