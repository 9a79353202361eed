"""`transfer ecr images`, `rm`, `check`: images and layers of one repository."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from transfer.cli.commands.ecr.session import Scope, ask, batches, merge, print_json, repository_scope
from transfer.cli.display.text import align, display, format_size
from transfer.cli.options.common import EcrOptions, ecr_options
from transfer.model.digest import Digest

if TYPE_CHECKING:
    from transfer.registry.ecr.client import EcrClient


@click.command()
@click.argument("repo")
@click.option("--tagged/--untagged", default=None, help="Only images that have a tag, or only those that have none.")
@ecr_options
def images(options: EcrOptions, *, repo: str, tagged: bool | None) -> None:
    """List images: digest, tags, size, when it was pushed.

    \b
    Examples:
      transfer ecr images app
      transfer ecr images app --untagged --json | jq -r '.imageDetails[].imageDigest'
    """
    scope = repository_scope(repo, options)
    status = {None: None, True: {"tagStatus": "TAGGED"}, False: {"tagStatus": "UNTAGGED"}}[tagged]

    async def job(client: "EcrClient") -> list[dict[str, Any]]:
        return [dict(image) async for image in client.describe_images(**scope.request(filter=status))]

    found = ask(options, scope, job)
    if options.as_json:
        print_json({"imageDetails": found})
        return
    for line in align(image_row(image) for image in found):
        click.echo(line)


def image_row(image: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Digest, tags, size and time of one image of DescribeImages."""
    pushed = image.get("imagePushedAt")
    return (
        image["imageDigest"],
        ",".join(image.get("imageTags", ())),
        format_size(image["imageSizeInBytes"]).replace(" ", "") if "imageSizeInBytes" in image else "",
        pushed.isoformat(timespec="seconds") if pushed else "",
    )


@click.command()
@click.argument("repo")
@click.argument("images", nargs=-1, required=True, metavar="TAG|DIGEST...")
@ecr_options
@click.pass_context
def rm(context: click.Context, options: EcrOptions, *, repo: str, images: tuple[str, ...]) -> None:
    """Remove tags, or images by digest with all their tags.

    An image goes with its last tag. Ends with 1 when one of them could not be removed.

    \b
    Examples:
      transfer ecr rm app v1 v2
      transfer ecr rm app sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    scope = repository_scope(repo, options)
    ids = [image_id(image) for image in images]
    answer = _in_batches(options, scope, "BatchDeleteImage", "imageIds", ids, ("imageIds", "failures"))
    if options.as_json:
        print_json(answer)
    for removed in () if options.as_json else answer["imageIds"]:
        click.echo(f"removed {_name(removed)}")
    for failure in () if options.as_json else answer["failures"]:
        click.echo(f"not removed {_name(failure.get('imageId', {}))}: {_reason(failure)}", err=True)
    if answer["failures"]:
        context.exit(1)


def image_id(text: str) -> dict[str, str]:
    """
    Return the API's image id for a tag or a digest; a tag has no colon.

    Raises:
        InvalidDigest: it has a colon and is not a digest.
    """
    return {"imageDigest": Digest(text)} if ":" in text else {"imageTag": text}


def _name(image: Mapping[str, str]) -> str:
    return display(" ".join(filter(None, (image.get("imageTag"), image.get("imageDigest")))) or "-")


def _reason(failure: Mapping[str, str]) -> str:
    return display(f"{failure.get('failureCode', 'unknown')}: {failure.get('failureReason', 'no reason given')}")


@click.command()
@click.argument("repo")
@click.argument("digests", nargs=-1, required=True, metavar="DIGEST...")
@ecr_options
@click.pass_context
def check(context: click.Context, options: EcrOptions, *, repo: str, digests: tuple[str, ...]) -> None:
    """Ask which layers a repository has.

    A line for each digest: availability, size, media type.

    Ends with 1 when one of them is not available, so that a script can test for it.

    \b
    Examples:
      transfer ecr check app sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      jq -r '.layers[].digest' manifest.json | xargs transfer ecr check app
    """
    scope = repository_scope(repo, options)
    wanted = list(dict.fromkeys(map(Digest, digests)))
    lists = ("layers", "failures")
    answer = _in_batches(options, scope, "BatchCheckLayerAvailability", "layerDigests", wanted, lists)
    rows = availability_rows(wanted, answer)
    if options.as_json:
        print_json(answer)
    else:
        for line in align(rows):
            click.echo(line)
    if any(row[1] != "AVAILABLE" for row in rows):
        context.exit(1)


def availability_rows(
    wanted: list[Digest], answer: Mapping[str, list[dict[str, Any]]]
) -> list[tuple[str, str, str, str]]:
    """Return a row for each digest in the order asked for; one that the answer does not name is unavailable."""
    layers = {layer.get("layerDigest"): layer for layer in answer["layers"]}
    failures = {failure.get("layerDigest"): failure for failure in answer["failures"]}
    rows = []
    for digest in wanted:
        layer = layers.get(digest, {})
        status = layer.get("layerAvailability") or failures.get(digest, {}).get("failureCode") or "UNAVAILABLE"
        size = format_size(layer["layerSize"]).replace(" ", "") if layer.get("layerSize") is not None else ""
        rows.append((str(digest), status, size, layer.get("mediaType", "")))
    return rows


def _in_batches(
    options: EcrOptions,
    scope: Scope,
    operation: str,
    member: str,
    items: list[Any],
    lists: tuple[str, ...],
) -> dict[str, list[Any]]:
    async def job(client: "EcrClient") -> dict[str, list[Any]]:
        answers = [await client.call(operation, **scope.request(**{member: batch})) for batch in batches(items)]
        return merge(answers, *lists)

    return ask(options, scope, job)
