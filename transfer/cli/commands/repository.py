"""`transfer tags` and `transfer delete`: what a repository holds."""

import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from transfer.cli.display.text import display, json_text
from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.with_engine import with_engine
from transfer.errors import RegistryError, TransferError
from transfer.http.messages import deletes_no_tags

if TYPE_CHECKING:
    from transfer.api import Engine
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.model.digest import Digest


@click.command(cls=HelpCommand)
@click.argument("repository")
@click.option("--json", "as_json", is_flag=True, help="Print the repository and its tags as one document.")
@access_options("")
@aws_options
def tags(*, repository: str, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """List the tags of a repository, one a line.

    \b
    Examples:
      transfer tags 123456789012.dkr.ecr.us-east-1.amazonaws.com/app
      transfer tags "$REGISTRY/app" --json | jq -r '.tags[]'
    """

    async def job(engine: "Engine") -> list[str]:
        return [tag async for tag in engine.tags(repository, access=access)]

    found = with_engine(job, aws)
    if as_json:
        click.echo(json_text({"repository": repository, "tags": found}, indented=False))
    for tag in () if as_json else found:
        click.echo(tag)


@click.command(cls=HelpCommand)
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Delete other tags too, where a registry cannot delete one alone.")
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as one document.")
@access_options("")
@aws_options
def delete(*, reference: str, yes: bool, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """Delete a tag, or an image by digest with all its tags.

    REFERENCE must name a tag or a digest. An image of ECR goes with its last tag. Registries such
    as docker-registry delete by digest alone: other tags of the same image go too, and are named
    before anything is deleted.

    \b
    Examples:
      transfer delete "$REGISTRY/app:v1"
      transfer delete registry.example/app:v1 --yes
      transfer delete "$REGISTRY/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    """
    left = with_engine(lambda engine: _delete(engine, reference, access), aws)
    if left is not None:
        _confirm(reference, left, yes=yes)
        repository = reference.rpartition(":")[0]
        with_engine(lambda engine: engine.delete(f"{repository}@{left.digest}", access=access), aws)
    others = list(left.others) if left else []
    if as_json:
        click.echo(json_text({"deleted": reference, **({"also": others} if others else {})}, indented=False))
    else:
        click.echo("\n".join([reference, *(f"{reference.rpartition(':')[0]}:{tag}" for tag in others)]))


class _Left(NamedTuple):
    """What a tag holds that its registry does not delete, and the other tags that hold it."""

    digest: "Digest"
    others: tuple[str, ...]


async def _delete(engine: "Engine", reference: str, access: "RegistryAccess") -> _Left | None:
    try:
        await engine.delete(reference, access=access)
    except RegistryError as error:
        if not deletes_no_tags(error) or "@" in reference:
            raise
        repository, _, tag = reference.rpartition(":")
        names = [name async for name in engine.tags(repository, access=access)]
        found = await engine.digests(repository, [*names, tag], access=access)
        digest = found.get(tag)
        if digest is None or isinstance(digest, TransferError):
            raise digest or error from None
        return _Left(digest, tuple(name for name in names if name != tag and found.get(name) == digest))
    return None


def _confirm(reference: str, left: _Left, *, yes: bool) -> None:
    if not left.others or yes:
        return
    tags = ", ".join(map(display, left.others))
    question = f"{reference}: its registry deletes by digest alone, so these tags would go too: {tags}"
    if not sys.stdin.isatty():
        raise click.ClickException(f"{question}; give --yes to delete all of them")
    click.confirm(f"{question}. Delete all of them?", abort=True, err=True)
