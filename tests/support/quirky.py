"""
A Distribution registry in memory that has one quirk at a time: what a test puts in its way, else the specification.

Speaks by `scripted`'s sockets. Holds one repository's blobs and upload sessions.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from tests.support.scripted import Arrived, Peer, Step, answer, listening

Quirk = Callable[[Arrived], Step | None]


class QuirkyRegistry(Peer):
    """
    A registry at a loopback port.

    Args:
        quirk: asked first about each request; None from it is what the specification says.

    Attributes:
        blobs: content by digest.
        manifests: content by digest and by tag.
        sessions: what each upload session holds.
    """

    def __init__(self, quirk: Quirk | None = None) -> None:
        super().__init__((answer(500),), scheme="http")
        self.quirk = quirk
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.sessions: dict[str, bytearray] = {}
        self._moves = 0

    @property
    def registry(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """Each request's method and kind, in order: `PATCH upload`."""
        return [f"{request.line.split()[0]} {kind(request)}" for request in self.requests]

    async def choose(self, request: Arrived) -> Step:
        step = self.quirk(request) if self.quirk else None
        return step or self.by_the_book(request)

    def by_the_book(self, request: Arrived) -> Step:
        """What the specification says."""
        method, path = method_of(request), urlsplit(request.line.split()[1])
        name = path.path.rpartition("/")[2]

        async def step(arrived: Arrived) -> None:
            await arrived.read_body()
            status, headers, body = self._answer(method, kind(arrived), name, parse_qs(path.query), arrived)
            arrived.reply(status, b"" if method == "HEAD" else body, headers, length=len(body))
            await arrived.writer.drain()

        return step

    def _answer(
        self, method: str, what: str, name: str, query: dict[str, list[str]], request: Arrived
    ) -> tuple[int, dict[str, str], bytes]:
        if what == "blob":
            content = self.blobs.get(name)
            return (404, {}, error("BLOB_UNKNOWN")) if content is None else (200, {}, content)
        if what == "manifest":
            return self._manifest(method, name, request)
        if what == "tags" and not self.manifests:
            return 404, {}, error("NAME_UNKNOWN")
        if what == "uploads":
            session = f"s{len(self.sessions)}"
            self.sessions[session] = bytearray()
            return 202, self.where(session), b""
        if what == "upload" and name in self.sessions:
            return self._upload(method, name, query, request)
        return 404, {}, error("BLOB_UPLOAD_UNKNOWN")

    def _manifest(self, method: str, name: str, request: Arrived) -> tuple[int, dict[str, str], bytes]:
        """Of a registry before version 1.1 of the specification, which says nothing of a subject."""
        if method == "PUT":
            digest = "sha256:" + hashlib.sha256(request.body).hexdigest()
            self.manifests[name] = self.manifests[digest] = bytes(request.body)
            return 201, {"Docker-Content-Digest": digest}, b""
        found = self.manifests.get(name)
        return (404, {}, error("MANIFEST_UNKNOWN")) if found is None else (200, {}, found)

    def _upload(
        self, method: str, name: str, query: dict[str, list[str]], request: Arrived
    ) -> tuple[int, dict[str, str], bytes]:
        held = self.sessions[name]
        if method == "DELETE":
            del self.sessions[name]
            return 204, {}, b""
        if method == "GET":
            return 204, self.where(name), b""
        if method == "PATCH":
            first = int(request.headers["content-range"].partition("-")[0])
            if first != len(held):
                return 416, self.where(name), error("BLOB_UPLOAD_INVALID")
            held += request.body
            return 202, self.where(name), b""
        held += request.body
        digest = query["digest"][0]
        if "sha256:" + hashlib.sha256(held).hexdigest() != digest:
            return 400, {}, error("DIGEST_INVALID")
        self.blobs[digest] = bytes(self.sessions.pop(name))
        return 201, {"Docker-Content-Digest": digest}, b""

    def where(self, session: str) -> dict[str, str]:
        """Location and Range of a session; the location changes with every answer."""
        self._moves += 1
        held = len(self.sessions[session])
        return {
            "Location": f"/v2/app/blobs/uploads/{session}?_state={self._moves}%2F",
            "Range": f"0-{max(held - 1, 0)}",
        }


def method_of(request: Arrived) -> str:
    return request.line.split()[0]


def kind(request: Arrived) -> str:
    """What a request is about: uploads, upload, blob, manifest, tags or other."""
    path = urlsplit(request.line.split()[1]).path
    for pattern, found in (
        (r"/blobs/uploads/$", "uploads"),
        (r"/blobs/uploads/", "upload"),
        (r"/blobs/", "blob"),
        (r"/manifests/", "manifest"),
        (r"/tags/list$", "tags"),
    ):
        if re.search(pattern, path):
            return found
    return "other"


def error(code: str, message: str = "it is so") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def refuse(status: int, code: str, **headers: str) -> Step:
    """Read the request whole, then refuse it."""
    return answer(status, error(code), **headers)


def on(wanted: str, step: Step, *, times: int | None = None, after: int = 0) -> Quirk:
    """Do `step` for requests of one kind (`PATCH upload`): all, or some after so many."""
    seen = 0

    def quirk(request: Arrived) -> Step | None:
        nonlocal seen
        if f"{method_of(request)} {kind(request)}" != wanted:
            return None
        seen += 1
        return step if after < seen and (times is None or seen <= after + times) else None

    return quirk


@asynccontextmanager
async def quirky(quirk: Quirk | None = None) -> AsyncIterator[QuirkyRegistry]:
    """One, for as long as the block lasts."""
    peer = QuirkyRegistry(quirk)
    async with listening(peer):
        yield peer
