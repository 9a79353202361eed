"""`transfer inspect`: what an image is made of, without its layers' content."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from transfer.cli.display.text import align, display, format_size, json_text
from transfer.cli.options.common import AwsOptions, access_options, aws_options
from transfer.cli.options.help import HelpCommand
from transfer.cli.with_engine import with_engine
from transfer.engine.graph import Graph
from transfer.engine.referrers import Inspected
from transfer.model.descriptor import Descriptor
from transfer.model.manifest import Manifest

if TYPE_CHECKING:
    from transfer.endpoints.registry_access import RegistryAccess

Row = tuple[str, str, str, str, str]


@click.command(cls=HelpCommand)
@click.argument("source")
@click.option("--raw", is_flag=True, help="Print the manifest itself, byte for byte.")
@click.option("--json", "as_json", is_flag=True, help="Print manifests, platforms, blobs and sizes as one document.")
@access_options("")
@aws_options
def inspect(*, source: str, raw: bool, as_json: bool, access: "RegistryAccess", aws: AwsOptions) -> None:
    """Show the manifests, platforms, layers and sizes of an image, and what refers to it.

    SOURCE is written as for transfer copy. A line for each manifest and blob: what it is, for which
    platform, digest, size, media type; and one for each referrer (a signature, an SBOM), with its
    artifact type. In JSON, referrers are null where the source cannot tell them.

    \b
    Examples:
      transfer inspect oci:build/image:v1
      transfer inspect "$REGISTRY/app:v1" --json | jq '.manifests[].platform'
      transfer inspect "$REGISTRY/app:v1" --json | jq -r '.referrers[]?.artifactType'
      transfer inspect --raw "$REGISTRY/app:v1" | sha256sum
    """
    found = with_engine(lambda engine: engine.inspect(source, access=access, referrers=not raw), aws)
    if raw:
        sys.stdout.buffer.write(found.graph.root.raw)
        sys.stdout.buffer.flush()
    elif as_json:
        click.echo(json_text(document(found)))
    else:
        for line in align(rows(found)):
            click.echo(line)


def rows(found: Inspected) -> Iterator[Row]:
    """Yield a row for each manifest and, below it, for each blob, what stands twice shown once; then the referrers."""
    platforms = _platforms(found.graph)
    shown: set[str] = set()
    for manifest in found.graph.manifests.values():
        yield _row("index" if manifest.descriptor.is_index else "image", manifest.descriptor, platforms)
        for kind, blob in _blobs(manifest):
            if blob.digest not in shown:
                shown.add(blob.digest)
                yield _row(kind, blob, platforms)
    for referrer in found.referrers or ():
        kind = referrer.artifact_type or referrer.media_type
        yield _row("referrer", msgspec.structs.replace(referrer, media_type=kind), platforms)


def document(found: Inspected) -> dict[str, Any]:
    """Return the image as one JSON document; sizes in bytes."""
    graph = found.graph
    platforms, blobs = _platforms(graph), list(graph.blobs())
    return {
        "digest": graph.root.digest,
        "mediaType": graph.root.media_type,
        "size": sum(blob.size for blob in blobs) + sum(len(one.raw) for one in graph.manifests.values()),
        "manifests": [
            {
                "digest": manifest.digest,
                "mediaType": manifest.media_type,
                "size": len(manifest.raw),
                "platform": platforms.get(manifest.digest),
                "blobs": [blob.digest for _, blob in _blobs(manifest)],
                "manifests": [child.digest for child in manifest.manifests],
                "subject": manifest.subject.digest if manifest.subject else None,
            }
            for manifest in graph.manifests.values()
        ],
        "blobs": [{"digest": blob.digest, "mediaType": blob.media_type, "size": blob.size} for blob in blobs],
        "referrers": found.referrers,
    }


def _platforms(graph: Graph) -> dict[str, str]:
    children = (child for manifest in graph.manifests.values() for child in manifest.manifests)
    return {child.digest: str(child.platform) for child in children if child.platform}


def _blobs(manifest: Manifest) -> Iterator[tuple[str, Descriptor]]:
    for blob in manifest.blobs:
        yield ("config" if blob == manifest.config else "layer"), blob


def _row(kind: str, descriptor: Descriptor, platforms: dict[str, str]) -> Row:
    size = format_size(descriptor.size).replace(" ", "")
    platform = platforms.get(descriptor.digest, "-")
    return kind, display(platform), descriptor.digest, size, display(descriptor.media_type)
