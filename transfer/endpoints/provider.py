"""
The protocol of a kind of endpoint, and what all kinds share.

To add a kind: write its module, add its parser to `locations` and its provider to `endpoints`.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import msgspec

from transfer.auth.login_status import LoginStatus
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.endpoints.locations import EcrLocation, ImageLocation
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.copy import CountingObserver, Pending
from transfer.engine.protocols import Source, Target
from transfer.errors import TransferError
from transfer.http.transport import Transport
from transfer.model.digest import Digest
from transfer.registry.ecr.create_repository import RepositorySettings
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
from transfer.state.journal import Journal
from transfer.state.presence_cache import KnownBlobs

L_contra = TypeVar("L_contra", contravariant=True)

# How ECR is written to: "auto" is "api", whose one call asks for a hundred blobs; only "registry" can mount.
EcrProtocol = Literal["auto", "api", "registry"]


class TargetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    One target of a copy: where it is, and how it is written to.

    Attributes:
        name: the target as the caller spelled it.
        location: where it is.
        access: how its registry is reached.
        ecr_protocol: which of ECR's two protocols is used.
        create: the settings to create a missing ECR repository with; None leaves it missing.
        tagged: the digest that the tag was just seen to hold, None where there was no tag; UNSET where nobody asked.
        among: how many targets share the bytes in flight.
    """

    name: str
    location: ImageLocation
    access: RegistryAccess
    ecr_protocol: EcrProtocol = "auto"
    create: RepositorySettings | None = None
    tagged: Digest | msgspec.UnsetType | None = msgspec.UNSET
    among: int = 1

    @property
    def by_ecr_api(self) -> bool:
        """Whether ECR's API writes, which cannot mount."""
        return isinstance(self.location, EcrLocation) and self.ecr_protocol != "registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The objects that all endpoints of one engine share; `credentials` replace AWS's credential chain."""

    config: TransferConfig
    credentials: AwsCredentials | None
    limits: Limits
    retrier: Retrier
    transport: Transport
    journal: Journal
    known: KnownBlobs


class RepositoryClient(Protocol):
    """One repository: its tags, what they hold, and deletion."""

    def tags(self) -> AsyncIterator[str]:
        """Yield every tag, over all pages, in the registry's order."""

    async def digests(self, tags: Sequence[str]) -> Mapping[str, Digest | TransferError]:
        """Return what tags hold, or why that cannot be told; missing tags are left out."""

    async def referrers(self, digest: Digest) -> frozenset[Digest]:
        """Return the digests of what refers to an image."""

    async def delete(self, name: str) -> None:
        """Delete a tag, or an image by digest."""


class Provider(Protocol[L_contra]):
    """Opens the endpoints of one kind of location."""

    def __init__(self, shared: Shared) -> None: ...

    def source(
        self, location: L_contra, observer: CountingObserver, access: RegistryAccess
    ) -> AbstractAsyncContextManager[Source]:
        """Open a location to read from."""

    def target(
        self, location: L_contra, plan: TargetPlan, observer: CountingObserver
    ) -> AbstractAsyncContextManager[Target]:
        """Open a location to write to."""


class RegistryProvider(Provider[L_contra], Protocol[L_contra]):
    """A kind of registry, which has repositories besides."""

    async def repository(self, location: L_contra, access: RegistryAccess, *, before_push: bool) -> RepositoryClient:
        """Open a repository; `before_push` where images may be pushed to it next."""

    def repositories(self, location: L_contra, access: RegistryAccess) -> AsyncGenerator[str]:
        """Yield the name of every repository of a registry, where it lists them."""

    async def check_login(self, location: L_contra, access: RegistryAccess) -> LoginStatus:
        """Find out whether the credentials work."""

    async def warm_up(self, location: L_contra, access: RegistryAccess, *, before_push: bool) -> None:
        """Connect and authenticate, so that the next request need not."""

    def requests_to_push(self, plan: TargetPlan, pending: Sequence[Pending]) -> Counter[str]:
        """Return the number of requests that would push these images, by kind."""

    def pull_quotas(self) -> Sequence[tuple[str, RateLimitHeaders]]:
        """Return what registries said of how much may be pulled, with the name of each."""


def blob_sizes(pending: Sequence[Pending]) -> list[int]:
    """Return the sizes of all blobs to upload, in bytes."""
    return [blob.size for one in pending for blob in one.uploads]
