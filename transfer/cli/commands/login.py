"""`transfer login` and `transfer logout`: logins where docker keeps its own."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from transfer.cli.event_loop import run
from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.with_engine import with_engine
from transfer.errors import InvalidConfig, Unauthorized

if TYPE_CHECKING:
    from transfer.endpoints.registry_access import RegistryAccess

_LARGEST_PASSWORD = 64 * 1024


@click.command(cls=HelpCommand)
@click.argument("registry")
@click.option("-u", "--username", metavar="USER", help="The user; asked for on a terminal.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
@access_options("")
@aws_options
def login(
    *, registry: str, username: str | None, password_stdin: bool, access: "RegistryAccess", aws: AwsOptions
) -> None:
    """Try a login at a registry, and keep it where docker does.

    That is docker's configuration file, or the credential helper that it names. A registry of ECR
    needs none: AWS credentials are used there.

    \b
    Examples:
      transfer login registry.example
      printf %s "$TOKEN" | transfer login ghcr.io -u octocat --password-stdin
    """
    from dataclasses import replace

    from transfer.auth.credentials import parse_login
    from transfer.auth.keep import docker_file, keep_login
    from transfer.endpoints.locations import EcrLocation, locate_login

    location = locate_login(registry)
    if isinstance(location, EcrLocation):
        raise InvalidConfig(f"{registry}: a registry of ECR takes AWS credentials; see transfer login-check {registry}")
    text = f"{username or _asked('Username')}:{_password(password_stdin)}"
    found, tried = parse_login(text), replace(access, login=text)
    status = with_engine(lambda engine: engine.check_login(registry, access=tried), aws)
    if status.state != "ok":
        reason = status.detail or "the login was not tried"
        raise Unauthorized(f"login at {registry} as {found.username}: {reason}", status=401, code="UNAUTHORIZED")
    file = docker_file(os.environ, Path.home())
    where = run(lambda: keep_login(location.reference.registry, found, file), plain=True)
    click.echo(f"logged in at {registry} as {found.username}; kept by {where}", err=True)


@click.command()
@click.argument("registry")
def logout(*, registry: str) -> None:
    """Drop the login for a registry that docker's file, or its helper, has.

    \b
    Examples:
      transfer logout registry.example
    """
    from transfer.auth.keep import docker_file, drop_login
    from transfer.endpoints.locations import locate_login

    name = locate_login(registry).reference.registry
    file = docker_file(os.environ, Path.home())
    known = run(lambda: drop_login(name, file), plain=True)
    click.echo(f"logged out of {registry}" if known else f"{file} has no login for {registry}", err=True)


def _asked(what: str, *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("give --username USER and --password-stdin: there is no terminal to ask on")
    answer: str = click.prompt(what, hide_input=hidden, err=True)
    return answer


def _password(from_stdin: bool) -> str:  # noqa: FBT001 - the option
    if from_stdin:
        return sys.stdin.read(_LARGEST_PASSWORD).removesuffix("\n").removesuffix("\r")
    return _asked("Password", hidden=True)
