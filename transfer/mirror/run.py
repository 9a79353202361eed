"""
One run of a mirror: look what there is, decide, copy, prune, and report.

Looking and copying overlap: while the images of one batch of tags are copied, the next one is looked at. One image
that fails is one line of the report. Knows neither files nor terminals.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from transfer.api import Engine
from transfer.engine.tasks import gather, task_group
from transfer.errors import InvalidConfig, NotFound, TransferError
from transfer.job import Destination, Job
from transfer.mirror.access import Accesses
from transfer.mirror.decide import Claims, Image, images_of, must_copy, pruning
from transfer.mirror.ledger import Ledger
from transfer.mirror.names import SourceSpec, TargetTemplate, backup_tag, parse_source, parse_target
from transfer.mirror.report import ImageReport, MirrorReport
from transfer.mirror.settings import Mapping as MappingSettings
from transfer.mirror.settings import MirrorConfig
from transfer.mirror.survey import Held, Survey
from transfer.model.digest import Digest
from transfer.model.reference import Reference

# What ECR tells of in one call; enough to copy while the next ones are looked at.
_BATCH = 100
_JOBS = 16
_NO_REPOSITORY = frozenset({"RepositoryNotFoundException", "NAME_UNKNOWN"})


class MirrorRun:
    """
    One run.

    Args:
        config: what is mirrored.
        engine: moves the images.
        accesses: how registries are reached.
        only: of all images, only those with these targets; all, and pruning too, where it is None.
        fail_fast: begin no further image after the first one that failed.
        on_image: told of each image when it ends.
    """

    def __init__(
        self,
        config: MirrorConfig,
        *,
        engine: Engine,
        accesses: Accesses,
        only: frozenset[str] | None = None,
        fail_fast: bool = False,
        on_image: Callable[[ImageReport], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._accesses = accesses
        self._only = only
        self._fail_fast = fail_fast
        self._ledger = Ledger(on_image=on_image, on_failure=self._failed)
        self._survey = Survey(engine, accesses, warn=self._ledger.warn)
        self._claims = Claims()
        self._slots = asyncio.Semaphore(config.jobs or _JOBS)
        self._working: set[asyncio.Task[Any]] = set()
        self._closed = self._cut = self._stopped = False

    def stop(self, grace: float) -> None:
        """Begin nothing more; what is in work has some seconds to end. What is done by then, the journal keeps."""
        self._closed = self._stopped = True
        asyncio.get_running_loop().call_later(grace, self._cut_off)

    def _cut_off(self) -> None:
        self._cut = True
        for task in self._working:
            task.cancel()

    def _failed(self) -> None:
        self._closed |= self._fail_fast

    async def run(self) -> MirrorReport:
        """Mirror everything; what goes wrong is in the report."""
        async with task_group() as group:
            for index, mapping in enumerate(self._config.mappings):
                group.create_task(self._mapping(f"mappings[{index}]", mapping))
        return self._ledger.report(stopped=self._stopped)

    async def _mapping(self, name: str, mapping: MappingSettings) -> None:
        spec = parse_source(mapping.source)
        templates = [parse_target(text, mapping=name) for text in mapping.targets]
        repositories: Sequence[str] = ()
        with self._ledger.mistakes(name, mapping):
            repositories = await self._survey.repositories(name, mapping, spec)
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
        images: list[Image] = []
        listed: Sequence[str] | None = None
        with self._ledger.mistakes(name, mapping):
            tags, listed = await self._survey.tags(name, mapping, spec, source)
            images = images_of(name, mapping, [spec.reference(tag, repository) for tag in tags], templates)
        images = [one for image in images if (one := self._claimed(image)) is not None]
        async with task_group() as group:
            for start in range(0, len(images), _BATCH):
                await self._look(group, images[start : start + _BATCH])
        if listed is not None and self._only is None and not self._closed:
            await gather(self._prune(name, mapping, source, template, listed) for template in templates)

    def _claimed(self, image: Image) -> Image | None:
        """The image with those targets that are its own; another's are failures, unless it is the very same image."""
        if self._only is not None:
            image = replace(image, targets=tuple(one for one in image.targets if str(one) in self._only))
        rivals = self._claims.rivals(image)
        for target, rival in rivals.items():
            if rival.source != image.source:
                told = f"{target}: {rival.mapping} writes it too, from {rival.source}; give one of them another name"
                self._ledger.failed(image, target, InvalidConfig(told))
        left = tuple(target for target in image.targets if target not in rivals)
        return replace(image, targets=left) if left else None

    async def _look(self, group: asyncio.TaskGroup, images: Sequence[Image]) -> None:
        """Look at some images at both ends, and copy in the background what must be."""
        wanted, held = await asyncio.gather(
            self._survey.wanted(images), self._survey.held(target for image in images for target in image.targets)
        )
        for image in images:
            todo = self._decide(image, wanted[image.source], held)
            if todo:
                group.create_task(self._copy(image, wanted[image.source], todo))

    def _decide(
        self, image: Image, wanted: Digest | TransferError, held: Mapping[Reference, Held]
    ) -> dict[Reference, Digest | None]:
        """Which targets an image must be copied to, with what they hold now; the others are through."""
        todo: dict[Reference, Digest | None] = {}
        for target in image.targets:
            there = held[target]
            if isinstance(wanted, TransferError):
                self._ledger.failed(image, target, wanted)
            elif isinstance(there, TransferError):
                if image.settings.create is not None and is_repository_missing(there):
                    todo[target] = None
                else:
                    self._ledger.failed(image, target, _advised(there))
            elif must_copy(wanted, there, image.settings):
                todo[target] = there
            else:
                self._ledger.ended(image, target, status="unchanged", digest=wanted)
        return todo

    async def _copy(
        self, image: Image, wanted: Digest | TransferError, todo: Mapping[Reference, Digest | None]
    ) -> None:
        async with self._slots:
            if self._closed:
                self._left(image, todo)
                return
            began, task = time.monotonic(), asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine runs in a task
            self._working.add(task)
            try:
                notes = await self._keep(image, todo)
                outcomes = await self._engine.run(self._job(image, list(todo)))
            except TransferError as error:
                notes, outcomes = {}, [error for _ in todo]
            except asyncio.CancelledError:
                if not self._cut:
                    raise
                self._left(image, todo)
                return
            finally:
                self._working.discard(task)
        seconds = time.monotonic() - began
        for target, outcome in zip(todo, outcomes, strict=True):
            if isinstance(outcome, TransferError):
                self._ledger.failed(image, target, outcome, seconds=seconds)
                continue
            told = [notes[target]] if target in notes else []
            if outcome.digest != wanted and not image.settings.platforms:
                told.append(f"the source's tag moved from {wanted} meanwhile")
            self._ledger.copied(image, target, outcome, notes=told, seconds=seconds)

    def _left(self, image: Image, todo: Mapping[Reference, Digest | None]) -> None:
        for target in todo:
            self._ledger.ended(image, target, status="stopped")

    async def _keep(self, image: Image, todo: Mapping[Reference, Digest | None]) -> dict[Reference, str]:
        """Keep what is about to be overwritten under its backup's tag; what was kept where, by target."""
        notes: dict[Reference, str] = {}
        template = image.settings.backup
        for target, held in todo.items():
            if template is None or target.tag is None or held is None:
                continue
            kept = replace(target, tag=backup_tag(template, target.at(held) if "digest" in template else target))
            access = self._accesses.to(target.registry)
            (outcome,) = await self._engine.run(
                Job(str(target.at(held)), (Destination(str(kept), access),), access=access)
            )
            if isinstance(outcome, TransferError):
                raise outcome
            notes[target] = f"{held} is kept under {kept.tag}"
        return notes

    def _job(self, image: Image, targets: Sequence[Reference]) -> Job:
        settings = image.settings
        create = settings.create is not None
        return Job(
            str(image.source),
            tuple(Destination(str(one), self._accesses.to(one.registry), create_repository=create) for one in targets),
            settings.platforms,
            access=self._accesses.to(image.source.registry),
            referrers=settings.referrers or settings.digest_tags,
            include_foreign=settings.foreign_layers,
        )

    async def _prune(
        self, name: str, mapping: MappingSettings, source: Reference, template: TargetTemplate, listed: Sequence[str]
    ) -> None:
        """Remove from one target's repository what the source no longer has."""
        if mapping.prune is None or not mapping.prune.enabled:
            return
        doomed: Sequence[str] = ()
        target = template.render(replace(source, tag="latest"))
        with self._ledger.mistakes(name, mapping):
            there = await self._survey.listed(Reference(target.registry, target.repository))
            doomed = pruning(mapping, template, source, listed, there).doomed
        await gather(self._remove(name, mapping, replace(target, tag=tag)) for tag in doomed)

    async def _remove(self, name: str, mapping: MappingSettings, target: Reference) -> None:
        image = Image(name, mapping, Reference(target.registry, ""), (target,))
        async with self._slots:
            if self._closed:
                self._ledger.ended(image, target, status="stopped")
                return
            try:
                await self._engine.delete(str(target), access=self._accesses.to(target.registry))
            except TransferError as error:
                self._ledger.failed(image, target, error)
            else:
                self._ledger.ended(image, target, status="pruned")


def is_repository_missing(error: TransferError) -> bool:
    """Whether a target's repository is not there, which is no harm where it may be created."""
    return isinstance(error, NotFound) and error.code in _NO_REPOSITORY


def _advised(error: TransferError) -> TransferError:
    if is_repository_missing(error):
        error.add_note("say 'create' in the mapping to have a missing repository created")
    return error
