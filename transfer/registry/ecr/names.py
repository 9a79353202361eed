"""How a call of the API names the repository that it is about. Knows no operation."""

from typing import NotRequired, TypedDict


class RepositoryNames(TypedDict):
    """A repository's name, and the account that owns its registry; without one it is the caller's own."""

    repositoryName: str
    registryId: NotRequired[str]


def names_of(registry_id: str | None, repository: str) -> RepositoryNames:
    """The names of a repository, by the API's own words."""
    if registry_id is None:
        return {"repositoryName": repository}
    return {"registryId": registry_id, "repositoryName": repository}
