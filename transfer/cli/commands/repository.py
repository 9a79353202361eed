"""`transfer tags` and `transfer delete`: what a repository holds."""

from typing import TYPE_CHECKING

import click
import msgspec

from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.with_engine import with_engine

if TYPE_CHECKING:
    from transfer.api import Engine
    from transfer.endpoints.registry_access import RegistryAccess


@click.command()
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
        click.echo(msgspec.json.encode({"repository": repository, "tags": found}).decode())
    for tag in () if as_json else found:
        click.echo(tag)


@click.command()
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as one document.")
@access_options("")
@aws_options
def delete(*, reference: str, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """Delete a tag, or an image by digest with all its tags.

    REFERENCE must name a tag or a digest. An image of ECR goes with its last tag.

    \b
    Examples:
      transfer delete "$REGISTRY/app:v1"
      transfer delete "$REGISTRY/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    """
    with_engine(lambda engine: engine.delete(reference, access=access), aws)
    click.echo(msgspec.json.encode({"deleted": reference}).decode() if as_json else reference)
