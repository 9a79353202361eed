"""`transfer push`: one image from this machine into a registry. Knows neither end; the engine opens both."""

import click

from transfer.cli.options.copy_options import CopyCommandOptions, copy_command_options, move


@click.command()
@click.argument("source")
@click.argument("target")
@copy_command_options
def push(options: CopyCommandOptions, *, source: str, target: str) -> int:
    """Push an image from an OCI image layout into a registry.

    SOURCE is oci:DIR, oci:DIR:TAG or oci:DIR@DIGEST; a multi-platform index is pushed whole. TARGET is
    HOST/REPOSITORY:TAG, the tag being latest if it is left out; HOST names account and region.

    What the registry has is not sent. A push that was killed, run again, continues inside each
    layer. The reference by digest is printed on stdout, all else on stderr.

    \b
    Examples:
      transfer push oci:build/image 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1
      transfer push oci:build/image:v1 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1 --create-repository
      digest=$(transfer push -q oci:build/image "$REGISTRY/app:v1")
      transfer push --progress json oci:build/image "$REGISTRY/app:v1" 2>events.jsonl
    """
    return move(source, [target], options)
