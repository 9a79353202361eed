"""`transfer ecr create`, `repos`, `delete`: repositories of a registry."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from transfer.cli.commands.ecr.session import Scope, ask, batches, call, print_json, registry_scope, repository_scope
from transfer.cli.display.text import display
from transfer.cli.options.common import TAG, EcrOptions, ecr_options
from transfer.errors import InvalidReference

if TYPE_CHECKING:
    from transfer.registry.ecr.client import EcrClient

_MUTABILITY = ["MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"]


@click.command()
@click.argument("repo")
@click.option(
    "--image-tag-mutability",
    type=click.Choice(_MUTABILITY),
    help="Whether a tag can be moved to another image.",
)
@click.option("--immutable", is_flag=True, help="Short for --image-tag-mutability IMMUTABLE.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Tags the ..._WITH_EXCLUSION settings leave out, as in dev-*; repeatable.",
)
@click.option("--scan-on-push", is_flag=True, help="Scan each image when it arrives.")
@click.option(
    "--tag", "tags", type=TAG, multiple=True, metavar="KEY=VALUE", help="A resource tag of the repository; repeatable."
)
@ecr_options
def create(  # noqa: PLR0913 -- one argument for each option
    options: EcrOptions,
    *,
    repo: str,
    image_tag_mutability: str | None,
    immutable: bool,
    exclude: tuple[str, ...],
    scan_on_push: bool,
    tags: tuple[dict[str, str], ...],
) -> None:
    """Create a repository and print its URI.

    \b
    Examples:
      transfer ecr create app
      transfer ecr create team/app --immutable --tag team=web
      transfer ecr create app --image-tag-mutability IMMUTABLE_WITH_EXCLUSION --exclude 'dev-*'
    """
    if immutable and image_tag_mutability not in (None, "IMMUTABLE"):
        raise click.UsageError(f"--immutable and --image-tag-mutability {image_tag_mutability} exclude each other")
    answer = call(
        options,
        repository_scope(repo, options),
        "CreateRepository",
        imageTagMutability="IMMUTABLE" if immutable else image_tag_mutability,
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": tag} for tag in exclude] or None,
        imageScanningConfiguration={"scanOnPush": True} if scan_on_push else None,
        tags=list(tags) or None,
    )
    if options.as_json:
        print_json(answer)
    else:
        click.echo(display(answer["repository"]["repositoryUri"]))


@click.command()
@click.argument("repo", nargs=-1)
@ecr_options
def repos(options: EcrOptions, *, repo: tuple[str, ...]) -> None:
    """List repositories, all or those named, one URI a line.

    \b
    Examples:
      transfer ecr repos
      transfer ecr repos app team/app
      transfer ecr repos --json | jq '.repositories[].createdAt'
    """
    scope, names = _one_registry(repo, options)

    async def job(client: "EcrClient") -> list[dict[str, Any]]:
        requests = [scope.request(repositoryNames=batch) for batch in batches(names)] or [scope.request()]
        return [dict(item) for request in requests async for item in client.describe_repositories(**request)]

    found = ask(options, scope, job)
    if options.as_json:
        print_json({"repositories": found})
        return
    for repository in found:
        click.echo(display(repository["repositoryUri"]))


def _one_registry(repositories: tuple[str, ...], options: EcrOptions) -> tuple[Scope, list[str]]:
    """Return the registry that all the repositories are in, and their names."""
    scopes = [repository_scope(repository, options) for repository in repositories]
    registries = {replace(scope, repository=None) for scope in scopes} or {registry_scope(options)}
    if len(registries) > 1:
        raise InvalidReference("the repositories are in more than one registry; ask each registry for its own")
    return registries.pop(), [scope.repository for scope in scopes if scope.repository]


@click.command()
@click.argument("repo")
@click.option("--force", is_flag=True, help="Delete its images too.")
@ecr_options
def delete(options: EcrOptions, *, repo: str, force: bool) -> None:
    """Delete a repository, with its images by --force.

    \b
    Examples:
      transfer ecr delete app
      transfer ecr delete app --force
    """
    answer = call(options, repository_scope(repo, options), "DeleteRepository", force=force or None)
    if options.as_json:
        print_json(answer)
    else:
        click.echo(f"deleted {display(answer['repository']['repositoryUri'])}")
