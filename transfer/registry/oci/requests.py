"""
Requests to an OCI registry and what their answers say of upload sessions. Sends nothing.

Source: OCI distribution-spec 1.1, "Endpoints".
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from transfer.auth.tokens import PUSH, TokenScope
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.config import TransferConfig
from transfer.errors import ContentMismatch
from transfer.http.bodies import BlobBody, RequestBody
from transfer.http.messages import resolve_url, smallest_chunk, with_query
from transfer.model.digest import Digest
from transfer.registry.chunk_size import FIRST_CHUNK
from transfer.registry.oci.registry_http import RegistryRequest, RegistryResponse


class UploadSession(msgspec.Struct, frozen=True):
    """
    An upload session.

    Attributes:
        repository: whose it is.
        url: its newest location; may hold state of the registry's that is nobody else's business.
        smallest_chunk: bytes that every chunk but the last must have, by the registry's word, or 0.
    """

    repository: str
    url: str
    smallest_chunk: int = 0

    def __repr__(self) -> str:
        return f"UploadSession({self.repository!r})"


class FetchedManifest(msgspec.Struct, frozen=True):
    """A manifest as it came: its bytes, and what the registry calls them."""

    raw: bytes
    media_type: str | None


class RegistryCapabilities(msgspec.Struct):
    """
    Capabilities of a registry, learned by asking; shared by all that use it.

    Attributes:
        takes_chunks: uploads may come in more than one request.
        keeps_broken_chunks: a session survives that a chunk broke off, with what of it has come.
        largest_body: bytes of a body that are not known to be too many.
        chunk_bytes: bytes of the next chunk, by how fast the last one went.
        is_slow: a connection of its own costs a chunk little.
        mounts: whether blobs of other repositories can be mounted; None before that was tried.
        has_referrers: whether there is a referrers API; None before it was asked.
    """

    takes_chunks: bool = True
    keeps_broken_chunks: bool = True
    largest_body: int = 2**63 - 1
    chunk_bytes: int = FIRST_CHUNK
    is_slow: bool = False
    mounts: bool | None = None
    has_referrers: bool | None = None


def stored(what: str, digest: Digest) -> Callable[[RegistryResponse], Awaitable[None]]:
    async def take(answer: RegistryResponse) -> None:
        reported = answer.headers.get("docker-content-digest", "")
        # A registry may name content by another algorithm than it was sent under; that says nothing.
        if reported.startswith(f"{digest.algorithm}:") and reported != digest:
            raise ContentMismatch(f"{what}: {digest} was sent, and the registry says it has stored {reported[:140]!a}")

    return take


def opened(repository: str, what: str) -> Callable[[RegistryResponse], Awaitable[UploadSession]]:
    async def take(answer: RegistryResponse) -> UploadSession:
        location = answer.headers.get("location", "")
        url = resolve_url(answer.url, location, what=what, status=answer.status)
        return UploadSession(repository, url, smallest_chunk(answer.headers))

    return take


def moved(upload: UploadSession, answer: RegistryResponse, what: str) -> UploadSession:
    """Return the session after an answer: the newest location wins, and the old one stays where there is none."""
    location = answer.headers.get("location")
    if location is None:
        return upload
    url = resolve_url(answer.url, location, what=what, status=answer.status)
    return UploadSession(upload.repository, url, upload.smallest_chunk)


class RequestFactory(msgspec.Struct, frozen=True):
    """
    Those to one registry.

    Attributes:
        registry: its name, for errors.
        meter: counts the bytes of blobs.
        before_push: what is read is read for the sake of a push into the same repository.
    """

    registry: str
    meter: BandwidthLimiter | None
    before_push: bool = False

    def reading(self, repository: str) -> TokenScope:
        """Return the token scope of a request that changes nothing."""
        return TokenScope(repository, before_push=self.before_push)

    def manifest(
        self,
        method: str,
        repository: str,
        reference: str,
        expected: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: RequestBody | None = None,
    ) -> RegistryRequest:
        """About a manifest, by tag or digest."""
        changes = {"PUT": TokenScope(repository, PUSH), "DELETE": TokenScope(repository, "delete")}
        access = changes.get(method) or self.reading(repository)
        path = f"/v2/{repository}/manifests/{quote(reference, safe=':')}"
        what = f"{method} manifest {reference} of {self.name(repository)}"
        return RegistryRequest(f"{method} manifest", path, what, access, expected, headers or {}, body)

    def blob(
        self,
        method: str,
        repository: str,
        digest: Digest,
        expected: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> RegistryRequest:
        """About a blob."""
        what = f"{method} blob {digest} of {self.name(repository)}"
        path = f"/v2/{repository}/blobs/{digest}"
        meter = self.meter if method == "GET" else None
        access = TokenScope(repository, "delete") if method == "DELETE" else self.reading(repository)
        return RegistryRequest(f"{method} blob", path, what, access, expected, headers or {}, meter=meter)

    def start(self, repository: str) -> RegistryRequest:
        """Return the request for a new upload session."""
        what = f"POST upload to {self.name(repository)}"
        access = TokenScope(repository, PUSH)
        return RegistryRequest("POST upload", f"/v2/{repository}/blobs/uploads/", what, access, frozenset({202}))

    def mount(self, repository: str, digest: Digest, from_repository: str) -> RegistryRequest:
        """Return the request to mount a blob of another repository, or else to begin an upload."""
        what = f"POST mount of {digest} to {self.name(repository)}"
        path = with_query(f"/v2/{repository}/blobs/uploads/", mount=digest, **{"from": from_repository})
        access = TokenScope(repository, PUSH, from_repository)
        return RegistryRequest("POST upload", path, what, access, frozenset({201, 202}))

    def upload(
        self,
        method: str,
        upload: UploadSession,
        expected: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: RequestBody | BlobBody | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> RegistryRequest:
        """Return a request of an upload session; a part of a blob is sent by a worker thread."""
        what = f"{method} upload to {self.name(upload.repository)}"
        access, meter = TokenScope(upload.repository, PUSH), self.meter if body else None
        large = isinstance(body, BlobBody)
        return RegistryRequest(
            f"{method} upload", upload.url, what, access, expected, headers or {}, body, meter, large, progress
        )

    def name(self, repository: str) -> str:
        """Return a repository as an error names it."""
        return f"{self.registry}/{repository}"


def requests_to_push(sizes: Sequence[int], mounts: int, manifests: int, config: TransferConfig) -> Counter[str]:
    """Return the requests that upload blobs of these sizes, in bytes, mount some, and send so many manifests."""
    chunks = sum(-(-size // config.upload_chunk_bytes) for size in sizes if size > config.upload_chunk_threshold)
    uploads = {"POST upload": len(sizes) + mounts, "PATCH upload": chunks, "PUT upload": len(sizes)}
    return +Counter({**uploads, "PUT manifest": manifests})
