"""
Descriptor and media types: what a piece of content is called, how large it is and what it is.

Source: OCI image-spec 1.1, descriptor.md and media-types.md; Docker image manifest v2 schema 2.
"""

from typing import Annotated

import msgspec

from transfer.model.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_MEDIA_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_MEDIA_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_MEDIA_TYPES = IMAGE_MEDIA_TYPES | INDEX_MEDIA_TYPES

# Layers that registries do not store: their content lives at `urls` (Windows base layers).
_FOREIGN_MARKS = ("nondistributable", "docker.image.rootfs.foreign")

Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """The platform an index entry is for."""

    architecture: str
    os: str
    variant: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Content by media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: Size
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None
    urls: tuple[str, ...] | None = None

    def __hash__(self) -> int:
        return hash((self.digest, self.size, self.media_type))

    def end_of_range(self, offset: int, end: int | None) -> int:
        """
        Return the end of the bytes from `offset` on: `end`, or the content's own where none is given.

        Raises:
            ValueError: the range is not inside the content.
        """
        stop = self.size if end is None else end
        if not 0 <= offset <= stop <= self.size:
            raise ValueError(f"bytes {offset} to {stop} are not inside a blob of {self.size} bytes")
        return stop

    @property
    def is_manifest(self) -> bool:
        return self.media_type in MANIFEST_MEDIA_TYPES

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_MEDIA_TYPES

    @property
    def is_foreign(self) -> bool:
        return any(mark in self.media_type for mark in _FOREIGN_MARKS)

    @property
    def name(self) -> str:
        """The entry's `org.opencontainers.image.ref.name`, or an empty string."""
        return (self.annotations or {}).get("org.opencontainers.image.ref.name", "")
