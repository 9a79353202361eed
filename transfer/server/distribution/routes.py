"""
Routing: the operation of a request, from its method, path and query. Pure.

Source: distribution-spec 1.1, "Endpoints". A repository's name may hold slashes and the words of the paths, so the
last word that fits counts.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from transfer.server.distribution import errors

_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_LONGEST_NAME = 256  # ECR service model: repositoryName, max; the same store holds both

_READ = ("GET", "HEAD")
_PATHS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(r"/v2/?"), dict.fromkeys(_READ, "GetBase")),
    (re.compile(r"/v2/_catalog"), dict.fromkeys(_READ, "ListRepositories")),
    (re.compile(r"/v2/(?P<name>(?s:.+))/tags/list"), dict.fromkeys(_READ, "ListTags")),
    (
        re.compile(r"/v2/(?P<name>(?s:.+))/manifests/(?P<about>[^/]+)"),
        {"GET": "GetManifest", "HEAD": "HeadManifest", "PUT": "PutManifest", "DELETE": "DeleteManifest"},
    ),
    (re.compile(r"/v2/(?P<name>(?s:.+))/referrers/(?P<about>[^/]+)"), dict.fromkeys(_READ, "ListReferrers")),
    (re.compile(r"/v2/(?P<name>(?s:.+))/blobs/uploads/?"), {"POST": "PostUpload"}),
    (
        re.compile(r"/v2/(?P<name>(?s:.+))/blobs/uploads/(?P<about>[^/]+)"),
        {"GET": "GetUpload", "HEAD": "GetUpload", "PATCH": "PatchUpload", "PUT": "PutUpload", "DELETE": "DeleteUpload"},
    ),
    (
        re.compile(r"/v2/(?P<name>(?s:.+))/blobs/(?P<about>[^/]+)"),
        {"GET": "GetBlob", "HEAD": "HeadBlob", "DELETE": "DeleteBlob"},
    ),
)


@dataclass(frozen=True, slots=True)
class Route:
    """An operation with the repository it is on and the tag, digest or upload id that it is about."""

    operation: str
    name: str = ""
    about: str = ""


def find_route(method: str, path: str, query: Collection[str]) -> Route:
    """
    Find the route of a request.

    Raises:
        Refusal: 404 where nothing is, 405 for a method that the place does not take, NAME_INVALID.
    """
    for pattern, methods in _PATHS:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        if method not in methods:
            allowed = ", ".join(methods)
            raise errors.unsupported(
                f"{method} is not for this endpoint; it takes {allowed}", headers={"Allow": allowed}
            )
        found = match.groupdict()
        name, about = found.get("name", ""), found.get("about", "")
        if "name" in found and (len(name) > _LONGEST_NAME or not _NAME.fullmatch(name)):
            raise errors.name_invalid(name)
        return Route(_narrowed(methods[method], about, query), name, about)
    raise errors.unsupported("no such endpoint", status=404)


def _narrowed(operation: str, about: str, query: Collection[str]) -> str:
    if operation == "PostUpload":
        return "MountBlob" if "mount" in query else "PostBlob" if "digest" in query else operation
    if operation == "DeleteManifest" and ":" not in about:
        return "DeleteTag"
    return operation
