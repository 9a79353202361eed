"""
Manifest: an image manifest or an index, with the exact bytes it came as.

The bytes are never encoded again, so the digest stays what it was. Rules: OCI image-spec 1.1, manifest.md and
image-index.md; the ambiguity rule is CVE-2021-41190.
"""

from collections.abc import Sequence

import msgspec

from transfer.errors import InvalidManifest
from transfer.model.descriptor import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    IMAGE_MEDIA_TYPES,
    INDEX_MEDIA_TYPES,
    MANIFEST_MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from transfer.model.digest import Digest
from transfer.model.document import DocumentError, convert, load

# More than any builder writes; a manifest of 4 MiB could name 30 000 and make as many requests.
MAX_ENTRIES = 5_000


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 0
    media_type: str | None = None
    config: Descriptor | None = None
    # Go writes null for a list of nothing, as in an image from scratch.
    layers: tuple[Descriptor, ...] | msgspec.UnsetType | None = msgspec.UNSET
    manifests: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None


class Manifest(msgspec.Struct, frozen=True):
    """
    An image manifest or an index.

    Attributes:
        descriptor: media type, digest and size of `raw`.
        raw: the document, byte for byte as received.
        config: an image's configuration blob; None for an index.
        layers: an image's layers, in order, as often as they are named.
        manifests: an index's children.
        subject: the manifest that this one refers to.
    """

    descriptor: Descriptor
    raw: bytes
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def media_type(self) -> str:
        return self.descriptor.media_type

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers that a registry must hold, each digest once, foreign layers left out."""
        named = ((self.config,) if self.config else ()) + self.layers
        unique = {blob.digest: blob for blob in named if not blob.is_foreign}
        return tuple(unique.values())

    @property
    def foreign_layers(self) -> tuple[Descriptor, ...]:
        """Layers that a registry need not hold, since their content lives at their `urls`; each digest once."""
        return tuple({layer.digest: layer for layer in self.layers if layer.is_foreign}.values())


def parse_manifest(raw: bytes, expected: Descriptor | None = None, *, media_type: str | None = None) -> Manifest:
    """
    Read a manifest, checked against the descriptor it was fetched by.

    Args:
        raw: the document as received.
        expected: what it must be: digest, size and media type.
        media_type: what a registry declared it as, where there is no descriptor.

    Raises:
        InvalidManifest: it is too large, ambiguous, of an unknown kind, or not what `expected` says.
    """
    digest = Digest.of(raw, expected.digest.algorithm if expected else "sha256")
    name = expected.digest if expected else digest
    if expected is not None and (len(raw) != expected.size or digest != expected.digest):
        raise InvalidManifest(
            f"manifest {name}: expected {expected.size} bytes, found {len(raw)} bytes with digest {digest}"
        )
    try:
        document = convert(load(raw), _Document)
        kind = _kind(document, expected.media_type if expected else media_type)
        _check_sizes(document)
    except DocumentError as error:
        raise InvalidManifest(f"manifest {name}: {error}") from None
    return Manifest(
        descriptor=expected or Descriptor(media_type=kind, digest=digest, size=len(raw)),
        raw=raw,
        config=document.config,
        layers=document.layers or (),
        manifests=document.manifests or (),
        subject=document.subject,
    )


def index_of(entries: Sequence[Descriptor]) -> Manifest:
    """Return an index of these entries, which is stored nowhere."""
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return parse_manifest(msgspec.json.encode(document, enc_hook=str))


def as_referrer(manifest: Manifest) -> Descriptor:
    """
    Return the descriptor by which a list of referrers names a manifest: with its artifact type and its annotations.

    Source: distribution-spec 1.1, "Listing Referrers": an image without an artifactType is of its config's type.
    """
    members = load(manifest.raw)
    kind, notes = members.get("artifactType"), members.get("annotations")
    if not (isinstance(kind, str) and kind):
        kind = manifest.config.media_type if manifest.config else None
    pairs = notes.items() if isinstance(notes, dict) else ()
    return Descriptor(
        media_type=manifest.media_type,
        digest=manifest.digest,
        size=len(manifest.raw),
        artifact_type=kind,
        annotations={name: note for name, note in pairs if isinstance(note, str)} or None,
    )


def _kind(document: _Document, declared: str | None) -> str:
    """Return the document's media type, from what it says, what it was declared as, and what it holds."""
    if document.schema_version != 2:
        raise DocumentError(f"schemaVersion is {document.schema_version}, only 2 can be transferred")
    if document.media_type and declared and document.media_type != declared:
        raise DocumentError(f"it declares itself {document.media_type!r} but was declared as {declared!r}")
    is_index = document.manifests is not None
    if is_index and (document.layers is not msgspec.UNSET or document.config is not None):
        raise DocumentError("it is ambiguous: it has both manifests and layers or config")
    if not is_index and (document.layers is msgspec.UNSET or document.config is None):
        raise DocumentError("it has neither manifests nor config and layers")
    kind = document.media_type or declared or (OCI_INDEX if is_index else OCI_MANIFEST)
    if kind not in MANIFEST_MEDIA_TYPES:
        known = ", ".join(sorted((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)))
        raise DocumentError(f"media type {kind!r} is none of {known}")
    if kind not in (INDEX_MEDIA_TYPES if is_index else IMAGE_MEDIA_TYPES):
        raise DocumentError(f"it is {'an index' if is_index else 'an image'} but its media type is {kind!r}")
    return kind


def _check_sizes(document: _Document) -> None:
    entries = (document.layers or ()) + (document.manifests or ())
    if len(entries) > MAX_ENTRIES:
        raise DocumentError(f"it has {len(entries)} entries, more than {MAX_ENTRIES}")
    sizes: dict[Digest, int] = {}
    for entry in entries + ((document.config,) if document.config else ()):
        if sizes.setdefault(entry.digest, entry.size) != entry.size:
            raise DocumentError(f"{entry.digest} occurs with two sizes")
