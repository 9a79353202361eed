"""
The Python API: the `Engine`, which shares connections between calls; `functions` has the calls that need no more.

Of the environment it reads only what botocore, docker's and podman's configuration and the platform's folders say.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from transfer.auth.login_status import LoginStatus
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.endpoints.endpoints import Endpoints
from transfer.endpoints.image import Image
from transfer.endpoints.locations import (
    FilesLocation,
    Location,
    check_pull_target,
    locate_image,
    locate_login,
    locate_repository,
    locate_source,
)
from transfer.endpoints.provider import Shared
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.copy import CountingObserver
from transfer.engine.deduplication import BlobDeduplicator
from transfer.engine.plan import PlannedContent
from transfer.engine.referrers import Inspected, inspect
from transfer.engine.result import Preview, PushResult
from transfer.errors import TransferError
from transfer.events import Notice, Observer
from transfer.http.transport import Transport
from transfer.job import CopyOptions, Destination, FilesOptions, Job, Outcome, copy_options, make_job, only_result
from transfer.job_run import JobRun
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
from transfer.state.journal import NoState, StateStore
from transfer.state.presence_cache import KnownBlobs
from transfer.state.sqlite_journal import SqliteJournal, default_state_path

if TYPE_CHECKING:
    import boto3

T = TypeVar("T")

__all__ = ["CopyOptions", "Destination", "Engine", "Job", "Outcome"]


class Engine:
    """
    Share connections, credentials, limits, the journal and known blobs between copies.

        async with Engine() as engine:
            await engine.push("oci:build:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")

    Copies may run at the same time; what two of them need in one repository is uploaded once.

    Args:
        config: limits, timeouts, retry and the path of the journal.
        credentials: used instead of what the AWS credential chain finds.
        session: a `boto3.Session` that has the AWS credentials.
        state: where upload sessions and known blobs are kept, instead of the SQLite file that `config` names. The
            engine closes it.
        transport: what sends HTTP requests, instead of a `Transport` of the engine's own. The engine enters and exits
            it.

    Attributes:
        limits: the slots, bytes and rates; `await limits.steps.stop(9)` lets chunks end before a copy is cancelled.

    Every method that moves or reads something raises TransferError, as `push_image` does. Leaving the engine cancels
    what is still at work, and waits for its end.
    """

    def __init__(
        self,
        config: TransferConfig | None = None,
        *,
        credentials: AwsCredentials | None = None,
        session: "boto3.Session | None" = None,
        state: StateStore | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._config = config or TransferConfig()
        self._credentials = credentials
        if session is not None:
            self._credentials = replace(credentials or AwsCredentials(), session=session)
        self.limits = Limits(self._config)
        self._blobs = BlobDeduplicator(self.limits, patience=self._config.patience)
        self._exit = AsyncExitStack()
        self._opened: Endpoints | None = None
        self._notices: list[str] = []
        self._running: set[asyncio.Task[Any]] = set()
        self._given_state = state
        self._given_transport = transport
        self._state: StateStore = NoState()

    def _own_state(self) -> StateStore:
        if not self._config.journal:
            return NoState()
        return SqliteJournal(self._config.state_path or default_state_path(), on_failure=self._notices.append)

    async def __aenter__(self) -> Self:
        self._state = self._given_state or self._own_state()
        self._exit.push_async_callback(self._state.close)
        shared = Shared(
            config=self._config,
            credentials=self._credentials,
            limits=self.limits,
            retrier=Retrier(self._config),
            transport=self._given_transport or Transport(self._config),
            journal=self._state,
            known=KnownBlobs(self._state),
        )
        self._opened = await self._exit.enter_async_context(Endpoints(shared))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened = None
        try:
            if running := [task for task in self._running if task.cancel()]:
                await asyncio.wait(running)
        finally:
            await self._exit.aclose()

    @property
    def _endpoints(self) -> Endpoints:
        if self._opened is None:
            raise RuntimeError("use the engine in 'async with Engine() as engine'")
        return self._opened

    async def _ended_with(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in a task of the engine's own, which leaving the engine ends and awaits."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._opened is not None or (caller is not None and caller.cancelling()):
                raise
            raise TransferError("the engine was closed before this ended: await it inside of 'async with'") from None

    async def push(self, source: Location | Image, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        """Push one image; see `push_image`."""
        return await self.copy(source, target, **options)

    async def pull(self, source: Location, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        """
        Pull one image into a layout or archive on this machine; see `pull_image`.

        Raises:
            InvalidReference: the target is in a registry.
        """
        check_pull_target(target)
        return await self.copy(source, target, **options)

    async def copy(self, source: Location | Image, target: Location, **options: Unpack[CopyOptions]) -> PushResult:
        """Copy one image between any source and any target; see `push_image`."""
        observer = options.pop("observer", None)
        return only_result(await self.run(make_job(source, [target], options), observer=observer))

    async def push_files(
        self, target: str, files: Sequence[str | PathLike[str]], **options: Unpack[FilesOptions]
    ) -> PushResult:
        """Push files and folders as an artifact; see `transfer.push_files`."""
        from transfer.local.files.artifact import build_artifact  # noqa: PLC0415 - compression, which images need not

        subject: Descriptor | None = None
        if reference := options.pop("subject", None):
            access = options.get("target_access", DEFAULT_ACCESS)
            subject = (await self.inspect(reference, access=access, referrers=False)).graph.root.descriptor
        build = partial(
            build_artifact,
            files,
            artifact_type=options.pop("artifact_type", None),
            annotations=options.pop("annotations", None),
            subject=subject,
            compression=options.pop("compression", "gzip"),
        )
        observer = options.pop("observer", None)
        with closing(await asyncio.to_thread(build)) as artifact:
            job = make_job(FilesLocation(artifact), [target], copy_options(options))
            return only_result(await self.run(job, observer=observer))

    async def pull_files(
        self,
        source: str,
        folder: str | PathLike[str],
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        observer: Observer | None = None,
    ) -> tuple[Path, ...]:
        """Pull an artifact's files into a folder; see `transfer.pull_files`."""
        from transfer.local.files.write import write_files  # noqa: PLC0415 - as above

        location = locate_source(source)
        counter = CountingObserver(observer)
        opened = self._endpoints.source(location, counter, access)

        async def read() -> tuple[Path, ...]:
            async with opened as found:
                manifest = await found.manifest(await found.resolve(location.choice))
                return await write_files(found, manifest, Path(folder), notify=counter)

        return await self._ended_with(read())

    async def run(self, job: Job, *, observer: Observer | None = None) -> list[Outcome]:
        """
        Copy one image to several targets, reading each of its blobs once.

        A target that fails does not stop the others; a slow one delays them by `TransferConfig.patience`.

        Args:
            job: the image and its targets.
            observer: called with each event, in the event loop; it must return at once. Where there are several
                targets, events are wrapped in `At`, which names the target.

        Returns:
            For each target, in order, its result, or the error that ended it.

        Raises:
            TransferError: the source cannot be read, or the job contradicts itself; nothing was sent.
        """
        try:
            return await self._ended_with(self._job_run(job, observer).run())
        finally:
            while self._notices:
                notice = Notice(self._notices.pop())
                if observer is not None:
                    observer(notice)

    async def preview(self, job: Job) -> list[Preview | TransferError]:
        """
        Find out what `run` would do; nothing is written anywhere.

        Returns:
            For each target, in order, what would be done, or the error that would end it.

        Raises:
            TransferError: the source cannot be read, the job contradicts itself, or a target is not in a registry.
        """
        return await self._ended_with(self._job_run(job, None).preview(PlannedContent()))

    def _job_run(self, job: Job, observer: Observer | None) -> JobRun:
        return JobRun(job, endpoints=self._endpoints, sharing=self._blobs, memory=self._state, observer=observer)

    async def inspect(
        self, source: str, *, access: RegistryAccess = DEFAULT_ACCESS, referrers: bool = True
    ) -> Inspected:
        """
        Read the manifests of an image: platforms, blobs, sizes and referrers, without the blobs' content.

        Args:
            source: as of `push_image`.
            access: how the source's registry is reached.
            referrers: ask for referrers too; a registry that cannot list them is no error.
        """
        location = locate_source(source)
        opened = self._endpoints.source(location, CountingObserver(None), access)

        async def read() -> Inspected:
            async with opened as found:
                return await inspect(found, await found.resolve(location.choice), referrers=referrers)

        return await self._ended_with(read())

    async def repositories(self, registry: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> AsyncIterator[str]:
        """Yield the name of every repository of a registry, where it lists them; many hosted ones do not."""
        async with aclosing(self._endpoints.repositories(locate_login(registry), access)) as names:
            async for name in names:
                yield name

    async def tags(self, repository: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> AsyncIterator[str]:
        """Yield every tag of `HOST/REPOSITORY`, in the registry's order."""
        async for tag in (await self._endpoints.repository(locate_repository(repository), access)).tags():
            yield tag

    async def digests(
        self,
        repository: str,
        tags: Sequence[str],
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        before_push: bool = False,
    ) -> Mapping[str, Digest | TransferError]:
        """
        Look up what tags of a repository hold, in as few requests as its registry allows.

        Args:
            before_push: an image may be pushed there next, so ask for a token that allows it.

        Returns:
            By tag the digest, or the error that hides it; missing tags are left out.
        """
        location = locate_repository(repository)
        opened = await self._endpoints.repository(location, access, before_push=before_push)
        return await self._ended_with(opened.digests(tags))

    async def referrers(
        self,
        repository: str,
        digest: Digest,
        *,
        access: RegistryAccess = DEFAULT_ACCESS,
        before_push: bool = False,
    ) -> frozenset[Digest]:
        """Return the digests of what refers to an image; `before_push` as of `digests`."""
        location = locate_repository(repository)
        opened = await self._endpoints.repository(location, access, before_push=before_push)
        return await self._ended_with(opened.referrers(digest))

    async def check_login(self, location: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> LoginStatus:
        """
        Check whether the credentials work at `HOST` or for `HOST/REPOSITORY`, and where they were found.

        Raises:
            InvalidReference: it is neither of these.
            InvalidConfig: a setting or a credentials file cannot be read.
        """
        return await self._ended_with(self._endpoints.check_login(locate_login(location), access))

    def pull_quotas(self) -> dict[str, RateLimitHeaders]:
        """Return what registries, Docker Hub above all, have reported of how much may be pulled, by their name."""
        return self._endpoints.pull_quotas()

    async def delete(self, reference: str, *, access: RegistryAccess = DEFAULT_ACCESS) -> None:
        """
        Delete a tag, or an image by digest with all its tags.

        Raises:
            InvalidReference: neither a tag nor a digest is named.
            NotFound: there is no such image.
        """
        location = locate_image(reference)
        opened = await self._endpoints.repository(location, access)
        await self._ended_with(opened.delete(location.choice or ""))
