"""Creating repositories that are missing: with which settings, and each once, however many copies miss it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from transfer.concurrency.limiters import SingleFlight
from transfer.errors import NotFound, RegistryError, TransferError
from transfer.registry.ecr.host import RepositoryNames, registry_of

if TYPE_CHECKING:
    from transfer.registry.ecr.client import EcrClient


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySettings:
    """
    The settings of a new repository; what is left out is the registry's default.

    Attributes:
        tags: resource tags, as pairs of key and value.
        mutability, mutability_exclude: whether tags can be moved, and wildcards of those that are left out.
        encryption, kms_key: `AES256`, `KMS` or `KMS_DSSE`, and the ARN of a key of KMS.
        scan_on_push: scan each image when it arrives.
        lifecycle_policy, repository_policy: JSON documents.
    """

    tags: tuple[tuple[str, str], ...] = ()
    mutability: Literal["MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"] | None = None
    mutability_exclude: tuple[str, ...] = ()
    encryption: Literal["AES256", "KMS", "KMS_DSSE"] | None = None
    kms_key: str | None = None
    scan_on_push: bool = False
    lifecycle_policy: str | None = None
    repository_policy: str | None = None


def creation(settings: RepositorySettings) -> Mapping[str, Any]:
    """Return the parameters of CreateRepository besides the repository's names."""
    filters = [{"filterType": "WILDCARD", "filter": one} for one in settings.mutability_exclude]
    encryption = {"encryptionType": settings.encryption, "kmsKey": settings.kms_key}
    wanted = {
        "tags": [{"Key": key, "Value": value} for key, value in settings.tags],
        "imageTagMutability": settings.mutability,
        "imageTagMutabilityExclusionFilters": filters,
        "encryptionConfiguration": {name: value for name, value in encryption.items() if value},
        "imageScanningConfiguration": {"scanOnPush": True} if settings.scan_on_push else None,
    }
    return {name: value for name, value in wanted.items() if value}


def policies(settings: RepositorySettings) -> Mapping[str, Mapping[str, str]]:
    """Return the calls that follow a creation, with what each is given."""
    texts = {
        "PutLifecyclePolicy": ("lifecyclePolicyText", settings.lifecycle_policy),
        "SetRepositoryPolicy": ("policyText", settings.repository_policy),
    }
    return {operation: {name: text} for operation, (name, text) in texts.items() if text is not None}


def calls_to_create(settings: RepositorySettings) -> tuple[str, ...]:
    """Return the calls that a creation takes."""
    return "CreateRepository", *policies(settings)


class RepositoryCreation:
    """
    One repository that is created if it turns out to be missing: once for all who miss it at the same time.

    Attributes:
        times: how often that was done; to be read before the repository is asked for.
    """

    def __init__(self, client: "EcrClient", names: RepositoryNames, settings: RepositorySettings) -> None:
        self._client = client
        self._names = names
        self._settings = settings
        self._flights = SingleFlight[None]()
        self._there = False
        self.times = 0

    async def run(self, times: int) -> None:
        """
        Create the repository, unless somebody did since it was created so many `times`.

        Raises:
            TransferError: it could not be created, or not with its policies.
        """
        if self.times == times:
            await self._flights.run("create", self._create, None)

    async def look(self) -> None:
        """
        See to it that the repository is there, for a protocol that does not tell that it is missing; asks once.

        Raises:
            TransferError: as of `run`, or it does not become known whether it is there.
        """
        if not self._there:
            await self._flights.run("look", self._look, None)

    async def _look(self) -> None:
        times = self.times
        try:
            await self._client.call("DescribeRepositories", **_described(self._names))
        except NotFound as error:
            if error.code != "RepositoryNotFoundException":
                raise
            await self.run(times)
        self._there = True

    async def _create(self) -> None:
        try:
            await self._client.call("CreateRepository", **self._names, **creation(self._settings))
        except RegistryError as error:
            if error.code != "RepositoryAlreadyExistsException":
                raise
        else:
            await self._set_policies()
        self.times += 1

    async def _set_policies(self) -> None:
        for operation, text in policies(self._settings).items():
            try:
                await self._client.call(operation, **self._names, **text)
            except TransferError as error:
                error.add_note(f"{self._names['repositoryName']} was created, and is left without that policy")
                raise


def _described(names: RepositoryNames) -> dict[str, Any]:
    return {**registry_of(names.get("registryId")), "repositoryNames": [names["repositoryName"]]}
