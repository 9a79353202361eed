"""`transfer digest` and `transfer repos`: small questions to a registry."""

from typing import TYPE_CHECKING

import click

from transfer.cli.display.text import json_text
from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.with_engine import with_engine
from transfer.errors import TransferError

if TYPE_CHECKING:
    from transfer.api import Engine
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.model.digest import Digest


@click.command(cls=HelpCommand)
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print the reference and the digest as one document.")
@access_options("")
@aws_options
def digest(*, source: str, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """Print the digest of an image.

    SOURCE is written as for transfer copy. A tag is asked for by HEAD, which Docker Hub does not
    count as a pull.

    \b
    Examples:
      transfer digest alpine:3
      transfer digest oci:build/image:v1
      docker run "$REGISTRY/app@$(transfer digest "$REGISTRY/app:v1")"
    """
    found = with_engine(lambda engine: _digest(engine, source, access), aws)
    click.echo(json_text({"source": source, "digest": found}, indented=False) if as_json else found)


async def _digest(engine: "Engine", source: str, access: "RegistryAccess") -> "Digest":
    from msgspec.structs import replace

    from transfer.endpoints.locations import RemoteLocation, locate_source

    location = locate_source(source)
    tag = location.reference.tag if isinstance(location, RemoteLocation) and not location.reference.digest else None
    if tag is not None and isinstance(location, RemoteLocation):
        repository = str(replace(location.reference, tag=None))
        prefix = "ecr://" if source.startswith("ecr://") else ""
        found = (await engine.digests(f"{prefix}{repository}", [tag], access=access)).get(tag)
        if isinstance(found, TransferError):
            raise found
        if found is not None:
            return found
    # A local image, a digest, or what is to be told as missing.
    return (await engine.inspect(source, access=access, referrers=False)).graph.root.digest


@click.command(cls=HelpCommand)
@click.argument("registry")
@click.option("--json", "as_json", is_flag=True, help="Print the registry and its repositories as one document.")
@access_options("")
@aws_options
def repos(*, registry: str, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """List the repositories of a registry, one a line.

    Many hosted registries list none; ECR lists those of the account.

    \b
    Examples:
      transfer repos registry.example:5000
      transfer repos 123456789012.dkr.ecr.us-east-1.amazonaws.com --json | jq -r '.repositories[]'
    """

    async def job(engine: "Engine") -> list[str]:
        return [name async for name in engine.repositories(registry, access=access)]

    found = with_engine(job, aws)
    if as_json:
        click.echo(json_text({"registry": registry, "repositories": found}, indented=False))
    for name in () if as_json else found:
        click.echo(name)
