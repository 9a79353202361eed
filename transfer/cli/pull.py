"""`transfer pull`: one image onto this machine. Knows neither end; the engine opens both."""

import click

from transfer.cli.moving import MoveOptions, move, move_options


@click.command()
@click.argument("source")
@click.argument("target")
@move_options
def pull(options: MoveOptions, *, source: str, target: str) -> None:
    """Copy an image of a registry onto this machine.

    SOURCE is spelled as for transfer copy. TARGET is an OCI image layout, oci:DIR or oci:DIR:TAG; a
    folder that has images keeps them, and a layer that it has is not fetched again.

    \b
    Examples:
      transfer pull alpine:3 oci:images:alpine
      transfer pull "$REGISTRY/app:v1" oci:images:app --platform linux/arm64
    """
    if not target.startswith(("oci:", "ocidir://")):
        raise click.UsageError(f"TARGET {target!r}: expected an OCI image layout, as in oci:DIR:TAG")
    move(source, target, options)
