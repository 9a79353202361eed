"""
EcrRepository: tags and deletion, for one repository of one ECR registry.

Knows nothing of layers, nor of how an image is moved.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from transfer.errors import NotFound, RegistryError
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.names import names_of

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef


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
