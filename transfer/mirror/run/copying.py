"""
The copies of a run of a mirror: one image to some targets, within the run's slots, and what it overwrites kept before.

Which images those are is not decided here.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from transfer.engine.plan import PlannedContent
from transfer.engine.result import Preview
from transfer.errors import TransferError
from transfer.events import Event
from transfer.job import Destination, Job, Outcome
from transfer.mirror.config.references import backup_tag
from transfer.mirror.plan.discovery import Discovery
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.planning import PlannedImage
from transfer.mirror.plan.registry_access import Accesses, settings_of
from transfer.mirror.run.events import ImageMoved, ImageStarted, ImageStopped, MirrorObserver
from transfer.mirror.run.report_builder import ReportBuilder
from transfer.mirror.run.sent_bytes import SentBytes
from transfer.mirror.run.stopping import Stopping
from transfer.model.digest import Digest
from transfer.model.reference import Reference


@dataclass(frozen=True, slots=True)
class Wanted:
    """The digest of an image at its source and at a target; None where it is not known yet."""

    digest: Digest
    expected: Digest | None

    def has_moved(self, outcome: Outcome | Preview) -> bool:
        """Return whether the source had another image by the time that it was read."""
        return not isinstance(outcome, TransferError) and self.expected not in (None, outcome.digest)


class ImageCopier:
    """
    Copies images.

    Args:
        engine: moves them.
        accesses: how registries are reached.
        survey: knows what targets have.
        ledger: takes down what becomes of each image.
        stopping: says when no further image is begun.
        slots: of images at once.
        dry_run: find out what would be done, and write nothing.
        observer: told of what happens meanwhile.
    """

    def __init__(  # noqa: PLR0913 - each is one fact of a run
        self,
        engine: MirrorEngine,
        accesses: Accesses,
        *,
        survey: Discovery,
        ledger: ReportBuilder,
        stopping: Stopping,
        slots: asyncio.Semaphore,
        dry_run: bool,
        observer: MirrorObserver,
    ) -> None:
        self._engine = engine
        self._accesses = accesses
        self._survey = survey
        self._ledger = ledger
        self._stopping = stopping
        self._slots = slots
        self._dry_run = dry_run
        self._observer = observer
        self._numbers = itertools.count()
        self._planned = PlannedContent()

    async def copy(self, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None]) -> None:
        """Copy an image to some targets, whose tags hold these digests now, once there is a slot."""
        async with self._slots:
            if self._stopping.closed:
                self._left(image, todo, SentBytes())
                return
            number = next(self._numbers)
            self._observer(ImageStarted(number, str(image.source), tuple(map(str, todo))))
            try:
                await self._copy(number, image, wanted, todo)
            finally:
                self._observer(ImageStopped(number))

    async def _copy(
        self, number: int, image: PlannedImage, wanted: Wanted, todo: Mapping[Reference, Digest | None]
    ) -> None:
        began = time.monotonic()
        notes: Mapping[Reference, str] = {}
        outcomes: dict[Reference, Outcome | Preview] = {}
        sent = SentBytes(partial(self._moved, number))
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

    def _moved(self, number: int, event: Event) -> None:
        self._observer(ImageMoved(number, event))

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
                found = await self._engine.preview_next(job, self._planned)
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
