"""
One run of a mirror: look what there is, decide, copy, prune, and report.

Looking and copying overlap: while the images of one batch of tags are copied, the next one is looked at. One image
that fails is one line of the report.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from transfer.concurrency.tasks import gather, task_group
from transfer.errors import InvalidConfig, TransferError
from transfer.http.messages import is_repository_missing
from transfer.mirror.config.references import SourceSpec, TargetTemplate, parse_source, parse_target
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.config.settings import MirrorRule as MappingSettings
from transfer.mirror.plan.discovery import Discovery, Held
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.planning import Claims, PlannedImage, images_of, must_copy
from transfer.mirror.plan.registry_access import Accesses
from transfer.mirror.run.copying import ImageCopier, Wanted
from transfer.mirror.run.events import ImagesFound, MirrorObserver, RunStopping, unobserved
from transfer.mirror.run.prune import Pruner, Scope
from transfer.mirror.run.report import ImageReport, MirrorReport, whole
from transfer.mirror.run.report_builder import ReportBuilder
from transfer.mirror.run.stopping import Stopping
from transfer.model.digest import Digest
from transfer.model.reference import Reference

# What ECR tells of in one call; enough to copy while the next ones are looked at.
_BATCH = 100
JOBS = 16


class MirrorRun:
    """
    One run.

    Args:
        config: what is mirrored.
        engine: moves the images.
        accesses: how registries are reached.
        only: of all images, only those with these targets, and those of mappings that `whole` names so; all, and
            pruning too, where it is None.
        fail_fast: begin no further image after the first one that failed.
        dry_run: find out what would be done, and write nothing.
        on_image: told of each image when it ends.
        observer: told of what happens meanwhile, in the event loop; it must return at once.
    """

    def __init__(  # noqa: PLR0913 - each is one fact of a run
        self,
        config: MirrorConfig,
        *,
        engine: MirrorEngine,
        accesses: Accesses,
        only: frozenset[str] | None = None,
        fail_fast: bool = False,
        dry_run: bool = False,
        on_image: Callable[[ImageReport], None] = lambda _: None,
        observer: MirrorObserver = unobserved,
    ) -> None:
        self._observer = observer
        self._config = config
        self._engine = engine
        self._accesses = accesses
        self._only = only
        self._fail_fast = fail_fast
        self._dry_run = dry_run
        self._ledger = ReportBuilder(on_image=partial(_both, on_image, observer), on_failure=self._failed)
        self._survey = Discovery(engine, accesses, warn=self._ledger.warn)
        self._claims = Claims()
        self._scopes: list[Scope] = []
        self._slots = asyncio.Semaphore(config.jobs or JOBS)
        # By mapping, how many of its repositories were not looked at whole.
        self._unseen: dict[str, int] = {}
        self._stopping = Stopping(engine.limits.steps.stop)
        self._copier = ImageCopier(
            engine,
            accesses,
            survey=self._survey,
            ledger=self._ledger,
            stopping=self._stopping,
            slots=self._slots,
            dry_run=dry_run,
            observer=observer,
        )

    def stop(self, grace: float) -> None:
        """Begin nothing more; what is in work has some seconds to end. What is done by then, the journal keeps."""
        self._stopping.stop(grace)
        self._observer(RunStopping(grace))

    def _failed(self) -> None:
        self._stopping.closed |= self._fail_fast

    async def run(self) -> MirrorReport:
        """Mirror everything; what goes wrong is in the report."""
        try:
            return await self._run()
        finally:
            await self._stopping.settle()

    async def _run(self) -> MirrorReport:
        async with task_group() as group:
            for index, mapping in enumerate(self._config.mappings):
                name = f"mappings[{index}]"
                left = partial(self._cut_off, name, mapping)
                group.create_task(self._looked(self._mapping(name, mapping), left))
        # What another mapping writes is known only now.
        if self._only is None and not self._stopping.closed:
            async with task_group() as group:
                for scope in self._scopes:
                    left = partial(self._ledger.warn, f"{scope.name}: the run was cut off before all was pruned")
                    group.create_task(self._looked(self._pruner().run(scope), left))
        return self._ledger.report(stopped=self._stopping.stopped, pull_quotas=self._engine.pull_quotas())

    def _cut_off(self, name: str, mapping: MappingSettings) -> None:
        if self._unseen.get(name) != 0:
            self._ledger.unseen(name, mapping)

    async def _looked(self, work: Coroutine[Any, Any, None], left: Callable[[], None]) -> None:
        """Do something whose images tell for themselves what became of them when it is cut off."""
        with self._stopping.until_cut(left):
            await work

    async def _mapping(self, name: str, mapping: MappingSettings) -> None:
        spec = parse_source(mapping.source)
        templates = [parse_target(text, mapping=name) for text in mapping.targets]
        repositories: Sequence[str] = ()
        known = False
        with self._ledger.mistakes(name, mapping):
            repositories = await self._survey.repositories(name, mapping, spec)
            known = True
        if not known:
            for template in templates:
                self._claims.blur(template.registry, None)
        self._unseen[name] = len(repositories)
        await gather(self._repository(name, mapping, spec, repository, templates) for repository in repositories)

    async def _repository(
        self,
        name: str,
        mapping: MappingSettings,
        spec: SourceSpec,
        repository: str,
        templates: Sequence[TargetTemplate],
    ) -> None:
        source = Reference(spec.registry, repository)
        targets = [_repository_of(template.render(replace(source, tag="latest"))) for template in templates]
        images: list[PlannedImage] = []
        known = False
        listed: Sequence[str] | None = None
        with self._ledger.mistakes(name, mapping):
            tags, listed = await self._survey.tags(name, mapping, spec, source, targets)
            images = images_of(name, mapping, [spec.reference(tag, repository) for tag in tags], templates)
            known = True
        if not known:
            for target in targets:
                self._claims.blur(target.registry, target.repository)
            self._unseen[name] -= 1
            return
        images = [one for image in images if (one := self._claimed(image)) is not None]
        self._observer(ImagesFound(sum(len(image.targets) for image in images)))
        async with task_group() as group:
            for start in range(0, len(images), _BATCH):
                await self._look(group, images[start : start + _BATCH])
            self._unseen[name] -= 1
        if listed is not None:
            self._scopes += [Scope(name, mapping, source, template, listed) for template in templates]

    def _pruner(self) -> Pruner:
        return Pruner(
            self._engine,
            self._accesses,
            survey=self._survey,
            ledger=self._ledger,
            claims=self._claims,
            slots=self._slots,
            is_closed=lambda: self._stopping.closed,
            dry_run=self._dry_run,
        )

    def _claimed(self, image: PlannedImage) -> PlannedImage | None:
        """Return the image with the targets that no other image claims; the others are failures."""
        mapping = image.settings
        if self._only is not None and whole(mapping.source, ", ".join(mapping.targets)) not in self._only:
            image = replace(image, targets=tuple(one for one in image.targets if str(one) in self._only))
        rivals = self._claims.rivals(image)
        for target, rival in rivals.items():
            if rival.source != image.source:
                message = f"{target}: {rival.mapping} writes it too, from {rival.source}; give one of them another name"
                self._ledger.failed(image, target, InvalidConfig(message))
        left = tuple(target for target in image.targets if target not in rivals)
        return replace(image, targets=left) if left else None

    async def _look(self, group: asyncio.TaskGroup, images: Sequence[PlannedImage]) -> None:
        """Look up some images at source and targets, and copy the changed ones in the background."""
        wanted, held = await asyncio.gather(
            self._survey.wanted(images), self._survey.held(target for image in images for target in image.targets)
        )
        for image in images:
            found = wanted[image.source]
            if isinstance(found, TransferError):
                for target in image.targets:
                    self._ledger.failed(image, target, found)
                continue
            expected = await self._survey.expected(image, found)
            if todo := self._decide(image, expected, held):
                group.create_task(self._copier.copy(image, Wanted(found, expected), todo))

    def _decide(
        self, image: PlannedImage, expected: Digest | None, held: Mapping[Reference, Held]
    ) -> dict[Reference, Digest | None]:
        """Return the targets that an image must be copied to, with what they hold now."""
        todo: dict[Reference, Digest | None] = {}
        for target in image.targets:
            there = held[target]
            if isinstance(there, TransferError):
                if image.settings.create is not None and is_repository_missing(there):
                    todo[target] = None
                else:
                    self._ledger.failed(image, target, _advised(there))
            elif must_copy(expected, there, image.settings):
                todo[target] = there
            else:
                self._ledger.ended(image, target, status="unchanged", digest=there)
        return todo


def _repository_of(reference: Reference) -> Reference:
    return replace(reference, tag=None)


def _advised(error: TransferError) -> TransferError:
    if is_repository_missing(error):
        error.add_note("give 'create' in the mapping to create missing repositories")
    return error


def _both(on_image: Callable[[ImageReport], None], observer: MirrorObserver, image: ImageReport) -> None:
    on_image(image)
    observer(image)
