"""
The run of a job: one image from its source to its targets.

One read of the source serves all targets. A target that fails has its error as its result; the others go on.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace

from transfer.concurrency.tasks import Barrier, gather
from transfer.endpoints.endpoints import Endpoints
from transfer.endpoints.locations import (
    RemoteLocation,
    check_apart,
    locate_source,
    locate_target,
    mount_source,
)
from transfer.endpoints.provider import TargetPlan
from transfer.endpoints.single_images import holds_single_images, named_after
from transfer.engine.copy import Copied, CountingObserver, ImageCopy, Pending
from transfer.engine.deduplication import BlobDeduplicator
from transfer.engine.graph import Graph, read_graph
from transfer.engine.plan import PlannedContent
from transfer.engine.protocols import Source, Target
from transfer.engine.referrers import attached
from transfer.engine.result import Preview, PushResult, Total
from transfer.errors import (
    AmbiguousImage,
    ConnectionFailed,
    ContentMismatch,
    CredentialsMissing,
    InvalidConfig,
    NotFound,
    RegistryError,
    TransferError,
)
from transfer.events import At, Event, Observer
from transfer.http.messages import is_repository_missing
from transfer.job import Job, Outcome
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, index_of
from transfer.model.platform import host_platform, parse_platform
from transfer.registry.ecr.create_repository import calls_to_create
from transfer.state.journal import Memory
from transfer.state.trimmed_images import remember_trimmed


class _Image(msgspec.Struct, frozen=True):
    """The image, or one of its referrers with its own tag; all targets start it together."""

    graph: Graph
    tag: str | None
    barrier: Barrier


class JobRun:
    """
    One run of a job.

    Args:
        endpoints: opens its source and targets.
        sharing: joins uploads and reads of the jobs of one engine.
        memory: records the digest of an index that is reduced to some platforms.
        observer: of several targets, each has its events wrapped in `At`.

    Raises:
        TransferError: the job contradicts itself; no request was sent.
    """

    def __init__(
        self, job: Job, *, endpoints: Endpoints, sharing: BlobDeduplicator, memory: Memory, observer: Observer | None
    ) -> None:
        self._job = job
        self._endpoints = endpoints
        self._sharing = sharing
        self._memory = memory
        self._observer = observer
        self._source_counter = CountingObserver(observer)
        self._began = time.monotonic()
        self._platforms = [parse_platform(text) for text in job.platforms]
        self._source_location = locate_source(job.source)
        self._plans = _plan_targets(job)
        located = [plan.location for plan in self._plans]
        for location in located:
            check_apart(self._source_location, location)
        if len(set(located)) < len(located):
            raise InvalidConfig("a target is named twice: name each once")
        if not self._platforms and any(map(holds_single_images, located)):
            self._platforms = [host_platform()]
        if self._platforms and any(location.named[1] for location in located):
            raise InvalidConfig("a target by digest and a choice of platforms exclude each other: name a tag")

    async def run(self) -> list[Outcome]:
        """
        Copy the image to all targets at once.

        Raises:
            TransferError: the source cannot be read; nothing was sent.
        """
        async with self._opened() as (source, images):
            return await gather(self._copy_to_target(source, images, plan) for plan in self._plans)

    async def preview(self, planned: PlannedContent) -> list[Preview | TransferError]:
        """
        Find out what `run` would do at each target; nothing is written.

        Args:
            planned: what earlier previews have found to be sent; what this run would send is added.

        Raises:
            TransferError: the source cannot be read, or a target is not in a registry.
        """
        for plan in self._plans:
            if not isinstance(plan.location, RemoteLocation):
                raise InvalidConfig(f"target {plan.location.origin}: only a push to a registry can be previewed")
        async with self._opened() as (source, images):
            return await gather(self._preview_target(source, images, plan, planned) for plan in self._plans)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[Source, list[_Image]]]:
        counter = self._source_counter
        async with self._endpoints.source(self._source_location, counter, self._job.access) as opened:
            source = opened
            if self._job.include_foreign:
                source = self._endpoints.with_foreign_layers(opened, self._source_location, counter)
            if not self._job.append:
                yield source, await self._read(source, counter)
                return
            from transfer.local.files.append import AppendedSource  # noqa: PLC0415 - compression, which copies need not

            async with AppendedSource(source, await self._base(source), self._job.append) as appended:
                yield appended, await self._read(appended, counter)

    async def _base(self, source: Source) -> Manifest:
        """Return the one image that layers are appended to: of an index, that for the platform, or for this machine."""
        platforms = self._platforms or [host_platform()]
        return (await read_graph(source, await self._root(source), platforms)).root

    async def _read(self, source: Source, notify: Observer) -> list[_Image]:
        """Return the image, followed by its referrers where they are copied too."""
        root, foreign = await self._root(source), self._job.include_foreign
        graph = await read_graph(source, root, self._platforms, include_foreign=foreign)
        if self._platforms and not self._job.append:
            await remember_trimmed(self._memory, root.digest, self._platforms, graph.root.digest)
        more = await attached(source, graph, notify=notify) if self._job.referrers else []
        return [_Image(one, tag, self._barrier()) for one, tag in [(graph, None), *((a.graph, a.tag) for a in more)]]

    async def _root(self, source: Source) -> Descriptor | Manifest:
        """Return what the source's reference means; of several images without a name, a list to choose by platform."""
        try:
            return await source.resolve(self._source_location.choice)
        except AmbiguousImage as several:
            if not self._platforms or self._source_location.choice is not None:
                raise
            return index_of(several.candidates)

    def _barrier(self) -> Barrier:
        return Barrier(len(self._plans), patience=self._sharing.patience)

    async def _copy_to_target(self, source: Source, images: Sequence[_Image], plan: TargetPlan) -> Outcome:
        counter = CountingObserver(self._observer_of(plan))
        try:
            async with self._endpoints.target(plan, counter) as target:
                copied = await self._copy(source, images, plan, target, counter)
        except TransferError as error:
            return _of_target(error)
        finally:
            for image in images:
                image.barrier.leave(plan)
        # Requests to the source that serve several targets belong to no single result.
        source_counter = self._source_counter if len(self._plans) == 1 else CountingObserver(None)
        blobs = {blob.digest: blob for one in reversed(copied) for blob in one.blobs}
        return PushResult(
            digest=copied[0].digest,
            reference=plan.location.spelled(copied[0].digest),
            blobs=tuple(blobs.values()),
            attached=tuple(one.digest for one in copied[1:]),
            manifests=copied[-1].manifests,
            requests=counter.requests + source_counter.requests,
            retries=counter.retries + source_counter.retries,
            seconds=time.monotonic() - self._began,
        )

    async def _preview_target(
        self, source: Source, images: Sequence[_Image], plan: TargetPlan, planned: PlannedContent
    ) -> Preview | TransferError:
        counter, creates = CountingObserver(None), False
        try:
            async with self._endpoints.target(replace(plan, create=None), counter) as target:
                copying = self._copying(source, plan, target, counter)
                try:
                    pending = await self._pending(copying, images, plan, planned, empty=False)
                except NotFound as error:
                    if plan.create is None or not is_repository_missing(error):
                        raise
                    creates = not planned.to(target)
                    pending = await self._pending(copying, images, plan, planned, empty=True)
        except TransferError as error:
            return _of_target(error)
        requests = self._endpoints.requests_to_push(plan, pending)
        return Preview(
            digest=pending[0].digest,
            reference=plan.location.spelled(pending[0].digest),
            uploaded=Total.of(blob for one in pending for blob in one.uploads),
            mounted=Total.of(blob for one in pending for blob in one.mounts),
            present=Total.of(blob for one in pending for blob in one.present),
            manifests=sum(one.manifests for one in pending),
            requests=requests + Counter(calls_to_create(plan.create) if creates and plan.create else ()),
            creates=creates,
        )

    async def _pending(
        self, copying: ImageCopy, images: Sequence[_Image], plan: TargetPlan, planned: PlannedContent, *, empty: bool
    ) -> list[Pending]:
        tags = [self._tag(plan, images[0].graph.root.digest), *(image.tag for image in images[1:])]
        return [
            await copying.preview(image.graph, tag=tag, planned=planned, empty=empty)
            for image, tag in zip(images, tags, strict=True)
        ]

    def _tag(self, plan: TargetPlan, root: Digest) -> str | None:
        """
        Return the tag to write.

        Raises:
            ContentMismatch: the target asks for another digest than the source has.
        """
        tag, digest = plan.location.named
        if digest not in (None, root):
            raise ContentMismatch(
                f"{self._job.source}: its digest is {root}, and the target asks for {digest}", side="source"
            )
        return tag

    def _copying(self, source: Source, plan: TargetPlan, target: Target, notify: Observer) -> ImageCopy:
        return ImageCopy(
            source,
            target,
            sharing=self._sharing,
            notify=notify,
            origin=(self._source_location.origin, self._job.access),
            mount_from=None if plan.by_ecr_api else mount_source(self._source_location, plan.location),
        )

    async def _copy(
        self, source: Source, images: Sequence[_Image], plan: TargetPlan, target: Target, notify: Observer
    ) -> list[Copied]:
        tag = self._tag(plan, images[0].graph.root.digest)
        copying = self._copying(source, plan, target, notify)
        copied = [await copying.run(images[0].graph, tag=tag, tagged=plan.tagged, barrier=images[0].barrier)]
        for image in images[1:]:
            copied.append(await copying.run(image.graph, tag=image.tag, barrier=image.barrier))
            await target.list_referrer(image.graph.root)
        return copied

    def _observer_of(self, plan: TargetPlan) -> Callable[[Event], None] | None:
        observer = self._observer
        if observer is None or len(self._plans) == 1:
            return observer
        return lambda event: observer(At(plan.name, event))


def _plan_targets(job: Job) -> list[TargetPlan]:
    source = locate_source(job.source)
    located = [named_after(source, locate_target(target.reference)) for target in job.targets]
    among = len({location.origin for location in located})
    return [
        TargetPlan(
            name=str(target.reference),
            location=location,
            access=target.access,
            ecr_protocol=target.ecr_protocol,
            create=target.creation,
            tagged=target.tagged,
            among=among,
        )
        for location, target in zip(located, job.targets, strict=True)
    ]


def _of_target(error: TransferError) -> TransferError:
    """Name the side of an error: what a source's registry says is attributed where it is read."""
    if error.side is None and isinstance(error, RegistryError | ConnectionFailed | CredentialsMissing):
        error.side = "target"
    return error
