"""
The document of an archive that lists its images: `index.json` of an OCI layout, `manifest.json` of a docker archive.

It is the last member, replaced whenever an image is added. Pure functions over bytes. Sources: OCI image-spec 1.1,
image-layout.md; Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from transfer.errors import InvalidManifest
from transfer.local.archive.docker_documents import DOCKER_CONFIG, MANIFEST_FILE, read_images
from transfer.local.archive.tar import TarRefused
from transfer.local.layout.index import (
    EMPTY_INDEX,
    INDEX_FILE,
    LAYOUT_DOCUMENT,
    LAYOUT_FILE,
    check_layout,
    full_name,
    read_entries,
    with_manifest,
)
from transfer.local.layout.reader import blob_names
from transfer.model.descriptor import OCI_CONFIG, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError
from transfer.model.manifest import Manifest


class Catalogue(Protocol):
    """
    The kind of an archive.

    Attributes:
        file: the member that lists the images.
        empty: its content when there is none.
        others: further members, written once.
    """

    @property
    def file(self) -> str: ...

    @property
    def empty(self) -> bytes: ...

    @property
    def others(self) -> Mapping[str, bytes]: ...

    def check(self, read: Callable[[str], bytes | None]) -> bytes:
        """
        Return the content of `file` in an archive that is there.

        Raises:
            TarRefused, DocumentError: it is an archive of another kind.
        """

    def tagged(self, content: bytes, tag: str) -> Digest | None:
        """Return the digest under a tag, where the archive tells."""

    def with_image(self, content: bytes, manifest: Manifest, tag: str | None) -> bytes:
        """
        Return the content with one more manifest; a tag moves.

        Raises:
            DocumentError: it would become too large to be read.
            InvalidManifest: an archive of this kind cannot hold it.
        """


class OciCatalogue:
    """Images of an OCI layout."""

    file = INDEX_FILE
    empty = EMPTY_INDEX
    others: Mapping[str, bytes] = {LAYOUT_FILE: LAYOUT_DOCUMENT}

    def check(self, read: Callable[[str], bytes | None]) -> bytes:
        """Return index.json, after a look at the documents."""
        layout, index = (_required(read, name) for name in (LAYOUT_FILE, INDEX_FILE))
        check_layout(layout)
        read_entries(index)
        return index

    def tagged(self, content: bytes, tag: str) -> Digest | None:
        """Return the digest of the entry that has a name."""
        return next((entry.digest for entry in read_entries(content) if entry.name == tag), None)

    def with_image(self, content: bytes, manifest: Manifest, tag: str | None) -> bytes:
        """Return index.json with one more entry."""
        return with_manifest(content, manifest, tag)


class DockerCatalogue:
    """Images as `docker load` takes them: config and layers as they are, under names such as `app:v1`."""

    file = MANIFEST_FILE
    empty = b"[]"
    others: Mapping[str, bytes] = {}

    def check(self, read: Callable[[str], bytes | None]) -> bytes:
        """Return manifest.json."""
        content = _required(read, MANIFEST_FILE)
        read_images(content)
        if read(INDEX_FILE) is not None:
            raise TarRefused("it is an OCI layout too")
        return content

    def tagged(self, content: bytes, tag: str) -> None:  # noqa: ARG002 - the protocol's signature
        """Return nothing: a docker archive does not hold the digests of manifests."""
        return

    def with_image(self, content: bytes, manifest: Manifest, tag: str | None) -> bytes:
        """Return manifest.json with one more image."""
        config = _config_of(manifest)
        images = [_without(image, tag) for image in json.loads(content)]
        names = [_path(one) for one in (config, *manifest.layers)]
        same = next((one for one in images if (one["Config"], one["Layers"]) == (names[0], names[1:])), None)
        if same is None:
            same = {"Config": names[0], "RepoTags": None, "Layers": names[1:]}
            images.append(same)
        if tag is not None:
            same["RepoTags"] = [*(same["RepoTags"] or ()), tag]
        changed = json.dumps(images, separators=(",", ":")).encode()
        if len(changed) > MAX_DOCUMENT_BYTES:
            raise DocumentError(f"it would be {len(changed)} bytes, more than {MAX_DOCUMENT_BYTES}")
        return changed


def _required(read: Callable[[str], bytes | None], name: str) -> bytes:
    content = read(name)
    if content is None:
        raise TarRefused(f"it has no {name}")
    return content


def _config_of(manifest: Manifest) -> Descriptor:
    """Return the configuration of an image that a docker archive can hold."""
    name, config = f"manifest {manifest.digest}", manifest.config
    if config is None:
        reason = "it is an index, and a docker archive holds single images: choose one with --platform"
    elif config.media_type not in {OCI_CONFIG, DOCKER_CONFIG}:
        reason = (
            f"its config is {config.media_type!r}, and a docker archive holds container images: write an OCI archive"
        )
    elif manifest.foreign_layers:
        reason = "it has layers that lie elsewhere, as of Windows: write an OCI archive"
    else:
        return config
    raise InvalidManifest(f"{name}: {reason}", side="target")


def _path(blob: Descriptor) -> str:
    return "/".join(blob_names(blob.digest))


def _without(image: dict[str, Any], tag: str | None) -> dict[str, Any]:
    names = [name for name in image["RepoTags"] or () if tag is None or full_name(name) != full_name(tag)]
    return {**image, "RepoTags": names or None}
