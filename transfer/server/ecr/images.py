"""PutImage: what may be pushed, and what it does to the tags."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from transfer.errors import InvalidManifest
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest
from transfer.server.ecr import refusals
from transfer.server.ecr.requests import PutImage
from transfer.server.ecr.session import Session
from transfer.server.errors import invalid_parameter
from transfer.server.store import blobs, images
from transfer.server.store.images import StoredImage
from transfer.server.store.repositories import Repository

# Undocumented; measured by nuonco/nuon#2348 and spinframework/spin#1787.
_MAX_LAYERS = 500


class _MediaType(msgspec.Struct):
    mediaType: str | None = None  # noqa: N815  # the document's own name


def put_image(session: Session, request: PutImage) -> dict[str, Any]:
    repository = session.repository(request)
    account = session.settings.account
    digest = Digest.of(request.image_manifest.encode())
    if request.image_digest not in (None, digest):
        raise refusals.digest_mismatch(str(request.image_digest), repository.name, account)
    manifest = _parse(request)
    known = images.find(session.connection, repository.id, digest)
    _check_tag(session, repository, request.image_tag, digest, is_known=known is not None)
    if known is None:
        size = _check_contents(session, repository, manifest)
        _store(session, repository, manifest, size)
    if request.image_tag is not None:
        images.set_tag(session.connection, repository.id, request.image_tag, digest)
    media_type = known.media_type if known else manifest.media_type
    return {"image": shown(account, repository.name, digest, request.image_tag, manifest.raw, media_type)}


def shown(registry: str, name: str, digest: str, tag: str | None, manifest: bytes, media_type: str) -> dict[str, Any]:
    """Return an image as PutImage and BatchGetImage answer it."""
    return {
        "registryId": registry,
        "repositoryName": name,
        "imageId": {"imageDigest": digest} | ({"imageTag": tag} if tag else {}),
        "imageManifest": manifest.decode(),
        "imageManifestMediaType": media_type,
    }


def _parse(request: PutImage) -> Manifest:
    raw = request.image_manifest.encode()
    try:
        manifest = parse_manifest(raw, media_type=request.image_manifest_media_type)
    except InvalidManifest:
        # ECR's one answer to anything that its parser dislikes.
        raise invalid_parameter("ImageManifest", "Invalid JSON syntax") from None
    if request.image_manifest_media_type is None and msgspec.json.decode(raw, type=_MediaType).mediaType is None:
        wanted = "must be specified when the image manifest does not contain the mediaType field"
        raise invalid_parameter("imageManifestMediaType", wanted)
    if len(manifest.layers) > _MAX_LAYERS:
        raise invalid_parameter("ImageManifest", "Limit on number of layers per image exceeded")
    return manifest


def _check_tag(session: Session, repository: Repository, tag: str | None, digest: Digest, *, is_known: bool) -> None:
    if tag is None:
        if is_known:
            raise refusals.image_exists(digest, None, repository.name, session.settings.account)
        return
    current = images.tagged(session.connection, repository.id, tag)
    if current == digest:
        # Also where the tag is immutable: aws/aws-sdk#750 saw this one, aws/containers-roadmap#2179 the other.
        raise refusals.image_exists(digest, tag, repository.name, session.settings.account)
    if current is not None and is_immutable(repository.settings, tag):
        raise refusals.tag_immutable(tag, repository.name)


def _check_contents(session: Session, repository: Repository, manifest: Manifest) -> int:
    """Return all that the manifest names must be in this repository; the size of it is the image's."""
    connection, account = session.connection, session.settings.account
    if manifest.descriptor.is_index:
        children = dict.fromkeys(child.digest for child in manifest.manifests)
        held = images.sizes(connection, repository.id, children)
        if missing := [child for child in children if child not in held]:
            raise refusals.images_missing(missing, repository.name, account)
        # Service model: for a list "this will be the max size of all manifests in the list".
        return max(held.values(), default=0)
    named = [blob.digest for blob in manifest.blobs]
    held = blobs.sizes(connection, repository.id, named)
    if missing := [digest for digest in named if digest not in held]:
        raise refusals.layers_missing(missing, repository.name, account)
    return sum(held.values())


def _store(session: Session, repository: Repository, manifest: Manifest, size: int) -> None:
    image = StoredImage(
        digest=manifest.digest,
        manifest=manifest.raw,
        media_type=manifest.media_type,
        artifact_media_type=manifest.config.media_type if manifest.config else None,
        subject=manifest.subject.digest if manifest.subject else None,
        size=size,
        pushed=session.now,
    )
    contents = [(entry.digest, entry.media_type) for entry in (*manifest.blobs, *manifest.manifests)]
    images.add(session.connection, repository.id, image, contents)


def matches(wildcard: str, tag: str) -> bool:
    """Return whether a tag is of a wildcard's kind."""
    # A filter's alphabet has no other character that fnmatch takes for special.
    return fnmatchcase(tag, wildcard)


def is_immutable(settings: Mapping[str, Any], tag: str) -> bool:
    """Return whether a repository with these settings keeps a tag where it is."""
    filters = settings.get("imageTagMutabilityExclusionFilters", ())
    excluded = any(matches(item["filter"], tag) for item in filters)
    return bool(settings["imageTagMutability"].startswith("IMMUTABLE")) != excluded
