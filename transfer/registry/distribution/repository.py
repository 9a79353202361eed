"""
DistributionRepository: tags and deletion, for one repository of one registry.

Knows nothing of blobs, nor of how an image is moved.
"""

from collections.abc import AsyncIterator

from transfer.registry.distribution.client import DistributionClient


class DistributionRepository:
    """One repository of one registry."""

    def __init__(self, client: DistributionClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    def tags(self) -> AsyncIterator[str]:
        """Every tag, over all pages, in the registry's order."""
        return self._client.tags(self._repository)

    async def delete(self, name: str) -> None:
        """
        Delete a tag, or a manifest by digest with all its tags.

        Raises:
            NotFound: there is none.
        """
        await self._client.delete_manifest(self._repository, name)
