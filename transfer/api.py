"""
The library's front door: `copy_image`, `push_image`, `pull_image`, and the `Engine` that shares connections between
calls.

Puts the ends, the limits and the algorithm together. Knows no terminal, and reads nothing of the environment but what
botocore and the platform's folders read.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

import platformdirs

from transfer.auth.login_status import LoginStatus
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.endpoints.endpoints import Endpoints
from transfer.endpoints.locations import locate_image, locate_login, locate_repository, locate_source
from transfer.endpoints.provider import EcrProtocol, Shared
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.engine.deduplication import BlobDeduplicator
from transfer.engine.plan import PlannedContent
from transfer.engine.referrers import Inspected, inspect
from transfer.engine.result import Preview, PushResult
from transfer.errors import TransferError
from transfer.events import Notice, Observer
from transfer.http.transport import Transport
from transfer.job import Destination, Job, JobRun, Outcome
from transfer.model.digest import Digest
from transfer.model.platform import parse_platform
from transfer.registry.ecr.create_repository import RepositorySettings
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
from transfer.state.journal import Journal, Memory, NoJournal, NoMemory
from transfer.state.presence_cache import KnownBlobs
from transfer.state.sqlite_journal import SqliteJournal
from transfer.state.trimmed_images import recall_trimmed


class CopyOptions(TypedDict, total=False):
    """
    What a copy may be told besides its two ends.

    Attributes:
        platforms: of an index, only the images for these, as in `linux/arm64`: one is copied as the image that it is,
            several as an index of those; all where none is named.
        source_access, target_access: how a side's registry is reached, and as whom.
        ecr_protocol: how a target in ECR is written to: by its API (`auto`, `api`), or by its Docker endpoint
            (`registry`), which mounts blobs of other repositories where the account has that switched on.
        create_repository: create the repository of ECR when it is missing: with these settings, or the registry's own.
        referrers: take along what refers to the image: signatures, SBOMs, attestations, and those under cosign's tags.
        include_foreign: take along layers that registries need not hold (Windows base layers), from wherever they are.
        observer: called with each event, in the event loop; it must return at once.
    """

    platforms: Sequence[str]
    source_access: RegistryAccess
    target_access: RegistryAccess
    ecr_protocol: EcrProtocol
    create_repository: bool | RepositorySettings
    referrers: bool
    include_foreign: bool
    observer: Observer | None


async def copy_image(
    source: str,
    target: str,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """
    Copy one image, continuing inside its layers where an earlier copy was stopped.

    Args:
        source: `oci:DIR[:TAG]` or `oci:DIR@DIGEST`, an OCI image layout; `oci-archive:PATH[:TAG]`, one in a tar;
            `docker-archive:PATH[:NAME]`, what `docker save` writes, `-` for the standard input; or an image of a
            registry, spelled as a target.
        target: `REGISTRY/REPOSITORY[:TAG]`, or `…@DIGEST` to copy without a tag; the tag is `latest` where neither is
            given. `ACCOUNT.dkr.ecr.REGION.amazonaws.com` is reached by the ECR API, any other host too where it is
            spelled `ecr://HOST/REPOSITORY`. Or `oci:DIR[:TAG]`, `oci-archive:PATH[:TAG]`.
        config: limits, retry and the place of the journal.
        credentials: instead of the AWS credential chain's.
        options: `CopyOptions`, as in `platforms=["linux/arm64"]`.

    Raises:
        TransferError: with nothing changed under the tag; its class says what happened, see `transfer.errors`.
    """
    async with Engine(config, credentials=credentials) as engine:
        return await engine.copy(source, target, **options)


async def push_image(
    source: str,
    target: str,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """Push one image into a registry: `copy_image` by the name that one looks for when the image is local."""
    return await copy_image(source, target, config=config, credentials=credentials, **options)


async def pull_image(
    source: str,
    target: str,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """Pull one image onto this machine: `copy_image` by the name that one looks for when the target is local."""
    return await copy_image(source, target, config=config, credentials=credentials, **options)


class Engine:
    """
    Shares connections, credentials, limits, the journal and known blobs between copies.

        async with Engine() as engine:
            await engine.push("oci:build:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")

    Copies may run at the same time: what two of them need in one repository is uploaded once.
    """

    def __init__(self, config: TransferConfig | None = None, *, credentials: AwsCredentials | None = None) -> None:
        self._config = config or TransferConfig()
        self._credentials = credentials
        self._limits = Limits(self._config)
        self._sharing = BlobDeduplicator(self._limits, patience=self._config.patience)
        self._exit = AsyncExitStack()
        self._opened: Endpoints | None = None
        self._notices: list[str] = []
        self._memory: Memory = NoMemory()

    async def __aenter__(self) -> Self:
        journal: Journal = NoJournal()
        if self._config.journal:
            path = self._config.state_path or default_state_path()
            journal = self._memory = kept = SqliteJournal(path, on_failure=self._notices.append)
            self._exit.push_async_callback(kept.close)
        shared = Shared(
            config=self._config,
            credentials=self._credentials,
            limits=self._limits,
            retrier=Retrier(self._config),
            transport=Transport(self._config),
            journal=journal,
            known=KnownBlobs(self._memory),
        )
        self._opened = await self._exit.enter_async_context(Endpoints(shared))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened = None
        await self._exit.aclose()

    @property
    def _ends(self) -> Endpoints:
        if self._opened is None:
            raise RuntimeError("use the engine in 'async with Engine() as engine'")
        return self._opened

    async def push(self, source: str, target: str, **options: Unpack[CopyOptions]) -> PushResult:
        """Push one image: `copy` by the name that one looks for when the image is local."""
        return await self.copy(source, target, **options)

    async def copy(  # noqa: PLR0913 - each is one fact of a copy
        self,
        source: str,
        target: str,
        *,
        platforms: Sequence[str] = (),
        source_access: RegistryAccess = DEFAULT_ACCESS,
        target_access: RegistryAccess = DEFAULT_ACCESS,
        ecr_protocol: EcrProtocol = "auto",
        create_repository: bool | RepositorySettings = False,
        referrers: bool = False,
        include_foreign: bool = False,
        observer: Observer | None = None,
    ) -> PushResult:
        """Copy one image; arguments and errors as of `copy_image`, options as of `CopyOptions`."""
        destination = Destination(target, target_access, ecr_protocol, create_repository)
        job = Job(
            source,
            (destination,),
            tuple(platforms),
            access=source_access,
            referrers=referrers,
            include_foreign=include_foreign,
        )
        (outcome,) = await self.run(job, observer=observer)
        if isinstance(outcome, TransferError):
            raise outcome
        return outcome

    async def run(self, job: Job, *, observer: Observer | None = None) -> list[Outcome]:
        """
        Copy one image to several targets, each of its blobs read once.

        One that fails does not stop the others, and one that is slow does not hold them up for longer than
        `TransferConfig.patience`.

        Args:
            observer: where there are several targets, events are wrapped in `At`, which names the target.

        Returns:
            For each target, in order, what was done, or the error that ended it.

        Raises:
            TransferError: the source cannot be read, or the job makes no sense; nothing was sent.
        """
        try:
            return await self._job_run(job, observer).run()
        finally:
            while self._notices:
                notice = Notice(self._notices.pop())
                if observer is not None:
                    observer(notice)

    async def preview(self, job: Job, *, coming: PlannedContent | None = None) -> list[Preview | TransferError]:
        """
        What `run` would do, found out by the same questions; nothing is written anywhere.

        Args:
            coming: what earlier previews have found to be sent, which then counts as present, or can be mounted; what
                this one finds is added.

        Returns:
            For each target, in order, what would be done, or the error that would end it before anything was sent.

        Raises:
            TransferError: the source cannot be read, the job makes no sense, or a target is not in a registry.
        """
        return await self._job_run(job, None).preview(coming or PlannedContent())

    def _job_run(self, job: Job, observer: Observer | None) -> JobRun:
        return JobRun(job, ends=self._ends, sharing=self._sharing, memory=self._memory, observer=observer)

    async def inspect(
        self, source: str, *, access: RegistryAccess = DEFAULT_ACCESS, referrers: bool = True
    ) -> Inspected:
        """
        Read the manifests of an image, and what refers to it: platforms, blobs and sizes, without their content.

        Args:
            referrers: ask for those too; that a registry cannot tell them is no error.

        Raises:
            TransferError: as of `copy_image`.
        """
        place = locate_source(source)
        async with self._ends.source(place, CountingObserver(None), access) as origin:
            return await inspect(origin, await origin.resolve(place.choice), referrers=referrers)

    async def repositories(self, registry: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> AsyncIterator[str]:
        """
        Every repository of a registry, where that tells: many hosted ones do not.

        Raises:
            TransferError: as of `copy_image`.
        """
        async for name in self._ends.repositories(locate_login(registry), access):
            yield name

    async def warm_up(
        self, repository: str, *, access: RegistryAccess = DEFAULT_ACCESS, before_push: bool = False
    ) -> None:
        """
        Reach a repository's registry while there is nothing to ask yet: what is asked next need not wait for that.

        Args:
            before_push: something may be pushed there next: the token for that, where there is one, is asked for now.

        Raises:
            TransferError: as of `copy_image`; what is asked next will tell the same.
        """
        await self._ends.warm_up(locate_repository(repository), access, before_push=before_push)

    async def digests(
        self,
        repository: str,
        tags: Sequence[str],
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        before_push: bool = False,
    ) -> Mapping[str, Digest | TransferError]:
        """
        What tags of a repository hold, in as few requests as its registry allows.

        Args:
            before_push: as of `warm_up`.

        Returns:
            By tag the digest, or why it cannot be told; tags that are not there are left out.
        """
        place = locate_repository(repository)
        return await (await self._ends.repository(place, access, before_push=before_push)).digests(tags)

    async def referrers(
        self,
        repository: str,
        digest: Digest,
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        before_push: bool = False,
    ) -> frozenset[Digest]:
        """
        The digests of what refers to an image of a repository.

        Args:
            before_push: as of `warm_up`.

        Raises:
            TransferError: as of `copy_image`.
        """
        place = locate_repository(repository)
        return await (await self._ends.repository(place, access, before_push=before_push)).referrers(digest)

    async def trimmed(self, digest: Digest, platforms: Sequence[str]) -> Digest | None:
        """
        What an image becomes when it is cut down to some platforms; None where no earlier copy found that out.

        Raises:
            InvalidConfig: a platform is not spelled as one.
        """
        return await recall_trimmed(self._memory, digest, [parse_platform(text) for text in platforms])

    async def tags(self, repository: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> AsyncIterator[str]:
        """
        Every tag of a repository, in the registry's order.

        Raises:
            TransferError: as of `copy_image`.
        """
        async for tag in (await self._ends.repository(locate_repository(repository), access)).tags():
            yield tag

    async def check_login(self, place: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> LoginStatus:
        """
        Whether the credentials work at `HOST` or for `HOST/REPOSITORY`, as whom, and found where; moves nothing.

        Raises:
            InvalidReference: it is neither of these.
            InvalidConfig: a setting or a file of logins cannot be read.
        """
        return await self._ends.check_login(locate_login(place), access)

    def pull_quotas(self) -> dict[str, RateLimitHeaders]:
        """What registries, Docker Hub above all, have said in this engine's time of how much may be pulled, by name."""
        return self._ends.pull_quotas()

    async def delete(self, reference: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> None:
        """
        Delete a tag, or an image by digest with all its tags.

        Raises:
            InvalidReference: neither a tag nor a digest is named.
            NotFound: there is no such image.
        """
        place = locate_image(reference)
        await (await self._ends.repository(place, access)).delete(place.choice or "")


def default_state_path() -> Path:
    """The journal's place where none is named: the platform's folder for state."""
    return platformdirs.user_state_path("transfer") / "journal.sqlite"
