"""
EcrRepository: tags, what they hold, and deletion, for one repository of one ECR registry.

Knows nothing of layers, nor of how an image is moved.
"""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from transfer.concurrency.tasks import gather
from transfer.errors import NotFound, RegistryError, TransferError
from transfer.model.descriptor import MANIFEST_MEDIA_TYPES
from transfer.model.digest import Digest
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import names_of

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

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
        """Every tag, over all pages, in the registry's order."""
        images = self._client.list_images(**self._names, filter={"tagStatus": "TAGGED"})
        async for image in images:
            tag = image.get("imageTag")
            if tag is not None:
                yield tag

    async def digests(self, tags: Sequence[str]) -> dict[str, Digest | TransferError]:
        """What tags hold, a hundred a call, or why that cannot be told; those that are not there are left out."""
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
        ids = [image["imageId"] for image in reply["images"]]
        return {one["imageTag"]: Digest(one["imageDigest"]) for one in ids if "imageTag" in one}

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """What refers to an image."""
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
        for failure in reply["failures"]:
            code = failure.get("failureCode", "")
            kind, status = (NotFound, 404) if code == "ImageNotFound" else (RegistryError, 400)
            reason = failure.get("failureReason", code)
            raise kind(
                f"delete {name} of {self._names['repositoryName']}: {reason}", status=status, code=code, side="target"
            )
