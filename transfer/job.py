"""
Job: one image, its source, its targets and how to reach them, as a plain value; and its run.

A job pickles, and running it twice is harmless. One read of the source serves all targets; what one of them does
wrong is that one's result. Knows neither a terminal nor where jobs come from.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from transfer.ends import EcrProtocol, Ends, TargetOptions
from transfer.engine.content import Source, Target
from transfer.engine.copy import Copied, ImageCopy, Tally
from transfer.engine.events import At, Event, Observer
from transfer.engine.graph import Graph, read_graph
from transfer.engine.result import PushResult
from transfer.engine.sharing import Sharing
from transfer.engine.tasks import Gathering, gather
from transfer.errors import ContentMismatch, InvalidConfig, TransferError
from transfer.model.platform import parse_platform
from transfer.places import Place, check_apart, mount_source, named, read_source, read_target, spelled
from transfer.registry.access import DEFAULT_ACCESS, RegistryAccess


@dataclass(frozen=True, slots=True)
class Destination:
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


@dataclass(frozen=True, slots=True)
class Job:
    """
    One image to copy.

    Attributes:
        source: spelled as for `copy_image`.
        targets: where to.
        platforms: of an index, only the images for these; all where none is named.
        access: how the source's registry is reached, and as whom.
    """

    source: str
    targets: tuple[Destination, ...]
    platforms: tuple[str, ...] = ()
    access: RegistryAccess = field(default=DEFAULT_ACCESS)


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
        async with self._ends.source(self._from, Tally(self._observer), self._job.access) as source:
            graph = await read_graph(source, await source.resolve(self._from.choice), self._platforms)
            beside = Gathering(len(self._to), patience=self._sharing.patience)
            return await gather(
                self._settle(source, graph, place, target, beside)
                for place, target in zip(self._to, self._job.targets, strict=True)
            )

    async def _settle(
        self, source: Source, graph: Graph, place: Place, target: Destination, beside: Gathering
    ) -> Outcome:
        tally = Tally(self._observer_of(target))
        try:
            async with self._ends.target(place, tally, target.access, self._options(target)) as end:
                copied = await self._copy(source, graph, place, end, beside, tally)
        except TransferError as error:
            return error
        finally:
            beside.leave(target)
        return PushResult(
            digest=copied.digest,
            reference=spelled(place, copied.digest),
            blobs=copied.blobs,
            retries=tally.retries,
            seconds=time.monotonic() - self._began,
        )

    async def _copy(
        self, source: Source, graph: Graph, place: Place, target: Target, beside: Gathering, notify: Observer
    ) -> Copied:
        tag, digest = named(place)
        if digest not in (None, graph.root.digest):
            raise ContentMismatch(
                f"{self._job.source}: its digest is {graph.root.digest}, and the target asks for {digest}",
                side="source",
            )
        image = ImageCopy(
            source,
            target,
            sharing=self._sharing,
            notify=notify,
            place=(self._from.origin, self._job.access),
            mount_from=mount_source(self._from, place),
        )
        return await image.run(graph, tag=tag, beside=beside)

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
