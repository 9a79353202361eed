"""
The documents of a `docker save` archive, and the manifest that is made from them.

Source of the rules: the Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"
(manifest.json), and what `docker save` writes. Pure functions over bytes.
"""

import json
from collections.abc import Sequence

import msgspec

from transfer.compression import Compression
from transfer.errors import InvalidConfig
from transfer.local.layout.index import full_name
from transfer.model.descriptor import (
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
)
from transfer.model.digest import Digest
from transfer.model.document import DocumentError, convert, load, load_list
from transfer.model.manifest import MAX_ENTRIES

MANIFEST_FILE = "manifest.json"
UNCOMPRESSED_LAYERS = frozenset({OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar"})
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_MOST_NAMES_SHOWN = 10


class SavedImage(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of manifest.json: names of members, and the tags it was saved under; Go writes null for none."""

    config: str
    layers: tuple[str, ...] | None = None
    repo_tags: tuple[str, ...] | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        return self.repo_tags or ()

    @property
    def members(self) -> tuple[str, ...]:
        """The members that hold its layers."""
        return self.layers or ()


class _RootFs(msgspec.Struct, frozen=True):
    # Left out, or null, where there is no layer.
    diff_ids: tuple[Digest, ...] | None = None


class _Config(msgspec.Struct, frozen=True):
    rootfs: _RootFs


def read_images(raw: bytes) -> tuple[SavedImage, ...]:
    """
    Return the images of a manifest.json.

    Raises:
        DocumentError: it is malformed.
    """
    return convert(load_list(raw), tuple[SavedImage, ...])


def read_diff_ids(raw: bytes, *, layers: int) -> tuple[Digest, ...]:
    """
    Return the digests of an image's uncompressed layers, from its config.

    Raises:
        DocumentError: it is malformed, or has another number of them than the image has layers.
    """
    found = convert(load(raw), _Config).rootfs.diff_ids or ()
    if len(found) != layers or layers > MAX_ENTRIES:
        raise DocumentError(f"it has {len(found)} diff_ids for {layers} layers (at most {MAX_ENTRIES})")
    return found


def choose_image(images: Sequence[SavedImage], reference: str | None) -> SavedImage | str:
    """Return the image that a name or a tag means, or why there is not exactly one."""
    found = [image for image in images if reference is None or _is_named(image, reference)]
    if reference is not None and not found:
        found = [image for image in images if any(tag.endswith(f":{reference}") for tag in image.tags)]
    if len({image.config for image in found}) == 1:
        return found[0]
    how = "choose with docker-archive:PATH:NAME:TAG or by the image ID"
    if not images:
        return "names no image: save one into it"
    if found:
        what = f"{reference!r} for" if reference else "no single image but"
        return f"has {what} {len(found)} images ({_listed(found)}): {how}"
    return f"has no image {reference!r}, only {_listed(images)}: {how}"


def _is_named(image: SavedImage, reference: str) -> bool:
    return full_name(reference) in map(full_name, image.tags)


def _listed(images: Sequence[SavedImage]) -> str:
    labels = [repr((*image.tags, image.config)[0]) for image in images[:_MOST_NAMES_SHOWN]]
    more = len(images) - len(labels)
    return ", ".join(labels) + (f" and {more} more" if more else "")


def layer_media_type(compression: Compression, *, docker_types: bool) -> str:
    """
    Return the media type of a layer with this compression.

    Raises:
        InvalidConfig: Docker's media types have no name for zstd.
    """
    if compression == "zstd":
        if docker_types:
            raise InvalidConfig(
                "zstd layers with Docker's media types: they have no name for it; use OCI's", side="source"
            )
        return OCI_LAYER_ZSTD
    return DOCKER_LAYER_GZIP if docker_types else OCI_LAYER_GZIP


def make_manifest(config: Descriptor, layers: Sequence[Descriptor], *, docker_types: bool) -> bytes:
    """Return the manifest of an image: the same bytes for the same content, always."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker_types else OCI_MANIFEST,
        "config": msgspec.to_builtins(config, enc_hook=str),
        "layers": [msgspec.to_builtins(layer, enc_hook=str) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def describe_config(raw: bytes, *, docker_types: bool) -> Descriptor:
    """Descriptor of an image's config."""
    kind = DOCKER_CONFIG if docker_types else OCI_CONFIG
    return Descriptor(media_type=kind, digest=Digest.of(raw), size=len(raw))
