"""`transfer push`, `copy`, `pull` and `append`: one image from a source to its targets."""

import click

from transfer.cli.options.copy_options import CopyCommandOptions, copy_command_options, move
from transfer.cli.options.help import HelpCommand, about_one_side


@click.command(cls=HelpCommand)
@click.argument("source")
@click.argument("target")
@click.option("--to", "more", multiple=True, metavar="TARGET", help="Another target, fed from the same read.")
@copy_command_options
def copy(options: CopyCommandOptions, *, source: str, target: str, more: tuple[str, ...]) -> int:
    """Copy an image from a source to one or more targets.

    SOURCE is an image of a registry (REGISTRY/REPOSITORY:TAG or @DIGEST; alpine is
    docker.io/library/alpine:latest), an OCI image layout (oci:DIR:TAG), an archive
    (oci-archive:PATH, docker-archive:PATH, - for a pipe), or an image of docker or podman
    (docker-daemon:NAME:TAG). TARGET is REGISTRY/REPOSITORY:TAG, with latest as the default tag, or
    one of the others. ECR's hosts are reached by the ECR API; write
    ecr://HOST/REPOSITORY:TAG to use it at any other host.

    Layers that the target has are not sent; those of other repositories of its registry are mounted.
    Run the same command again to continue a copy that was interrupted, inside each layer. The
    reference by digest is printed on stdout.

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


@about_one_side("dest")
@click.command(cls=HelpCommand)
@click.argument("source")
@click.argument("target")
@copy_command_options
def push(options: CopyCommandOptions, *, source: str, target: str) -> int:
    """Push an image from an OCI image layout into a registry.

    SOURCE is oci:DIR, oci:DIR:TAG or oci:DIR@DIGEST; a multi-platform index is pushed whole. TARGET is
    HOST/REPOSITORY:TAG, with latest as the default tag; HOST names account and region.

    Layers that the registry has are not sent. Run the same command again to continue a push that was
    interrupted, inside each layer. The reference by digest is printed on stdout, the rest on stderr.

    \b
    Examples:
      transfer push oci:build/image 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1
      transfer push oci:build/image:v1 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:v1 --create-repository
      digest=$(transfer push -q oci:build/image "$REGISTRY/app:v1")
      transfer push --progress json oci:build/image "$REGISTRY/app:v1" 2>events.jsonl
    """
    return move(source, [target], options)


@about_one_side("src")
@click.command(cls=HelpCommand)
@click.argument("source")
@click.argument("target")
@copy_command_options
def pull(options: CopyCommandOptions, *, source: str, target: str) -> int:
    """Pull an image of a registry to this machine.

    SOURCE is written as for transfer copy. TARGET is an OCI image layout, oci:DIR or oci:DIR:TAG, or an
    archive of one, oci-archive:FILE.tar:TAG. Images that it holds are kept, and layers that it
    has are not fetched again. docker-archive:FILE.tar:NAME:TAG is what docker load, podman load
    and kind load take; '-' is the same on the standard output; docker-daemon:NAME:TAG has the
    daemon of docker or podman load it. Of an index, these three take the image for this machine
    unless --platform names another.

    \b
    Examples:
      transfer pull alpine:3 oci:images:alpine
      transfer pull "$REGISTRY/app:v1" oci:images:app --platform linux/arm64
      transfer pull alpine:3 - | docker load
      transfer pull "$REGISTRY/app:v1" docker-archive:app.tar:app:v1
    """
    if target != "-" and not target.startswith(
        ("oci:", "ocidir://", "oci-archive:", "docker-archive:", "docker-daemon:")
    ):
        raise click.UsageError(f"TARGET {target!r}: expected a layout or an archive, as in oci:DIR:TAG")
    return move(source, [target], options)


@click.command(cls=HelpCommand)
@click.argument("base")
@click.argument("layers", nargs=-1, required=True)
@click.argument("target")
@copy_command_options
def append(options: CopyCommandOptions, *, base: str, layers: tuple[str, ...], target: str) -> int:
    """Append layers to an image, and push what comes of it.

    BASE and TARGET are written as for transfer copy. Each of LAYERS is a tar, plain or compressed
    with gzip or zstd, or a folder whose content goes to the image's root. The base's layers are
    mounted where the registry can, and never written to disk; configuration and history say what
    was appended. The same layers on the same base make the same digest. Of an index, layers are
    appended to the image for this machine unless --platform names another.

    \b
    Examples:
      transfer append alpine:3 app.tar.gz "$REGISTRY/app:v1" --create-repository
      transfer append "$REGISTRY/base:v1" build/root config.tar "$REGISTRY/app:v1" --platform linux/arm64
    """
    options.copy["append"] = layers
    return move(base, [target], options)
