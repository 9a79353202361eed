"""`transfer copy`: one image from one end to another. Knows neither end; the engine opens both."""

import click

from transfer.cli.moving import MoveOptions, move, move_options


@click.command()
@click.argument("source")
@click.argument("target")
@move_options
def copy(options: MoveOptions, *, source: str, target: str) -> None:
    """Copy an image into a registry, streaming.

    SOURCE is HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST in ECR, or an OCI image layout as for
    transfer push. TARGET is HOST/REPOSITORY:TAG, the tag being latest if it is left out.

    What the registry has is not sent. Nothing is written to disk. A copy that was killed, run
    again, continues inside each layer. The reference by digest is printed on stdout.

    \b
    Examples:
      transfer copy "$REGISTRY/app:v1" "$REGISTRY/app:stable"
      transfer cp 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1 \\
                  123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1 --create-repository
    """
    move(source, target, options)
