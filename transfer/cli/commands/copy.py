"""`transfer copy`: one image from one end to another. Knows neither end; the engine opens both."""

import click

from transfer.cli.options.copy_options import CopyCommandOptions, copy_command_options, move


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--to", "more", multiple=True, metavar="TARGET", help="Another target, fed from the same read.")
@copy_command_options
def copy(options: CopyCommandOptions, *, source: str, target: str, more: tuple[str, ...]) -> int:
    """Copy an image from one end to another, streaming.

    SOURCE is an image of a registry (REGISTRY/REPOSITORY:TAG or @DIGEST; alpine is
    docker.io/library/alpine:latest), an OCI image layout (oci:DIR:TAG), or an archive
    (oci-archive:PATH, docker-archive:PATH, - for a pipe). TARGET is REGISTRY/REPOSITORY:TAG, the
    tag being latest if it is left out, or oci:DIR:TAG. A host of ECR is reached by the ECR API, any
    other one too where it is spelled ecr://HOST/REPOSITORY:TAG.

    What the target has is not sent; what another repository of its registry has is mounted.
    A copy that was killed, run again, continues inside each layer. The reference by digest is
    printed on stdout.

    \b
    Examples:
      transfer copy alpine:3 "$REGISTRY/alpine:3" --create-repository
      transfer cp registry.example/app:v1 other.example/app:v1 --dest-creds USER:PASSWORD
      transfer copy "$REGISTRY/app:v1" oci:out:v1
      transfer copy "$REGISTRY/app:v1" ecr://127.0.0.1:5000/app:v1 --create-repository
      transfer copy "$REGISTRY/app:v1" "$REGISTRY/app:arm" --platform linux/arm64
      transfer copy "$REGISTRY/app:v1" other.example/app:v1 --to third.example/app:v1 --referrers
    """
    return move(source, [target, *more], options)
