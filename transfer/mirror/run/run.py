"""
One run of a mirror: look what there is, decide, copy, prune, and report.

Looking and copying overlap: while the images of one batch of tags are copied, the next one is looked at. One image
that fails is one line of the report.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from transfer.concurrency.tasks import gather, task_group
from transfer.engine.plan import PlannedContent
from transfer.engine.result import Preview
from transfer.errors import InvalidConfig, TransferError
from transfer.http.messages import is_repository_missing
from transfer.job import Destination, Job, Outcome
from transfer.mirror.config.references import SourceSpec, TargetTemplate, backup_tag, parse_source, parse_target
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.config.settings import MirrorRule as MappingSettings
from transfer.mirror.plan.discovery import Discovery, Held
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.planning import Claims, PlannedImage, images_of, must_copy
from transfer.mirror.plan.registry_access import Accesses, settings_of
from transfer.mirror.run.prune import Pruner, Scope
from transfer.mirror.run.report import ImageReport, MirrorReport, whole
from transfer.mirror.run.report_builder import ReportBuilder
from transfer.mirror.run.sent_bytes import SentBytes
from transfer.mirror.run.stopping import Stopping
from transfer.model.digest import Digest
from transfer.model.reference import Reference

# What ECR tells of in one call; enough to copy while the next ones are looked at.
_BATCH = 100
JOBS = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """The digest of an image at its source and at a target; None where it is not known yet."""

    digest: Digest
    expected: Digest | None

    def has_moved(self, outcome: Outcome | Preview) -> bool:
        """Return whether the source had another image by the time that it was read."""
        return not isinstance(outcome, TransferError) and self.expected not in (None, outcome.digest)


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
    ) -> None:
        self._config = config
        self._engine = engine
        self._accesses = accesses
        self._only = only
        self._fail_fast = fail_fast
        self._dry_run = dry_run
        self._coming = PlannedContent()
        self._ledger = ReportBuilder(on_image=on_image, on_failure=self._failed)
        self._survey = Discovery(engine, accesses, warn=self._ledger.warn)
        self._claims = Claims()
        self._scopes: list[Scope] = []
        self._slots = asyncio.Semaphore(config.jobs or JOBS)
        # By mapping, how many of its repositories were not looked at whole.
        self._unseen: dict[str, int] = {}
        self._stopping = Stopping(engine.limits.steps.stop)

    def stop(self, grace: float) -> None:
        """Begin nothing more; what is in work has some seconds to end. What is done by then, the journal keeps."""
        self._stopping.stop(grace)

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
                group.create_task(self._copy(image, Wanted(found, expected), todo))

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

    async def _copy(self, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None]) -> None:
        async with self._slots:
            if self._stopping.closed:
                self._left(image, todo, SentBytes())
                return
            began = time.monotonic()
            notes: Mapping[Reference, str] = {}
            outcomes: dict[Reference, Outcome | Preview] = {}
            sent = SentBytes()
            with self._stopping.until_cut(lambda: self._left(image, todo, sent)):
                try:
                    todo = await self._differing(image, wanted, todo)
                    notes, outcomes = await self._outcomes(image, wanted, todo, sent)
                except TransferError as error:
                    outcomes = dict.fromkeys(todo, error)
        for target, outcome in outcomes.items():
            message = [notes[target]] if target in notes else []
            if wanted.has_moved(outcome):
                message.append(f"the source's tag moved from {wanted.digest} meanwhile")
            self._ledger.settled(image, target, outcome, notes=message, seconds=time.monotonic() - began)

    def _left(self, image: PlannedImage, todo: Mapping[Reference, Digest | None], sent: SentBytes) -> None:
        for target in todo:
            self._ledger.ended(image, target, status="stopped", uploaded=sent.to(str(target)))

    async def _differing(
        self, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None]
    ) -> dict[Reference, Digest | None]:
        """Return those targets where an image, or what belongs to it, is another one; the others are through."""
        same = [target for target, held in todo.items() if held is not None and held == wanted.expected]
        settled = await self._survey.complete(image, wanted.expected, same) if wanted.expected and same else set()
        for target in settled:
            self._ledger.ended(image, target, status="unchanged", digest=todo[target])
        return {target: held for target, held in todo.items() if target not in settled}

    async def _outcomes(
        self, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None], sent: SentBytes
    ) -> tuple[Mapping[Reference, str], dict[Reference, Outcome | Preview]]:
        """Copy an image; return the outcome for each target, and notes."""
        notes, outcomes = await self._keep(image, wanted, todo)
        left = [target for target in todo if target not in outcomes]
        if left:
            job = self._job(image, {target: todo[target] for target in left})
            found: Sequence[Outcome | Preview]
            if self._dry_run:
                found = await self._engine.preview_next(job, self._coming)
            else:
                found = await self._engine.run(job, observer=sent)
            outcomes |= dict(zip(left, found, strict=True))
        return notes, outcomes

    async def _keep(
        self, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None]
    ) -> tuple[dict[Reference, str], dict[Reference, Outcome | Preview]]:
        """Keep what is about to be overwritten under its backup's tag; what was kept where, and where that failed."""
        notes: dict[Reference, str] = {}
        failed: dict[Reference, Outcome | Preview] = {}
        template = image.settings.backup
        there = {target: held for target, held in todo.items() if target.tag is not None and held is not None}
        if template is None or not there:
            return notes, failed
        digest = wanted.expected
        if digest is None:
            previews = await self._engine.preview(self._job(image, there))
            digest = next((one.digest for one in previews if isinstance(one, Preview)), None)
            if digest is None:
                return notes, dict(zip(there, previews, strict=True))
        for target, held in there.items():
            if held == digest:
                continue
            kept = replace(target, tag=backup_tag(template, replace(target, digest=held)))
            access = self._accesses.to(target.registry)
            job = Job(target.at(held), (Destination(kept, access),), access=access)
            (outcome,) = await (self._engine.preview(job) if self._dry_run else self._engine.run(job))
            if isinstance(outcome, TransferError):
                failed[target] = outcome
            else:
                notes[target] = f"{held} {'would be' if self._dry_run else 'is'} kept under {kept.tag}"
        return notes, failed

    def _job(self, image: PlannedImage, targets: Mapping[Reference, Digest | None]) -> Job:
        """Return an image to be copied to some targets, whose tags hold these digests now."""
        settings = image.settings
        create = settings_of(settings.create) if settings.create else False
        return Job(
            image.source,
            tuple(
                Destination(
                    one,
                    self._accesses.to(one.registry),
                    self._accesses.ecr_protocol(one.registry),
                    create_repository=create,
                    tagged=held,
                )
                for one, held in targets.items()
            ),
            settings.platforms,
            access=self._accesses.to(image.source.registry),
            referrers=settings.referrers or settings.digest_tags,
            include_foreign=settings.foreign_layers,
        )


def _repository_of(reference: Reference) -> Reference:
    return replace(reference, tag=None)


def _advised(error: TransferError) -> TransferError:
    if is_repository_missing(error):
        error.add_note("give 'create' in the mapping to create missing repositories")
    return error
