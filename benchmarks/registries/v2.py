"""
What the harness itself asks of a registry at `/v2/`: it fills one, and looks whether what a tool left is right.

Shares nothing with the client that is measured. Blocks; knows no scenario.
"""

import base64
import http.client
import ssl
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from benchmarks.scenarios.images import MANIFEST, Layout
from benchmarks.values import BenchmarkFailed

T = TypeVar("T")
_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Access:
    """A repository of a registry: `host:port`, its name there, `user:password`, and whose certificates count."""

    address: str
    repository: str
    login: str = ""
    context: ssl.SSLContext | None = None

    def connect(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(self.address, timeout=60)
        return http.client.HTTPSConnection(self.address, timeout=60, context=self.context)


def fill(access: Access, layout: Layout) -> None:
    """Put every image of a layout under its tags into the repository."""
    blobs = list(dict.fromkeys(digest for names in layout.blobs.values() for digest in names))
    _each(access, blobs, lambda connection, digest: _put_blob(connection, access, digest, layout.file(digest)))
    tags = list(layout.tags.items())
    _each(access, tags, lambda connection, one: _put_manifest(connection, access, one[0], layout.file(one[1])))


def verify(access: Access, tags: Mapping[str, str]) -> None:
    """
    See that every tag holds the manifest of its digest, byte for byte.

    A registry takes a manifest only when all its blobs are there, and a blob only under its own digest.

    Raises:
        BenchmarkFailed: one does not.
    """

    def look(connection: http.client.HTTPConnection, one: tuple[str, str]) -> None:
        tag, digest = one
        body = _ask(connection, access, "GET", f"manifests/{tag}", headers={"Accept": MANIFEST})[1]
        if f"sha256:{sha256(body).hexdigest()}" != digest:
            raise BenchmarkFailed(f"{access.repository}:{tag} does not hold {digest}")

    _each(access, list(tags.items()), look)


def _each(access: Access, items: list[T], work: Callable[[http.client.HTTPConnection, T], None]) -> None:
    """Do so with every item, over a few connections."""

    def some(share: Iterable[T]) -> None:
        with closing(access.connect()) as connection:
            for item in share:
                work(connection, item)

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(some, (items[start::_WORKERS] for start in range(min(_WORKERS, len(items))))))


def _put_blob(connection: http.client.HTTPConnection, access: Access, digest: str, file: Path) -> None:
    headers = _ask(connection, access, "POST", "blobs/uploads/")[0]
    place = urlsplit(headers["Location"])
    query = "&".join(part for part in (place.query, urlencode({"digest": digest})) if part)
    with file.open("rb") as content:
        size = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
        _exchange(connection, access, "PUT", f"{place.path}?{query}", content, size)


def _put_manifest(connection: http.client.HTTPConnection, access: Access, tag: str, file: Path) -> None:
    _ask(connection, access, "PUT", f"manifests/{tag}", file.read_bytes(), {"Content-Type": MANIFEST})


def _ask(
    connection: http.client.HTTPConnection,
    access: Access,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[http.client.HTTPMessage, bytes]:
    return _exchange(connection, access, method, f"/v2/{access.repository}/{path}", body, headers or {})


def _exchange(
    connection: http.client.HTTPConnection,
    access: Access,
    method: str,
    target: str,
    body: object,
    headers: Mapping[str, str],
) -> tuple[http.client.HTTPMessage, bytes]:
    login = {"Authorization": f"Basic {base64.b64encode(access.login.encode()).decode()}"} if access.login else {}
    what = f"{method} {urlsplit(target).path} at {access.address}"
    try:
        connection.request(method, target, body, {**headers, **login})  # type: ignore[arg-type] # bytes or a file
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchmarkFailed(f"{what}: {error}") from None
    if answer.status >= 300:
        raise BenchmarkFailed(f"{what} was answered {answer.status}")
    return answer.headers, content
