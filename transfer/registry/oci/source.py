"""
DistributionSource: one repository of one registry as a Source.

A manifest's digest is always computed from its bytes; what a header says of it counts nothing. Does not verify the
digest of a blob: whoever uses its bytes does.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial

from transfer.errors import InvalidDigest, InvalidManifest, InvalidReference, NotFound, TransferError, attributed_to
from transfer.http.blob_stream import BlobStream
from transfer.http.messages import is_repository_missing
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest
from transfer.registry.oci.client import DistributionClient
from transfer.registry.oci.requests import FetchedManifest

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class DistributionSource:
    """
    One repository to read from.

    Args:
        client: the registry.
        repository: the repository's name in it.
    """

    def __init__(self, client: DistributionClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        # A root is fetched to be resolved, and then asked for again.
        self._resolved: dict[Digest, Manifest] = {}

    async def resolve(self, reference: str | None) -> Descriptor:
        """
        Descriptor by tag or digest, or None for the only tagged image.

        Raises:
            InvalidReference: it is neither.
            NotFound: there is none, or None was asked for and there are several.
        """
        with attributed_to("source"):
            if reference is None:
                reference = await self._only_tag()
            elif not _is_reference(reference):
                raise InvalidReference(f"reference {reference[:140]!r} of {self._name}: it is neither tag nor digest")
            try:
                fetched = await self._client.get_manifest(self._repository, reference)
            except NotFound as error:
                await self._check_repository(error)
                raise NotFound(
                    f"image {reference!r} of {self._name}: {error}", status=error.status, code=error.code
                ) from None
            manifest = self._read(fetched.raw, reference, fetched.media_type)
        self._resolved[manifest.digest] = manifest
        return manifest.descriptor

    async def _check_repository(self, error: NotFound) -> None:
        """
        Find out whether there is a repository: docker-registry says the same of a manifest if there is none.

        Raises:
            NotFound: there is none.
        """
        if is_repository_missing(error):
            return
        try:
            async with aclosing(self._client.single().tags(self._repository)) as tags:
                await anext(tags, None)
        except NotFound as missing:
            if is_repository_missing(missing):
                raise
        except TransferError:
            # It says nothing of the image either.
            return

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        """
        Return the manifest, verified against the descriptor.

        Raises:
            NotFound: it is not here.
            InvalidManifest: it is not what the descriptor says.
        """
        known = self._resolved.get(descriptor.digest)
        with attributed_to("source"):
            if known is not None:
                fetched = FetchedManifest(known.raw, known.media_type)
            else:
                fetched = await self._client.get_manifest(self._repository, descriptor.digest)
            if fetched.media_type not in {None, descriptor.media_type}:
                raise InvalidManifest(
                    f"{self._name}: manifest {descriptor.digest} was declared as {descriptor.media_type!r}, and the "
                    f"registry serves it as {fetched.media_type!r}"
                )
            try:
                return parse_manifest(fetched.raw, descriptor)
            except InvalidManifest as error:
                raise InvalidManifest(f"{self._name}: {error}") from None

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        """Return the referrers of a manifest, by the referrers API or the fallback tag, over all pages."""
        with attributed_to("source"):
            return await self._client.referrers(self._repository, descriptor.digest)

    async def tags(self) -> AsyncIterator[str]:
        """
        Yield every tag, over all pages.

        Raises:
            NotFound: there is no such repository.
        """
        with attributed_to("source"):
            async with aclosing(self._client.single().tags(self._repository)) as tags:
                async for tag in tags:
                    yield tag

    def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """
        Stream the bytes from `offset` up to, not including, `end`, in pieces of at most 1 MiB.

        Raises:
            NotFound: the blob is not here.
            ContentMismatch: it has another size.
            ConnectionFailed: the stream broke and could not be continued.
            ValueError: the range is not inside the blob.
        """
        stream = partial(
            BlobStream,
            descriptor,
            what=f"GET blob {descriptor.digest} of {self._name}",
            open_range=partial(self._client.get_blob, self._repository, descriptor),
            retry=self._client.retry,
        )
        return self._client.ranges.read(stream, offset, descriptor.end_of_range(offset, end))

    def open_file(self, descriptor: Descriptor) -> None:
        """There are no files here: content is streamed."""

    def locate(self, descriptor: Descriptor) -> str:
        return f"{self._name}@{descriptor.digest}"

    @property
    def _name(self) -> str:
        return f"{self._client.registry}/{self._repository}"

    async def _only_tag(self) -> str:
        found: list[str] = []
        async with aclosing(self._client.single().tags(self._repository)) as tags:
            async for tag in tags:
                found.append(tag)
                if len(found) > 1:
                    break
        if len(found) != 1:
            many = "no" if not found else "more than one"
            raise NotFound(
                f"repository {self._name}: it has {many} tag; name a tag or a digest", status=404, code="TAG_UNKNOWN"
            )
        return found[0]

    def _read(self, raw: bytes, reference: str, media_type: str | None) -> Manifest:
        try:
            if ":" not in reference:
                return parse_manifest(raw, media_type=media_type)
            # The descriptor that a digest stands for is that of these bytes, if they have it at all.
            wanted = Digest(reference)
            kind = parse_manifest(raw, media_type=media_type).media_type
            return parse_manifest(raw, Descriptor(media_type=kind, digest=wanted, size=len(raw)))
        except InvalidManifest as error:
            raise InvalidManifest(f"{self._name}: {error}") from None


def _is_reference(reference: str) -> bool:
    if ":" not in reference:
        return _TAG.fullmatch(reference) is not None
    try:
        return bool(Digest(reference))
    except InvalidDigest:
        return False
