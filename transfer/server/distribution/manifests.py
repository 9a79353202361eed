"""Manifests: get, head, put and delete, by digest or by tag."""

import re

from aiohttp import web

from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES
from transfer.server.distribution import errors
from transfer.server.distribution.context import RequestContext, existing, writable
from transfer.server.distribution.documents import Pushed, read_pushed
from transfer.server.ecr.images import is_immutable
from transfer.server.ecr.session import Session
from transfer.server.store import blobs, images
from transfer.server.store.images import StoredImage
from transfer.server.store.repositories import Repository

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


async def get(ex: RequestContext) -> web.Response:
    """GET and HEAD: the bytes as they were pushed, under the type they were pushed as."""
    tag, digest = reference(ex)
    image = await ex.run(lambda session: _find(session, existing(session, ex.name), tag, digest))
    ex.facts["digest"] = image.digest
    return web.Response(
        body=image.manifest, headers={"Content-Type": image.media_type, "Docker-Content-Digest": image.digest}
    )


async def put(ex: RequestContext) -> web.Response:
    """PUT: store it, and move the tag that it is put under, or those of the query, to it."""
    tag, expected = reference(ex)
    tags = tags_to_set(ex, tag)
    raw = await read_body(ex)
    digest = Digest.of(raw, expected.algorithm if expected else "sha256")
    if expected not in (None, digest):
        raise errors.digest_invalid(f"the manifest has digest {digest}, not {expected}")
    pushed = read_pushed(raw, ex.request.headers.get("Content-Type"))
    await ex.run(lambda session: _store(session, writable(session, ex.name), pushed, digest, tags))
    return stored(ex, digest, pushed.subject, tags if tag is None else [])


async def delete(ex: RequestContext) -> web.Response:
    """DELETE by digest: the manifest with all its tags."""
    _, digest = reference(ex)

    def work(session: Session) -> None:
        repository = existing(session, ex.name)
        image = _find(session, repository, None, digest)
        images.delete(session.connection, repository.id, image.digest)

    await ex.run(work)
    return web.Response(status=202)


async def delete_tag(ex: RequestContext) -> web.Response:
    """DELETE by tag: the tag alone."""
    tag, _ = reference(ex)

    def work(session: Session) -> None:
        if not images.remove_tag(session.connection, existing(session, ex.name).id, str(tag)):
            raise errors.manifest_unknown(str(tag))

    await ex.run(work)
    return web.Response(status=202)


def reference(ex: RequestContext) -> tuple[str | None, Digest | None]:
    """
    Return the tag or the digest that a request is about.

    Raises:
        Refusal: DIGEST_INVALID; an invalid tag can neither be found nor put.
    """
    text = ex.route.about
    if ":" in text:
        return None, ex.digest(text)
    if not _TAG.fullmatch(text):
        is_put = ex.route.operation == "PutManifest"
        raise errors.manifest_invalid(f"{text[:300]!r} is not a tag") if is_put else errors.manifest_unknown(text)
    ex.facts["tag"] = text
    return text, None


def tags_to_set(ex: RequestContext, tag: str | None) -> list[str]:
    """Return the tag of the path or, with a digest there, the `tag` parameters of the query."""
    tags = [tag] if tag is not None else list(dict.fromkeys(ex.request.query.getall("tag", [])))
    for each in tags:
        if not _TAG.fullmatch(each):
            raise errors.manifest_invalid(f"{each[:300]!r} is not a tag")
    return tags


async def read_body(ex: RequestContext) -> bytes:
    """
    Return a manifest of at most 4 MiB.

    Raises:
        Refusal: 413.
    """
    data = bytearray()
    async for chunk in ex.request.content.iter_any():
        data += chunk
        if len(data) > MAX_DOCUMENT_BYTES:
            raise errors.manifest_invalid(f"the manifest is larger than {MAX_DOCUMENT_BYTES} bytes", status=413)
    return bytes(data)


def stored(ex: RequestContext, digest: Digest, subject: Digest | None, tags: list[str]) -> web.Response:
    ex.facts["digest"] = digest
    answer = web.Response(
        status=201, headers={"Location": ex.location(f"manifests/{digest}"), "Docker-Content-Digest": digest}
    )
    if subject is not None:
        answer.headers["OCI-Subject"] = subject
    for tag in tags:
        answer.headers.add("OCI-Tag", tag)
    return answer


def _find(session: Session, repository: Repository, tag: str | None, digest: Digest | None) -> StoredImage:
    wanted = images.tagged(session.connection, repository.id, tag) if tag is not None else digest
    image = None if wanted is None else images.find(session.connection, repository.id, wanted)
    if image is None:
        raise errors.manifest_unknown(tag or str(digest))
    return image


def _store(session: Session, repository: Repository, pushed: Pushed, digest: Digest, tags: list[str]) -> None:
    for tag in tags:
        current = images.tagged(session.connection, repository.id, tag)
        if current not in (None, digest) and is_immutable(repository.settings, tag):
            raise errors.tag_immutable(tag, repository.name)
    if images.find(session.connection, repository.id, digest) is None:
        size = _check_contents(session, repository, pushed)
        image = StoredImage(
            digest=digest,
            manifest=pushed.raw,
            media_type=pushed.media_type,
            artifact_media_type=pushed.config_media_type,
            subject=pushed.subject,
            size=size,
            pushed=session.now,
        )
        images.add(session.connection, repository.id, image, pushed.contents)
    for tag in tags:
        images.set_tag(session.connection, repository.id, tag, digest)


def _check_contents(session: Session, repository: Repository, pushed: Pushed) -> int:
    """Return all that the manifest names must be in this repository, but its subject; what is there makes the size."""
    digests = dict.fromkeys(digest for digest, _ in pushed.contents)
    is_index = pushed.manifest is not None and pushed.manifest.descriptor.is_index
    held = (images if is_index else blobs).sizes(session.connection, repository.id, digests)
    if missing := [digest for digest in digests if digest not in held]:
        raise errors.manifest_blobs_unknown(missing)
    return max(held.values(), default=0) if is_index else sum(held.values()) or len(pushed.raw)
