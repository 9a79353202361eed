"""How a call of the API names the registry or repository that it is about. Knows no operation."""

from typing import NotRequired, TypedDict


class RepositoryNames(TypedDict):
    """A repository's name, and the account that owns its registry; without one it is the caller's own."""

    repositoryName: str
    registryId: NotRequired[str]


class RegistryNames(TypedDict):
    """The account that owns a registry; without one it is the caller's own."""

    registryId: NotRequired[str]


def registry_of(registry_id: str | None) -> RegistryNames:
    """The name of a registry, by the API's own word."""
    return {} if registry_id is None else {"registryId": registry_id}


def names_of(registry_id: str | None, repository: str) -> RepositoryNames:
    """The names of a repository, by the API's own words."""
    return {**registry_of(registry_id), "repositoryName": repository}
