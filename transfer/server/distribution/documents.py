"""
Validation of pushed manifests. Pure.

Of the four kinds of image manifest and index, the entries are read; anything else is kept as it is, under the type it
was declared as (distribution-spec 1.1 names no type that a registry must refuse).
"""

import re
from dataclasses import dataclass

import msgspec

from transfer.errors import InvalidManifest
from transfer.model.descriptor import MANIFEST_MEDIA_TYPES
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest
from transfer.server.distribution import errors

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w.+!#$&^-]{0,126}/[A-Za-z0-9][\w.+!#$&^-]{0,126}", re.ASCII)

# What clients that do not care send; it says nothing of a manifest.
_GENERAL = {"application/octet-stream", "application/json", "text/plain", "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that may be stored; `manifest` is None for one of a type that is not looked into."""

    raw: bytes
    media_type: str
    manifest: Manifest | None

    @property
    def contents(self) -> list[tuple[str, str]]:
        """The digest and media type of each blob and manifest that must be there."""
        entries = (*self.manifest.blobs, *self.manifest.manifests) if self.manifest else ()
        return [(entry.digest, entry.media_type) for entry in entries]

    @property
    def subject(self) -> Digest | None:
        return self.manifest.subject.digest if self.manifest and self.manifest.subject else None

    @property
    def config_media_type(self) -> str | None:
        return self.manifest.config.media_type if self.manifest and self.manifest.config else None


def read_pushed(raw: bytes, content_type: str | None) -> Pushed:
    """
    Read a manifest as it was sent, with its Content-Type.

    Raises:
        Refusal: MANIFEST_INVALID.
    """
    declared = (content_type or "").partition(";")[0].strip().lower()
    if declared in _GENERAL:
        declared = ""
    media_type = declared or _own_media_type(raw)
    if not media_type or media_type in MANIFEST_MEDIA_TYPES:
        try:
            manifest = parse_manifest(raw, media_type=declared or None)
        except InvalidManifest as error:
            raise errors.manifest_invalid(str(error)) from None
        return Pushed(raw, manifest.media_type, manifest)
    _check_opaque(raw, media_type)
    return Pushed(raw, media_type, None)


def _own_media_type(raw: bytes) -> str:
    try:
        members = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return ""
    found = members.get("mediaType") if isinstance(members, dict) else None
    return found if isinstance(found, str) else ""


def _check_opaque(raw: bytes, media_type: str) -> None:
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise errors.manifest_invalid(f"{media_type[:300]!r} is not a media type")
    own = _own_media_type(raw)
    if own and own != media_type:
        raise errors.manifest_invalid(f"it declares itself {own[:300]!r} but was declared as {media_type!r}")
    try:
        raw.decode()
    except ValueError:
        # The store is shared with an API whose manifests are JSON strings.
        raise errors.manifest_invalid("a manifest must be UTF-8 text") from None
