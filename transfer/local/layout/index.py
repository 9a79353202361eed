"""
The documents of an OCI image layout: `oci-layout` and `index.json`, read strictly and changed entry by entry.

Source of the rules: OCI image-spec 1.1, image-layout.md and annotations.md. Pure functions over bytes.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from transfer.model.descriptor import OCI_INDEX, Descriptor
from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError, convert, load
from transfer.model.manifest import Manifest

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_VERSION = "1.0.0"
LAYOUT_DOCUMENT = json.dumps({"imageLayoutVersion": LAYOUT_VERSION}).encode()
EMPTY_INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()

REF_NAME = "org.opencontainers.image.ref.name"
# Written by containerd, BuildKit and docker save beside ref.name, which then holds the tag alone.
_CONTAINERD_NAME = "io.containerd.image.name"
_MOST_NAMES_SHOWN = 10
_DOCKER_HUB = "docker.io"


class _Layout(msgspec.Struct, frozen=True, rename="camel"):
    image_layout_version: str


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX


def check_layout(raw: bytes) -> None:
    """
    Refuse what is not the `oci-layout` of a version that can be used.

    Raises:
        DocumentError: it is malformed, or of another version.
    """
    found = convert(load(raw), _Layout).image_layout_version
    if found != LAYOUT_VERSION:
        raise DocumentError(f"it has version {found!r}, only {LAYOUT_VERSION} is known")


def read_entries(raw: bytes) -> tuple[Descriptor, ...]:
    """
    Return the entries of an `index.json`.

    Raises:
        DocumentError: it is malformed, or another kind of document.
    """
    return _entries(load(raw))


def _entries(document: dict[str, Any]) -> tuple[Descriptor, ...]:
    index = convert(document, _Index)
    if index.schema_version != 2:
        raise DocumentError(f"it has schemaVersion {index.schema_version}, only 2 is known")
    if index.media_type != OCI_INDEX:
        raise DocumentError(f"it declares itself {index.media_type!r}, not {OCI_INDEX!r}")
    return index.manifests


def with_manifest(raw: bytes, manifest: Manifest, tag: str | None) -> bytes:
    """
    Return the `index.json` after a manifest was stored, everything else in it as it was.

    A tag moves: its old entry goes. A manifest without a tag gets an entry without a name, unless it has one. An
    entry without a name goes as soon as its manifest gets a name, or an index is stored that names it: children come
    before their parents, and only what nothing else leads to needs an entry.

    Raises:
        DocumentError: `raw` is malformed, or another kind of document, or would become too large to be read.
    """
    document = load(raw)
    entries = _entries(document)
    reached = {child.digest for child in manifest.manifests} | ({manifest.digest} if tag is not None else set())
    kept = [
        member
        for member, entry in zip(document["manifests"], entries, strict=True)
        if not (entry.name == tag if names_of(entry) else entry.digest in reached)
    ]
    if tag is not None or all(entry.digest != manifest.digest for entry in entries):
        kept.append(_entry(manifest.descriptor, tag))
    changed = json.dumps({**document, "manifests": kept}, separators=(",", ":")).encode()
    if len(changed) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            f"with {len(kept)} entries it would be {len(changed)} bytes, more than {MAX_DOCUMENT_BYTES}"
        )
    return changed


def _entry(descriptor: Descriptor, tag: str | None) -> dict[str, Any]:
    # Names that the source had given it say nothing about this layout.
    entry = msgspec.structs.replace(descriptor, annotations={REF_NAME: tag} if tag else None, urls=None)
    members: dict[str, Any] = msgspec.to_builtins(entry, enc_hook=str)
    if entry.platform is not None:
        members["platform"] = {name: value for name, value in members["platform"].items() if value is not None}
    return members


def choose_entry(entries: Sequence[Descriptor], reference: str | None, how: str) -> Descriptor | str:
    """Return the entry that a reference means, or why there is not exactly one; `how` is the way to name one."""
    found = fitting(entries, reference)
    digests = {entry.digest for entry in found}
    if len(digests) == 1:
        chosen = found[0]
        return chosen if chosen.is_manifest else f"has {chosen.digest} as {chosen.media_type!r}, not an image"
    if not entries:
        return "names no image: write one into it"
    if found:
        what = f"{reference!r} for" if reference else "no single image but"
        return f"has {what} {len(digests)} different images ({_listed(found)}): {how}"
    return f"has no image {reference!r}, only {_listed(entries)}: {how}"


def fitting(entries: Sequence[Descriptor], reference: str | None) -> list[Descriptor]:
    """Return the entries that a reference means: by digest or whole name, as docker reads a name, or by the tag."""
    if reference is None:
        return list(entries)
    whole = full_name(reference)
    exact = [entry for entry in entries if reference in (entry.digest, *names_of(entry))]
    named = [entry for entry in entries if whole in map(full_name, filter(is_full_name, names_of(entry)))]
    ending = [entry for entry in entries if any(name.endswith(f":{reference}") for name in names_of(entry))]
    return exact or named or ending


def is_full_name(text: str) -> bool:
    """Return whether a name is one of a repository, and not a tag alone."""
    return ":" in text or "/" in text


def full_name(text: str) -> str:
    """Return a name as docker means it: `app` is `docker.io/library/app:latest`."""
    host, slash, path = text.partition("/")
    if not slash or not (set(host) & set(".:") or host == "localhost"):
        host, path = _DOCKER_HUB, text
    if host == _DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    text = f"{host}/{path}"
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"


def names_of(entry: Descriptor) -> tuple[str, ...]:
    """Return all names that an entry's annotations give it."""
    containerd = (entry.annotations or {}).get(_CONTAINERD_NAME, "")
    return tuple(filter(None, (entry.name, containerd)))


def _listed(entries: Sequence[Descriptor]) -> str:
    labels = [" ".join((*map(repr, names_of(entry)[:1]), entry.digest)) for entry in entries[:_MOST_NAMES_SHOWN]]
    more = len(entries) - len(labels)
    return ", ".join(labels) + (f" and {more} more" if more else "")
