"""Reading and deleting images: BatchGetImage, DescribeImages, ListImages, BatchDeleteImage."""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import msgspec

from transfer.server.ecr import refusals
from transfer.server.ecr.images import shown
from transfer.server.ecr.requests import (
    DIGEST_PATTERN,
    TAG_PATTERN,
    BatchDeleteImage,
    BatchGetImage,
    DescribeImages,
    ImageFilter,
    ImageId,
    ListImageReferrers,
    ListImages,
    ReferrersFilter,
)
from transfer.server.ecr.session import Session, cut, page_size
from transfer.server.errors import invalid_parameter
from transfer.server.referrers import descriptor
from transfer.server.store import images
from transfer.server.store.images import StoredImage
from transfer.server.store.repositories import Repository


class _Failure(Exception):
    """One item of a batch that failed, in the API's word for it; never leaves this module."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def batch_get_image(session: Session, request: BatchGetImage) -> dict[str, Any]:
    repository = session.repository(request)

    def get(item: ImageId) -> list[dict[str, Any]]:
        image = _find(session, repository, item)
        # ECR may convert for a tag, never for a digest (user guide, "Container image manifest format support"); this
        # registry converts nothing, so what a tag's reader cannot take is not there.
        if (
            item.image_digest is None
            and request.accepted_media_types
            and image.media_type not in request.accepted_media_types
        ):
            raise _not_found()
        account = session.settings.account
        return [shown(account, repository.name, image.digest, item.image_tag, image.manifest, image.media_type)]

    found, failures = _each(request.image_ids, get)
    return {"images": found, "failures": failures}


def batch_delete_image(session: Session, request: BatchDeleteImage) -> dict[str, Any]:
    repository = session.repository(request)
    deleted, failures = _each(request.image_ids, lambda item: _delete(session, repository, item))
    return {"imageIds": deleted, "failures": failures}


def describe_images(session: Session, request: DescribeImages) -> dict[str, Any]:
    repository = session.repository(request)
    wanted = request.filter or ImageFilter()
    if request.image_ids is not None:
        if request.max_results is not None or request.next_token is not None:
            used = "maxResults" if request.max_results is not None else "nextToken"
            raise invalid_parameter(used, "This option cannot be used when you specify images with imageIds")
        found = {image.digest: image for image in (_named(session, repository, item) for item in request.image_ids)}
        details = [_detail(session, repository, image) for image in found.values()]
        return {"imageDetails": [detail for detail in details if _passes(detail, wanted)]}
    scope = ("DescribeImages", repository.name, wanted.tag_status, wanted.image_status)
    (after,) = session.start(scope, request.next_token, [""])
    if not _active(wanted):
        return {"imageDetails": []}
    size = page_size(request.max_results)
    entries, more = cut(images.page(session.connection, repository.id, wanted.tag_status, after, size + 1), size)
    answer: dict[str, Any] = {"imageDetails": [_detail(session, repository, image) for image in entries]}
    return answer | ({"nextToken": session.next_token(scope, [entries[-1].digest])} if more else {})


def list_images(session: Session, request: ListImages) -> dict[str, Any]:
    repository = session.repository(request)
    wanted = request.filter or ImageFilter()
    scope = ("ListImages", repository.name, wanted.tag_status, wanted.image_status)
    after = session.start(scope, request.next_token, ["", ""])
    if not _active(wanted):
        return {"imageIds": []}
    size = page_size(request.max_results)
    names = images.page_of_names(session.connection, repository.id, wanted.tag_status, after, size + 1)
    entries, more = cut(names, size)
    answer: dict[str, Any] = {"imageIds": [_image_id(digest, tag) for digest, tag in entries]}
    return answer | ({"nextToken": session.next_token(scope, entries[-1])} if more else {})


def _each(
    items: Iterable[ImageId], work: Callable[[ImageId], list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Do each item of a batch; those that fail become entries of their own."""
    done: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for item in items:
        try:
            done += work(item)
        except _Failure as failure:
            named = msgspec.to_builtins(item)
            failures.append({"imageId": named, "failureCode": failure.code, "failureReason": failure.reason})
    return done, failures


def _find(session: Session, repository: Repository, item: ImageId) -> StoredImage:
    if item.image_digest is None and item.image_tag is None:
        raise _invalid("MissingDigestAndTag", "both tag and digest cannot be null")
    if item.image_digest is not None and not re.fullmatch(DIGEST_PATTERN, item.image_digest):
        raise _invalid("InvalidImageDigest", f"image digest should satisfy the regex '{DIGEST_PATTERN}'")
    if item.image_tag is not None and not re.fullmatch(TAG_PATTERN, item.image_tag):
        raise _invalid("InvalidImageTag", f"image tag should satisfy the regex '{TAG_PATTERN}'")
    digest = item.image_digest
    if item.image_tag is not None:
        tagged = images.tagged(session.connection, repository.id, item.image_tag)
        if tagged is None:
            raise _not_found()
        if digest not in (None, tagged):
            raise _Failure("ImageTagDoesNotMatchDigest", "The image tag does not match the image digest")
        digest = tagged
    image = images.find(session.connection, repository.id, str(digest))
    if image is None:
        raise _not_found()
    return image


def _named(session: Session, repository: Repository, item: ImageId) -> StoredImage:
    """As `_find`, where one image that is not there fails the whole call."""
    try:
        return _find(session, repository, item)
    except _Failure as failure:
        if failure.code in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
            account = session.settings.account
            raise refusals.image_not_found(item.image_digest, item.image_tag, repository.name, account) from None
        raise invalid_parameter("imageIds", failure.reason) from None


def _delete(session: Session, repository: Repository, item: ImageId) -> list[dict[str, Any]]:
    """Delete a tag, and with the last one the image; or by digest, the image with all its tags."""
    image = _find(session, repository, item)
    tags = images.tags_of(session.connection, repository.id, image.digest)
    if item.image_tag is not None and tags != [item.image_tag]:
        images.remove_tag(session.connection, repository.id, item.image_tag)
        return [_image_id(image.digest, item.image_tag)]
    if parents := images.naming(session.connection, repository.id, image.digest):
        reason = f"Requested image referenced by manifest list: [{', '.join(parents)}]"
        raise _Failure("ImageReferencedByManifestList", reason)
    images.delete(session.connection, repository.id, image.digest)
    return [_image_id(image.digest, tag) for tag in tags or [""]]


def _detail(session: Session, repository: Repository, image: StoredImage) -> dict[str, Any]:
    tags = images.tags_of(session.connection, repository.id, image.digest)
    detail = {
        "registryId": session.settings.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageTags": tags or None,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed,
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_media_type,
        "subjectManifestDigest": image.subject,
        "imageStatus": "ACTIVE",
    }
    return {name: value for name, value in detail.items() if value is not None}


def _active(wanted: ImageFilter) -> bool:
    """Nothing is ever archived here."""
    return wanted.image_status in ("ACTIVE", "ANY")


def _passes(detail: dict[str, Any], wanted: ImageFilter) -> bool:
    status = "TAGGED" if "imageTags" in detail else "UNTAGGED"
    return _active(wanted) and wanted.tag_status in (status, "ANY")


def _image_id(digest: str, tag: str) -> dict[str, Any]:
    return {"imageDigest": digest} | ({"imageTag": tag} if tag else {})


def _not_found() -> _Failure:
    return _Failure("ImageNotFound", "Requested image not found")


def _invalid(code: str, reason: str) -> _Failure:
    return _Failure(code, f"Invalid request parameters: {reason}")


_PAGE = 20  # service model: the default of this operation's maxResults


def list_image_referrers(session: Session, request: ListImageReferrers) -> dict[str, Any]:
    """Return the referrers of a digest, which need not be there itself, of the artifact types that are asked for."""
    repository, subject = session.repository(request), request.subject_id.image_digest
    wanted = request.filter or ReferrersFilter()
    scope = ("ListImageReferrers", repository.name, subject, wanted.artifact_status, *sorted(wanted.artifact_types))
    (after,) = session.start(scope, request.next_token, [""])
    if wanted.artifact_status not in ("ACTIVE", "ANY"):
        return {"referrers": []}
    size = request.max_results or _PAGE
    found = (
        descriptor(image.manifest, image.media_type, image.digest) | {"artifactStatus": "ACTIVE"}
        for image in images.referrers(session.connection, repository.id, subject, after)
    )
    chosen = (one for one in found if not wanted.artifact_types or one.get("artifactType") in wanted.artifact_types)
    entries, more = cut(list(islice(chosen, size + 1)), size)
    answer: dict[str, Any] = {"referrers": entries}
    return answer | ({"nextToken": session.next_token(scope, [entries[-1]["digest"]])} if more else {})
