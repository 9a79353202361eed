"""
The requests to one registry about manifests, blobs and uploads, made but not sent.

Pure. Source: OCI distribution-spec 1.1, "Endpoints". Does not know what an answer means.
"""

from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from transfer.auth.tokens import PUSH, TokenScope
from transfer.concurrency.limits import BandwidthLimiter
from transfer.http.request_body import BlobBody, RequestBody
from transfer.model.digest import Digest
from transfer.registry.oci.registry_http import RegistryRequest
from transfer.registry.oci.response_headers import with_query
from transfer.registry.oci.sessions import UploadSession


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
        """What a request needs that changes nothing."""
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
        """For a new upload session."""
        what = f"POST upload to {self.name(repository)}"
        access = TokenScope(repository, PUSH)
        return RegistryRequest("POST upload", f"/v2/{repository}/blobs/uploads/", what, access, frozenset({202}))

    def mount(self, repository: str, digest: Digest, from_repository: str) -> RegistryRequest:
        """For a blob of another repository, or else a new upload session."""
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
        """About an upload session; a part of a blob goes in the lane."""
        what = f"{method} upload to {self.name(upload.repository)}"
        access, meter = TokenScope(upload.repository, PUSH), self.meter if body else None
        large = isinstance(body, BlobBody)
        return RegistryRequest(
            f"{method} upload", upload.url, what, access, expected, headers or {}, body, meter, large, progress
        )

    def name(self, repository: str) -> str:
        """A repository as an error names it."""
        return f"{self.registry}/{repository}"
