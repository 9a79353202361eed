"""
Reading one repository of an ECR registry: `EcrSource` reads images, `EcrRepository` lists and deletes tags.

"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from transfer.concurrency.limiters import SingleFlight
from transfer.concurrency.retry import Retrier
from transfer.concurrency.tasks import gather
from transfer.engine.protocols import Source
from transfer.errors import (
    InvalidManifest,
    NotFound,
    RateLimited,
    RegistryError,
    TransferError,
    Unauthorized,
    attributed_to,
)
from transfer.events import Observer, Requested
from transfer.http.blob_stream import BlobStream, range_header
from transfer.http.messages import HttpRequest, StreamedResponse, retry_after
from transfer.http.transport import Transport
from transfer.model.descriptor import MANIFEST_MEDIA_TYPES, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, as_referrer, parse_manifest
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import names_of

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef
if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef, ImageReferrerTypeDef


# BatchGetImage takes at most 100 images (service model).
_BATCH = 100
# ListImageReferrers lists at most so many (service model).
REFERRERS_PAGE = 50


class EcrRepository:
    """One repository of one registry."""

    def __init__(self, client: EcrClient, *, registry_id: str | None, repository: str) -> None:
        self._client = client
        self._names = names_of(registry_id, repository)

    async def tags(self) -> AsyncIterator[str]:
        """Yield every tag, over all pages, in the registry's order."""
        images = self._client.list_images(**self._names, filter={"tagStatus": "TAGGED"})
        async for image in images:
            tag = image.get("imageTag")
            if tag is not None:
                yield tag

    async def digests(self, tags: Sequence[str]) -> dict[str, Digest | TransferError]:
        """Look up what tags hold, a hundred in a call; errors are values, and missing tags are left out."""
        batches = [tags[start : start + _BATCH] for start in range(0, len(tags), _BATCH)]
        answers = await gather(map(self._ask, batches))
        return {tag: one for answer in answers for tag, one in answer.items()}

    async def _ask(self, tags: Sequence[str]) -> dict[str, Digest | TransferError]:
        try:
            reply = await self._client.batch_get_image(
                **self._names,
                imageIds=[{"imageTag": tag} for tag in tags],
                acceptedMediaTypes=sorted(MANIFEST_MEDIA_TYPES),
            )
        except TransferError as error:
            return dict.fromkeys(tags, error)
        ids = [image.get("imageId", {}) for image in reply["images"]]
        return {one["imageTag"]: Digest(one.get("imageDigest", "")) for one in ids if "imageTag" in one}

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """Return the digests of an image's referrers."""
        listed = self._client.list_image_referrers(
            **self._names, subjectId={"imageDigest": digest}, maxResults=REFERRERS_PAGE
        )
        return frozenset([Digest(one["digest"]) async for one in listed])

    async def delete(self, name: str) -> None:
        """
        Remove a tag, and the image with its last one; or an image by digest, with all its tags.

        Raises:
            NotFound: there is no such image.
            RegistryError: it cannot be deleted, as the child of an index.
        """
        wanted: ImageIdentifierTypeDef = {"imageDigest": name} if ":" in name else {"imageTag": name}
        reply = await self._client.batch_delete_image(**self._names, imageIds=[wanted])
        for failure in reply.get("failures", ()):
            code = failure.get("failureCode", "")
            kind, status = (NotFound, 404) if code == "ImageNotFound" else (RegistryError, 400)
            reason = failure.get("failureReason", code)
            raise kind(
                f"delete {name} of {self._names['repositoryName']}: {reason}", status=status, code=code, side="target"
            )


# S3 answers 403 for an address that has expired.
_EXPIRED = frozenset({401, 403})
_KINDS = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 429: RateLimited}
# Manifests of 4 MiB each, as much as one answer may hold.
_READ_AT_ONCE = 10


class EcrSource(Source):
    """
    One repository of one registry.

    Args:
        client: the API of the registry's region.
        transport: fetches layers from where the API says they are.
        registry_id: the account that owns the registry; None for the caller's own.
    """

    def __init__(
        self,
        client: EcrClient,
        transport: Transport,
        retrier: Retrier,
        *,
        registry_id: str | None,
        repository: str,
        observe: Observer | None = None,
    ) -> None:
        self._client = client
        self._transport = transport
        self._retrier = retrier
        self._names = names_of(registry_id, repository)
        self._repository = repository
        self._observe = observe
        self._addresses: dict[Digest, str] = {}
        self._asking = SingleFlight[None]()
        self._read: dict[Digest, Manifest] = {}

    async def resolve(self, reference: str | None) -> Descriptor:
        name = reference or "latest"
        wanted: ImageIdentifierTypeDef = {"imageDigest": name} if ":" in name else {"imageTag": name}
        manifest = await self._image(wanted, None)
        # By tag ECR may convert: the digest that it names is of what is stored, which a fetch by digest returns.
        self._read[manifest.digest] = manifest
        return manifest.descriptor

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        known = self._read.pop(descriptor.digest, None)
        if known is not None and known.descriptor.size == descriptor.size:
            return known
        return await self._image({"imageDigest": descriptor.digest}, descriptor)

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """
        Return the referrers of a manifest: listed 50 in a call, read ten in a call.

        The API leaves open whether the sizes in its list are those of the manifests or of all that they name.
        """
        with attributed_to("source"):
            listed = self._client.list_image_referrers(
                **self._names, subjectId={"imageDigest": descriptor.digest}, maxResults=REFERRERS_PAGE
            )
            found = {one.digest: one for one in [_described(entry) async for entry in listed]}
            digests = list(found)
            for start in range(0, len(digests), _READ_AT_ONCE):
                for manifest in await self._readable(digests[start : start + _READ_AT_ONCE]):
                    self._read[manifest.digest] = manifest
                    found[manifest.digest] = as_referrer(manifest)
        return list(found.values())

    def tags(self) -> AsyncIterator[str]:
        """Return every tag, over all pages."""
        return EcrRepository(
            self._client, registry_id=self._names.get("registryId"), repository=self._repository
        ).tags()

    def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        stream = partial(
            BlobStream,
            descriptor,
            what=self._layer(descriptor),
            open_range=partial(self._open, descriptor),
            retry=partial(self._retrier.run, on_retry=self._observe),
        )
        return self._client.ranges.read(stream, offset, descriptor.end_of_range(offset, end))

    def open_file(self, descriptor: Descriptor) -> None:
        """There are no files here: content is streamed."""

    def locate(self, descriptor: Descriptor) -> str:
        return f"{self._repository}@{descriptor.digest}"

    @asynccontextmanager
    async def _open(self, descriptor: Descriptor, first: int, end: int) -> AsyncIterator[StreamedResponse]:
        """Open bytes of a layer; with a new address when the one at hand has expired."""
        headers = range_header(first, end, descriptor.size)
        async with AsyncExitStack() as stack:
            stale = None
            for renewed in (False, True):
                address = await self._address(descriptor, stale)
                if self._observe is not None:
                    self._observe(Requested("DownloadLayer"))
                request = HttpRequest(
                    "GET",
                    address,
                    headers,
                    tls=self._client.tls.anonymous(),
                    meter=self._client.meter,
                    large=descriptor.size > self._client.large_blob_bytes,
                )
                reply = await stack.enter_async_context(self._transport.stream(request, what=self._layer(descriptor)))
                if reply.status in {200, 206}:
                    yield reply
                    return
                if renewed or reply.status not in _EXPIRED:
                    raise self._refused(descriptor, reply)
                stale = address

    def _layer(self, descriptor: Descriptor) -> str:
        return f"layer {descriptor.digest} of {self._repository}"

    async def _address(self, descriptor: Descriptor, stale: str | None) -> str:
        """Return a layer's current URL; ranges of the same layer share the request."""
        if self._addresses.get(descriptor.digest) in {None, stale}:
            await self._asking.run(descriptor.digest, partial(self._ask, descriptor.digest), None)
        return self._addresses[descriptor.digest]

    async def _ask(self, digest: Digest) -> None:
        reply = await self._client.get_download_url_for_layer(**self._names, layerDigest=digest)
        self._addresses[digest] = reply["downloadUrl"]

    async def _image(self, wanted: "ImageIdentifierTypeDef", expected: Descriptor | None) -> Manifest:
        name = wanted.get("imageDigest") or wanted.get("imageTag") or ""
        reply = await self._client.batch_get_image(
            **self._names,
            imageIds=[wanted],
            acceptedMediaTypes=sorted(MANIFEST_MEDIA_TYPES),
        )
        if not reply["images"]:
            failure = next(iter(reply.get("failures") or [{}]))
            raise NotFound(
                f"{self._repository} has no image {name!r}: {failure.get('failureReason', 'it was not found')}; "
                "check its tags",
                status=404,
                code=failure.get("failureCode", "ImageNotFound"),
                side="source",
            )
        image = reply["images"][0]
        try:
            manifest = parse_manifest(
                image.get("imageManifest", "").encode(), expected, media_type=image.get("imageManifestMediaType")
            )
        except InvalidManifest as error:
            error.side = "source"
            raise
        reported = image.get("imageId", {}).get("imageDigest")
        if expected is None and reported != manifest.digest:
            raise InvalidManifest(
                f"image {name!r} of {self._repository}: the registry names it {reported}, its content is "
                f"{manifest.digest}",
                side="source",
            )
        return manifest

    async def _readable(self, digests: Sequence[Digest]) -> list[Manifest]:
        """Return those of some manifests that are there and of a known kind."""
        reply = await self._client.batch_get_image(
            **self._names,
            imageIds=[{"imageDigest": digest} for digest in digests],
            acceptedMediaTypes=sorted(MANIFEST_MEDIA_TYPES),
        )
        found = []
        for image in reply["images"]:
            # The caller reports a media type that is unknown.
            with suppress(InvalidManifest):
                media_type = image.get("imageManifestMediaType")
                found.append(parse_manifest(image.get("imageManifest", "").encode(), media_type=media_type))
        return [manifest for manifest in found if manifest.digest in digests]

    def _refused(self, descriptor: Descriptor, reply: StreamedResponse) -> RegistryError:
        return _KINDS.get(reply.status, RegistryError)(
            f"{self._layer(descriptor)}: its address answered {reply.status}; try again",
            status=reply.status,
            code=str(reply.status),
            retry_after=retry_after(reply.headers, now=time.time()),
            side="source",
        )


def _described(listed: "ImageReferrerTypeDef") -> Descriptor:
    return Descriptor(
        media_type=listed["mediaType"],
        digest=Digest(listed["digest"]),
        size=listed["size"],
        artifact_type=listed.get("artifactType"),
        annotations=listed.get("annotations"),
    )
