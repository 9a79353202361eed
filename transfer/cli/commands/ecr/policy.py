"""`transfer ecr policy`: who may do what with a repository."""

from typing import Any, TextIO

import click

from transfer.cli.commands.ecr.session import call, print_json, repository_scope
from transfer.cli.options.common import EcrOptions, ecr_options


@click.group()
def policy() -> None:
    """Read and change the permissions of a repository.

    \b
    Examples:
      transfer ecr policy get app >policy.json
      transfer ecr policy set app policy.json
      transfer ecr policy delete app
    """


@policy.command("get")
@click.argument("repo")
@ecr_options
def get(options: EcrOptions, *, repo: str) -> None:
    """Print the policy of a repository.

    \b
    Examples:
      transfer ecr policy get app
      transfer ecr policy get app | jq .Statement
    """
    answer = call(options, repository_scope(repo, options), "GetRepositoryPolicy")
    _show(options, answer, answer["policyText"])


@policy.command("set")
@click.argument("repo")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--force", is_flag=True, help="Also a policy that keeps you from changing it again.")
@ecr_options
def put(options: EcrOptions, *, repo: str, file: TextIO, force: bool) -> None:
    """Set the policy of a repository from FILE, or from stdin with -.

    \b
    Examples:
      transfer ecr policy set app policy.json
      jq .policy settings.json | transfer ecr policy set app -
    """
    try:
        text = file.read()
    except UnicodeDecodeError:
        raise click.UsageError(f"{file.name}: the policy is not UTF-8 text") from None
    scope = repository_scope(repo, options)
    answer = call(options, scope, "SetRepositoryPolicy", policyText=text, force=force or None)
    _show(options, answer, f"set the policy of {scope.repository}")


@policy.command("delete")
@click.argument("repo")
@ecr_options
def remove(options: EcrOptions, *, repo: str) -> None:
    """Delete the policy of a repository.

    \b
    Examples:
      transfer ecr policy delete app
    """
    scope = repository_scope(repo, options)
    answer = call(options, scope, "DeleteRepositoryPolicy")
    _show(options, answer, f"deleted the policy of {scope.repository}")


def _show(options: EcrOptions, answer: dict[str, Any], text: str) -> None:
    if options.as_json:
        print_json(answer)
    else:
        click.echo(text)
