"""
Job: one image, its source, its targets and how to reach them, as a plain value; and its run.

A job pickles, and running it twice is harmless. One read of the source serves all targets; what one of them does
wrong is that one's result. Knows neither a terminal nor where jobs come from.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from transfer.ends import EcrProtocol, Ends, TargetOptions
from transfer.engine.content import Source, Target
from transfer.engine.copy import Copied, ImageCopy, Tally
from transfer.engine.events import At, Event, Observer
from transfer.engine.graph import Graph, read_graph
from transfer.engine.referrers import attached
from transfer.engine.result import PushResult
from transfer.engine.sharing import Sharing
from transfer.engine.tasks import Gathering, gather
from transfer.errors import ContentMismatch, InvalidConfig, TransferError
from transfer.model.platform import parse_platform
from transfer.places import Place, check_apart, mount_source, named, read_source, read_target, spelled
from transfer.registry.access import DEFAULT_ACCESS, RegistryAccess


class Destination(msgspec.Struct, frozen=True):
    """
    A target, and how it is written to.

    Attributes:
        reference: spelled as for `copy_image`.
        access: how its registry is reached, and as whom, where it is no ECR.
        ecr_protocol: how one in ECR is written to: by its API (`auto`, `api`), or by its Docker endpoint (`registry`),
            which mounts blobs of other repositories where the account has that switched on.
        create_repository: create a repository of ECR when it is missing, with the registry's default settings.
    """

    reference: str
    access: RegistryAccess = DEFAULT_ACCESS
    ecr_protocol: EcrProtocol = "auto"
    create_repository: bool = False


class Job(msgspec.Struct, frozen=True):
    """
    One image to copy.

    Attributes:
        source: spelled as for `copy_image`.
        targets: where to.
        platforms: of an index, only the images for these; all where none is named.
        referrers: take along what refers to the image: signatures, SBOMs, attestations, and those under cosign's tags.
        include_foreign: take along layers that registries need not hold, from wherever their addresses say.
        access: how the source's registry is reached, and as whom.
    """

    source: str
    targets: tuple[Destination, ...]
    platforms: tuple[str, ...] = ()
    access: RegistryAccess = DEFAULT_ACCESS
    referrers: bool = False
    include_foreign: bool = False


class _Image(msgspec.Struct, frozen=True):
    """The image itself, or one that goes with it under a tag of its own; targets begin it together."""

    graph: Graph
    tag: str | None
    beside: Gathering


# What became of one target.
Outcome = PushResult | TransferError


class JobRun:
    """
    One run of a job.

    Args:
        ends: opens its ends.
        sharing: what the jobs of one engine have in common.
        observer: of several targets, each has its events wrapped in `At`.

    Raises:
        TransferError: the job makes no sense; nothing was asked of anybody.
    """

    def __init__(self, job: Job, *, ends: Ends, sharing: Sharing, observer: Observer | None) -> None:
        self._job = job
        self._ends = ends
        self._sharing = sharing
        self._observer = observer
        self._reading = Tally(observer)
        self._began = time.monotonic()
        self._platforms = [parse_platform(text) for text in job.platforms]
        self._from = read_source(job.source)
        self._to = [read_target(target.reference) for target in job.targets]
        for place in self._to:
            check_apart(self._from, place)
        if len(set(self._to)) < len(self._to):
            raise InvalidConfig("a target is named twice: name each once")
        if self._platforms and any(named(place)[1] for place in self._to):
            raise InvalidConfig("a target by digest and a choice of platforms exclude each other: name a tag")

    async def run(self) -> list[Outcome]:
        """
        Copy the image to all targets at once.

        Raises:
            TransferError: the source cannot be read; nothing was sent.
        """
        reading = self._reading
        async with self._ends.source(self._from, reading, self._job.access) as end:
            source = self._ends.with_foreign_layers(end, self._from, reading) if self._job.include_foreign else end
            images = await self._read(source, reading)
            return await gather(
                self._settle(source, images, place, target)
                for place, target in zip(self._to, self._job.targets, strict=True)
            )

    async def _read(self, source: Source, notify: Observer) -> list[_Image]:
        """The image, and what is to go with it, behind it."""
        root, foreign = await source.resolve(self._from.choice), self._job.include_foreign
        graph = await read_graph(source, root, self._platforms, include_foreign=foreign)
        more = await attached(source, graph, notify=notify) if self._job.referrers else []
        return [_Image(one, tag, self._gathering()) for one, tag in [(graph, None), *((a.graph, a.tag) for a in more)]]

    def _gathering(self) -> Gathering:
        return Gathering(len(self._to), patience=self._sharing.patience)

    async def _settle(self, source: Source, images: Sequence[_Image], place: Place, target: Destination) -> Outcome:
        tally = Tally(self._observer_of(target))
        try:
            async with self._ends.target(place, tally, target.access, self._options(target)) as end:
                copied = await self._copy(source, images, place, end, tally)
        except TransferError as error:
            return error
        finally:
            for image in images:
                image.beside.leave(target)
        # What is read for several targets is nobody's alone.
        reading = self._reading if len(self._to) == 1 else Tally(None)
        blobs = {blob.digest: blob for one in reversed(copied) for blob in one.blobs}
        return PushResult(
            digest=copied[0].digest,
            reference=spelled(place, copied[0].digest),
            blobs=tuple(blobs.values()),
            attached=tuple(one.digest for one in copied[1:]),
            manifests=copied[-1].manifests,
            requests=tally.requests + reading.requests,
            retries=tally.retries + reading.retries,
            seconds=time.monotonic() - self._began,
        )

    async def _copy(
        self, source: Source, images: Sequence[_Image], place: Place, target: Target, notify: Observer
    ) -> list[Copied]:
        tag, digest = named(place)
        root = images[0].graph.root.digest
        if digest not in (None, root):
            raise ContentMismatch(
                f"{self._job.source}: its digest is {root}, and the target asks for {digest}", side="source"
            )
        copying = ImageCopy(
            source,
            target,
            sharing=self._sharing,
            notify=notify,
            place=(self._from.origin, self._job.access),
            mount_from=mount_source(self._from, place),
        )
        copied = [await copying.run(images[0].graph, tag=tag, beside=images[0].beside)]
        for image in images[1:]:
            copied.append(await copying.run(image.graph, tag=image.tag, beside=image.beside))
            await target.list_referrer(image.graph.root)
        return copied

    def _options(self, target: Destination) -> TargetOptions:
        return TargetOptions(
            ecr_protocol=target.ecr_protocol,
            create_repository=target.create_repository,
            among=len({place.origin for place in self._to}),
        )

    def _observer_of(self, target: Destination) -> Callable[[Event], None] | None:
        observer = self._observer
        if observer is None or len(self._to) == 1:
            return observer
        return lambda event: observer(At(target.reference, event))
