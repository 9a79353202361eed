"""
Lists in pages: tags and referrers, read to their end, which a registry that lies may not put off for ever.

A next page must be of the same origin, must not have been read before, and there is a most of them. Sources: OCI
distribution-spec 1.1, "Listing Tags", "Listing Referrers", "Referrers Tag Schema".
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import msgspec

from transfer.errors import InvalidManifest, RegistryError
from transfer.http.messages import HttpResponse, next_link, origin_of, resolve_url
from transfer.http.oci_errors import error_of
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.document import DocumentError, convert, load

# The most that ECR takes; others cut it to their own.
_PAGE_SIZE = 1000
_MOST_PAGES = 10_000
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Page(NamedTuple):
    """One page, and the URL that it came from."""

    reply: HttpResponse
    url: str


GetPage = Callable[[str, str, str], Awaitable[Page]]


class _Tags(msgspec.Struct):
    # Registries say null of a repository without tags.
    tags: tuple[str, ...] | None = None


class _Repositories(msgspec.Struct):
    repositories: tuple[str, ...] | None = None


class _Referrers(msgspec.Struct):
    manifests: tuple[Descriptor, ...] | None = None


async def list_tags(get: GetPage, repository: str, name: str) -> AsyncGenerator[str]:
    """
    Yield every tag, each once, as the pages come.

    Raises:
        NotFound: there is no such repository.
        RegistryError: a page is none, or the pages do not end.
    """
    what, url = f"GET tags of {name}", f"/v2/{repository}/tags/list?n={_PAGE_SIZE}"
    async with aclosing(_names(_pages(get, repository, url, what), partial(_read_tags, what=what))) as tags:
        async for tag in tags:
            yield tag


async def has_tags(get: GetPage, repository: str, name: str) -> bool:
    """
    Return whether there is any tag in a repository; not, where there is no such repository.

    Raises:
        RegistryError: the registry does not tell.
    """
    what = f"GET tags of {name}"
    page = await get(repository, f"/v2/{repository}/tags/list?n=1", what)
    if page.reply.status != 200 and error_of(what, page.reply).code == "NAME_UNKNOWN":
        return False
    return bool(_read_tags(page, what))


async def list_repositories(get: GetPage, registry: str) -> AsyncGenerator[str]:
    """
    Yield every repository of a registry, each once (distribution's `_catalog`; not in the OCI spec).

    Raises:
        RegistryError: a page is none, the pages do not end, or the registry does not tell.
    """
    what, url = f"GET catalog of {registry}", f"/v2/_catalog?n={_PAGE_SIZE}"
    async with aclosing(_names(_pages(get, "", url, what), partial(_read_repositories, what=what))) as names:
        async for name in names:
            yield name


async def _names(pages: AsyncGenerator[Page], read: Callable[[Page], tuple[str, ...]]) -> AsyncGenerator[str]:
    seen: set[str] = set()
    async with aclosing(pages):
        async for page in pages:
            for name in read(page):
                if name not in seen:
                    seen.add(name)
                    yield name


async def list_referrers(get: GetPage, repository: str, name: str, digest: Digest) -> list[Descriptor] | None:
    """Return the referrers of a manifest, each once; None where the registry has no referrers API."""
    what = f"GET referrers of {name}@{digest}"
    found: dict[Digest, Descriptor] = {}
    async with aclosing(_pages(get, repository, f"/v2/{repository}/referrers/{digest}", what)) as pages:
        async for page in pages:
            if page.reply.status != 200:
                # A repository that is not there says nothing of the API.
                return [] if error_of(what, page.reply).code == "NAME_UNKNOWN" else None
            for one in read_referrers(page.reply.body, what=what):
                found.setdefault(one.digest, one)
    return list(found.values())


def _read_tags(page: Page, what: str) -> tuple[str, ...]:
    if page.reply.status != 200:
        raise error_of(what, page.reply)
    try:
        tags = convert(load(page.reply.body), _Tags).tags or ()
    except DocumentError as error:
        raise _unusable(what, page, str(error)) from None
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise _unusable(what, page, f"{tag[:140]!a} is not a tag")
    return tags


def _read_repositories(page: Page, what: str) -> tuple[str, ...]:
    if page.reply.status != 200:
        raise error_of(what, page.reply)
    try:
        return convert(load(page.reply.body), _Repositories).repositories or ()
    except DocumentError as error:
        raise _unusable(what, page, str(error)) from None


def read_referrers(raw: bytes, *, what: str) -> list[Descriptor]:
    """
    Return the descriptors of a list of referrers.

    Raises:
        InvalidManifest: it is no index.
    """
    try:
        return list(convert(load(raw), _Referrers).manifests or ())
    except DocumentError as error:
        raise InvalidManifest(f"{what}: the list is no index: {error}") from None


async def _pages(get: GetPage, repository: str, url: str, what: str) -> AsyncGenerator[Page]:
    seen: set[str] = set()
    while True:
        page = await get(repository, url, what)
        yield page
        link = next_link(page.reply.headers)
        if link is None or page.reply.status != 200:
            return
        seen.add(page.url)
        url = resolve_url(page.url, link, what=what, status=200, header="Link")
        if origin_of(url) != origin_of(page.url):
            raise _unusable(what, page, "its next page is on another host")
        if url in seen or len(seen) >= _MOST_PAGES:
            raise _unusable(what, page, "its pages never end")


def _unusable(what: str, page: Page, reason: str) -> RegistryError:
    return RegistryError(f"{what}: the list cannot be used: {reason}", status=page.reply.status, code="BAD_LIST")
