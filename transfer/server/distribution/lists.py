"""Content discovery: repositories, a repository's tags and a manifest's referrers, in pages."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from transfer.model.descriptor import OCI_INDEX
from transfer.model.document import MAX_DOCUMENT_BYTES
from transfer.server.distribution import errors
from transfer.server.distribution.context import RequestContext, existing
from transfer.server.ecr.session import Session
from transfer.server.referrers import descriptor
from transfer.server.store import images, repositories

# What one answer lists at most, whatever a client asks for; behind it is a Link.
_MOST_TAGS = 10_000
_MOST_REPOSITORIES = 1_000
_MOST_REFERRERS = 1_000


async def tags(ex: RequestContext) -> web.Response:
    """GET tags/list: the tags behind `last`, `n` of them, in the order of their bytes."""
    after = ex.request.query.get("last", "")
    count = min(page_size(ex.request.query.get("n"), _MOST_TAGS), _MOST_TAGS)

    def work(session: Session) -> list[str]:
        return images.tag_names(session.connection, existing(session, ex.name).id, after, count + 1)

    found = await ex.run(work)
    names = found[:count]
    answer = web.json_response({"name": ex.name, "tags": names})
    if names and len(found) > count:
        answer.headers["Link"] = link(ex, "tags/list", n=count, last=names[-1])
    return answer


async def catalog(ex: RequestContext) -> web.Response:
    """GET _catalog: the repositories behind `last`, `n` of them (CNCF Distribution's; the specification has none)."""
    after = ex.request.query.get("last", "")
    count = min(page_size(ex.request.query.get("n"), _MOST_REPOSITORIES), _MOST_REPOSITORIES)
    found = await ex.run(lambda session: repositories.page(session.connection, after, count + 1))
    names = [repository.name for repository in found[:count]]
    answer = web.json_response({"repositories": names})
    if names and len(found) > count:
        answer.headers["Link"] = link(ex, "_catalog", n=count, last=names[-1])
    return answer


async def referrers(ex: RequestContext) -> web.Response:
    """
    GET referrers: an index of the manifests whose subject a digest is, of one artifact type where one is asked for.

    A repository that is not there has none: "MUST NOT return a 404" (distribution-spec 1.1, "Listing Referrers").
    """
    digest, wanted = ex.digest(ex.route.about), ex.request.query.get("artifactType")
    after = ex.request.query.get("last", "")

    def work(session: Session) -> tuple[list[dict[str, Any]], str | None]:
        repository = repositories.find(session.connection, ex.name)
        return ([], None) if repository is None else _page(session, repository.id, digest, after, wanted)

    found, last = await ex.run(work)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    answer = web.Response(body=msgspec.json.encode(index), headers={"Content-Type": OCI_INDEX})
    filters = {} if wanted is None else {"artifactType": wanted}
    if filters:
        answer.headers["OCI-Filters-Applied"] = "artifactType"
    if last is not None:
        answer.headers["Link"] = link(ex, f"referrers/{digest}", last=last, **filters)
    return answer


def page_size(text: str | None, default: int) -> int:
    """
    Return the `n` of a query.

    Raises:
        Refusal: it is no number.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.unsupported(f"n is {text[:80]!r}: expected a number", status=400)
    return int(text)


def link(ex: RequestContext, path: str, **query: object) -> str:
    """Return a Link header to the next page (RFC 5988)."""
    return f'<{ex.location(path)}?{urlencode(query)}>; rel="next"'


def _page(
    session: Session, repository: int, subject: str, after: str, wanted: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of descriptors, and its last one where there are more."""
    page: list[dict[str, Any]] = []
    size = 0
    for image in images.referrers(session.connection, repository, subject, after):
        shown = descriptor(image.manifest, image.media_type, image.digest)
        if wanted is not None and shown.get("artifactType") != wanted:
            continue
        size += len(msgspec.json.encode(shown)) + 1
        if page and (len(page) == _MOST_REFERRERS or size > MAX_DOCUMENT_BYTES - 1024):
            return page, page[-1]["digest"]
        page.append(shown)
    return page, None
