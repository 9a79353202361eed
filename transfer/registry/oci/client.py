"""
One OCI registry as typed async calls: manifests, blobs, upload sessions, tags, referrers.

The calls that carry a blob's bytes are not retried here: their caller must first ask what the registry has of them.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from msgspec.structs import replace

from transfer.auth.tokens import TokenScope
from transfer.concurrency.retry import retryable
from transfer.errors import BlobUnknown, InvalidDigest, NotFound, RegistryError, Unauthorized, UploadLost
from transfer.http.blob_stream import range_header
from transfer.http.bodies import BlobBody, RequestBody
from transfer.http.messages import HttpResponse, held_bytes, with_query
from transfer.model.descriptor import MANIFEST_MEDIA_TYPES, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES
from transfer.registry.oci.pages import Page, has_tags, list_referrers, list_repositories, list_tags, read_referrers
from transfer.registry.oci.registry_client import OK, RegistryClient, nothing
from transfer.registry.oci.registry_http import RegistryRequest, RegistryResponse
from transfer.registry.oci.requests import FetchedManifest, UploadSession, moved, opened, stored

T = TypeVar("T")

# Everything that can be transferred, then anything: the registry shall convert nothing, and an error is clearer than
# the 404 that some answer when they hold another kind.
ACCEPT = ", ".join((*sorted(MANIFEST_MEDIA_TYPES), "*/*;q=0.1"))
# What registries that have never heard of the referrers API say of it, besides the 404 that they should.
_NO_SUCH_API = frozenset({400, 405, 406, 415})
_CATALOG = TokenScope("", "catalog")
_LARGEST_ERROR = 64 * 1024


class DistributionClient(RegistryClient):
    """The calls to one registry."""

    async def get_manifest(self, repository: str, reference: str) -> FetchedManifest:
        """Return a manifest by tag or digest, at most 4 MiB; not verified against anything."""
        call = self._calls.manifest("GET", repository, reference, OK, headers={"Accept": ACCEPT})

        async def take(answer: RegistryResponse) -> FetchedManifest:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            raw = await answer.read(MAX_DOCUMENT_BYTES, what=call.what)
            return FetchedManifest(raw, kind if kind in MANIFEST_MEDIA_TYPES else None)

        return await self._call(call, take)

    async def head_manifest(self, repository: str, reference: str) -> Digest | None:
        """
        Return the digest that the registry says a tag or digest has; None where there is no such manifest.

        ECR and others leave the header out at times: then the manifest is fetched and its digest computed.
        """
        call = self._calls.manifest("HEAD", repository, reference, frozenset({200, 404}), headers={"Accept": ACCEPT})

        async def take(answer: RegistryResponse) -> tuple[bool, str]:
            return answer.status == 200, answer.headers.get("docker-content-digest", "")

        exists, reported = await self._call(call, take)
        if not exists:
            return None
        try:
            return Digest(reported)
        except InvalidDigest:
            algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
            return Digest.of((await self.get_manifest(repository, reference)).raw, algorithm)

    async def put_manifest(self, repository: str, reference: str, raw: bytes, media_type: str, digest: Digest) -> bool:
        """
        Store a manifest under a tag or its digest; whether the registry has noted which manifest it refers to.

        Raises:
            BlobUnknown: it names what is not there.
            ContentMismatch: the registry says that it has stored it under another digest.
        """
        call = self._calls.manifest(
            "PUT",
            repository,
            reference,
            frozenset({200, 201, 202, 204}),
            headers={"Content-Type": media_type},
            body=RequestBody.of(raw),
        )

        async def take(answer: RegistryResponse) -> bool:
            await stored(call.what, digest)(answer)
            return bool(answer.headers.get("oci-subject"))

        try:
            return await self._call(call, take)
        except UploadLost as error:
            # ECR says "blob upload unknown" of layers that a manifest names and that are not there.
            raise BlobUnknown(str(error), status=error.status, code=error.code) from None

    async def delete_manifest(self, repository: str, reference: str) -> None:
        """Delete a manifest by digest, or a tag where the registry can do that; NotFound where there is none."""
        await self._call(self._calls.manifest("DELETE", repository, reference, frozenset({200, 202, 204})), nothing)

    async def has_blob(self, repository: str, digest: Digest) -> bool:
        """Return whether the repository has a blob."""
        call = self._calls.blob("HEAD", repository, digest, frozenset({200, 404}))

        async def take(answer: RegistryResponse) -> bool:
            return answer.status == 200

        return await self._call(call, take)

    @asynccontextmanager
    async def get_blob(
        self, repository: str, blob: Descriptor, first: int, end: int
    ) -> AsyncIterator[RegistryResponse]:
        """The bytes [first, end) of a blob, tried once; the answer may be a 200 with all of it."""
        headers = range_header(first, end, blob.size)
        call = self._calls.blob("GET", repository, blob.digest, frozenset({200, 206}), headers=headers)
        call = replace(call, large=blob.size > self.large_blob_bytes)
        async with AsyncExitStack() as stack:
            # Only the request takes a slot: the body may take hours, and its reader may wait for others.
            async with self._slot(call):
                answer = await stack.enter_async_context(self._exchange.open(call))
            yield answer

    async def delete_blob(self, repository: str, digest: Digest) -> None:
        """Delete a blob; NotFound where there is none."""
        await self._call(self._calls.blob("DELETE", repository, digest, frozenset({200, 202, 204})), nothing)

    async def start_upload(self, repository: str) -> UploadSession:
        """Return a new upload session."""
        call = self._calls.start(repository)
        return await self._call(call, opened(repository, call.what))

    async def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> UploadSession | None:
        """Have a blob of another repository here too: None when that is done, else a session to upload it by."""
        call = self._calls.mount(repository, digest, from_repository)

        async def take(answer: RegistryResponse) -> UploadSession | None:
            if answer.status == 201:
                await stored(call.what, digest)(answer)
                return None
            return await opened(repository, call.what)(answer)

        return await self._call(call, take)

    async def patch_upload(
        self, upload: UploadSession, body: BlobBody, progress: Callable[[int], None], *, alone: bool = False
    ) -> UploadSession:
        """
        Send a chunk, without retries, and return the session as it goes on.

        Args:
            progress: called with the bytes that are being sent.
            alone: over a connection that carries nothing else.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{body.first}-{body.end - 1}",
        }
        if alone:
            headers["Connection"] = "close"
        # ECR answers 201 instead of 202.
        call = self._calls.upload(
            "PATCH", upload, frozenset({201, 202, 204}), headers=headers, body=body, progress=progress
        )
        async with self._slot(call), self._exchange.open(call) as answer:
            return moved(upload, answer, call.what)

    async def finish_upload(
        self,
        upload: UploadSession,
        digest: Digest,
        body: RequestBody | BlobBody | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """
        Close a session, with all of a blob where it comes in one piece; tried once.

        Raises:
            ContentMismatch: the registry says that it has stored another digest.
        """
        call = self._calls.upload(
            "PUT",
            UploadSession(upload.repository, with_query(upload.url, digest=digest)),
            frozenset({200, 201, 204}),
            headers={"Content-Type": "application/octet-stream"},
            body=body or RequestBody.of(b""),
            progress=progress,
        )
        async with self._slot(call), self._exchange.open(call) as answer:
            await stored(call.what, digest)(answer)

    async def upload_status(self, upload: UploadSession, most: int) -> tuple[UploadSession, int]:
        """
        Return a session's newest location, and the bytes that it holds of the `most` that were sent.

        docker-registry 2.8 refuses this, as everything else, for a session whose last chunk broke off in the middle.

        Raises:
            UploadLost: it is not known any more, or what it holds cannot be told.
        """
        call = self._calls.upload("GET", upload, frozenset({200, 202, 204}))

        async def take(answer: RegistryResponse) -> tuple[UploadSession, int]:
            held = held_bytes(answer.headers, most)
            if held is None:
                raise UploadLost(
                    f"{call.what}: the registry does not tell how far it is", status=answer.status, code="RANGE_INVALID"
                )
            return moved(upload, answer, call.what), held

        try:
            return await self._call(call, take)
        except RegistryError as error:
            if isinstance(error, UploadLost | Unauthorized) or retryable(error):
                raise
            raise UploadLost(str(error), status=error.status, code=error.code) from None

    async def cancel_upload(self, upload: UploadSession) -> None:
        """Give a session up, tried once; it is no harm if that fails, since the registry ends it some day."""
        call = self._calls.upload("DELETE", upload, frozenset({200, 202, 204, 404}))
        async with self._slot(call), self._exchange.open(call):
            pass

    def tags(self, repository: str) -> AsyncGenerator[str]:
        """Return every tag of a repository, over all pages, each once."""
        return list_tags(self._get_page, repository, self._calls.name(repository))

    async def has_tags(self, repository: str) -> bool:
        """Return whether there is any tag in a repository; not, where there is no such repository."""
        return await has_tags(self._get_page, repository, self._calls.name(repository))

    def repositories(self) -> AsyncGenerator[str]:
        """Return every repository of the registry, over all pages, each once, where it tells."""
        return list_repositories(lambda _, url, what: self._page(_CATALOG, url, what), self.registry)

    async def referrers(self, repository: str, digest: Digest) -> list[Descriptor]:
        """Return the referrers of a manifest, by the referrers API or, where there is none, the fallback tag."""
        if self.habits.has_referrers is not False:
            found = await self._listed_referrers(repository, digest)
            # A registry that has the API answers with an empty list where there is nothing.
            self.habits.has_referrers = found is not None
            if found is not None:
                return found
        try:
            fetched = await self.get_manifest(repository, digest.as_tag)
        except NotFound:
            return []
        if Digest.of(fetched.raw, digest.algorithm) == digest:
            # GitLab takes the tag for the digest that it is made of, and answers with the image itself.
            return []
        return read_referrers(fetched.raw, what=f"GET referrers of {self._calls.name(repository)}@{digest}")

    async def _listed_referrers(self, repository: str, digest: Digest) -> list[Descriptor] | None:
        try:
            return await list_referrers(self._get_page, repository, self._calls.name(repository), digest)
        except RegistryError as error:
            if error.status in _NO_SUCH_API and not self.habits.has_referrers:
                return None
            raise

    async def _get_page(self, repository: str, url: str, what: str) -> Page:
        return await self._page(self._calls.reading(repository), url, what)

    async def _page(self, access: TokenScope, url: str, what: str) -> Page:
        call = RegistryRequest("GET list", url, what, access, frozenset({200, 404}), {"Accept": "*/*"})

        async def take(answer: RegistryResponse) -> Page:
            body = await answer.read(MAX_DOCUMENT_BYTES if answer.status == 200 else _LARGEST_ERROR, what=what)
            return Page(HttpResponse(answer.status, answer.headers, body), answer.url)

        return await self._call(call, take)
