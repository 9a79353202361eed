"""`transfer pull`: one image onto this machine. Knows neither end; the engine opens both."""

import click

from transfer.cli.options.copy_options import CopyCommandOptions, copy_command_options, move


@click.command()
@click.argument("source")
@click.argument("target")
@copy_command_options
def pull(options: CopyCommandOptions, *, source: str, target: str) -> int:
    """Copy an image of a registry onto this machine.

    SOURCE is spelled as for transfer copy. TARGET is an OCI image layout, oci:DIR or oci:DIR:TAG, or an
    archive of one, oci-archive:FILE.tar:TAG. What has images keeps them, and a layer that is there is
    not fetched again.

    \b
    Examples:
      transfer pull alpine:3 oci:images:alpine
      transfer pull "$REGISTRY/app:v1" oci:images:app --platform linux/arm64
    """
    if not target.startswith(("oci:", "ocidir://", "oci-archive:")):
        raise click.UsageError(f"TARGET {target!r}: expected a layout or an archive, as in oci:DIR:TAG")
    return move(source, [target], options)
