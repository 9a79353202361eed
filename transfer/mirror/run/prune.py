"""
Pruning: removes from a target what its source no longer has.

Which tags go is decided in `decide`. A registry that deletes no tag, only what it holds, is asked for that where no
tag that stays needs it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from transfer.concurrency.tasks import gather
from transfer.errors import NotFound, RegistryError, TransferError
from transfer.http.messages import deletes_no_tags, is_repository_missing
from transfer.mirror.config.references import TargetTemplate
from transfer.mirror.config.settings import MirrorRule as MappingSettings
from transfer.mirror.plan.discovery import Discovery
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.planning import Claims, PlannedImage, needed_by, pruning
from transfer.mirror.plan.registry_access import Accesses
from transfer.mirror.run.report import Status
from transfer.mirror.run.report_builder import ReportBuilder
from transfer.model.digest import Digest
from transfer.model.reference import Reference

_BY_DIGEST = "it was deleted by its digest: the registry deletes no tags"


@dataclass(frozen=True, slots=True)
class Scope:
    """
    One repository of a target, as a mapping covers it.

    Attributes:
        name: the mapping's, for messages.
        source: the source's repository.
        listed: all of the source's tags.
    """

    name: str
    mapping: MappingSettings
    source: Reference
    template: TargetTemplate
    listed: Sequence[str]

    @property
    def repository(self) -> Reference:
        """The target's."""
        return replace(self.template.render(replace(self.source, tag="latest")), tag=None)

    def image(self, tag: str) -> PlannedImage:
        """Return a tag that has no source any more, for the report."""
        target = replace(self.repository, tag=tag)
        return PlannedImage(self.name, self.mapping, Reference(target.registry, ""), (target,))


class Pruner:
    """
    Prunes the targets of one run.

    Args:
        claims: what the run writes, which stays whatever a mapping covers.
        slots: how many removals there may be at once.
        is_closed: whether nothing more is to be begun.
        dry_run: only tell what would go.
    """

    def __init__(  # noqa: PLR0913 - each is one part of a run
        self,
        engine: MirrorEngine,
        accesses: Accesses,
        *,
        survey: Discovery,
        ledger: ReportBuilder,
        claims: Claims,
        slots: asyncio.Semaphore,
        is_closed: Callable[[], bool],
        dry_run: bool,
    ) -> None:
        self._engine = engine
        self._accesses = accesses
        self._survey = survey
        self._ledger = ledger
        self._claims = claims
        self._slots = slots
        self._is_closed = is_closed
        self._dry_run = dry_run

    async def run(self, scope: Scope) -> None:
        """Remove from one repository what its source no longer has; what goes wrong is in the report."""
        if scope.mapping.prune is None or not scope.mapping.prune.enabled:
            return
        there: Sequence[str] = ()
        doomed: Sequence[str] = ()
        with self._ledger.mistakes(scope.name, scope.mapping):
            there = await self._there(scope.repository)
            written = {tag for tag in there if self._claims.has(replace(scope.repository, tag=tag))}
            doomed = pruning(scope.mapping, scope.template, scope.source, scope.listed, there, written=written).doomed
        if doomed and not self._claims.is_clear(scope.repository):
            self._ledger.warn(
                f"{scope.name}: {scope.repository}: nothing is pruned: what else belongs there is unknown"
            )
        elif self._dry_run:
            for tag in doomed:
                self._ended(scope, tag, "planned", "it would be pruned")
        elif doomed:
            await self._remove(scope, doomed, there)

    async def _there(self, repository: Reference) -> Sequence[str]:
        try:
            return await self._survey.listed(repository)
        except NotFound as error:
            if is_repository_missing(error):
                return ()
            raise

    async def _remove(self, scope: Scope, doomed: Sequence[str], there: Sequence[str]) -> None:
        first, *others = doomed
        if await self._remove_tag(scope, first):
            await gather(self._remove_tag(scope, tag) for tag in others)
            return
        try:
            held, needed = await self._holdings(scope.repository, doomed, there)
        except TransferError as error:
            for tag in doomed:
                self._failed(scope, tag, error)
            return
        by_digest: dict[Digest, list[str]] = {}
        for tag, digest in held.items():
            by_digest.setdefault(digest, []).append(tag)
        await gather(self._remove_digest(scope, digest, tags, needed.get(digest)) for digest, tags in by_digest.items())

    async def _remove_tag(self, scope: Scope, tag: str) -> bool:
        """Delete a tag; False where the registry deletes none."""
        async with self._slots:
            if self._is_closed():
                self._ended(scope, tag, "stopped")
                return True
            try:
                await self._delete(replace(scope.repository, tag=tag))
            except RegistryError as error:
                if deletes_no_tags(error):
                    return False
                self._failed(scope, tag, error)
            except TransferError as error:
                self._failed(scope, tag, error)
            else:
                self._ended(scope, tag, "pruned")
        return True

    async def _remove_digest(self, scope: Scope, digest: Digest, tags: Sequence[str], needed: str | None) -> None:
        """Delete what tags hold that all go, unless a tag that stays needs it."""
        outcome: TransferError | None = None
        if needed is not None:
            outcome = RegistryError(
                f"the registry deletes no tags, only what they hold, which {needed!r} needs; protect the tag, or "
                "delete it there",
                status=405,
                code="UNSUPPORTED",
                side="target",
            )
        async with self._slots:
            closed = self._is_closed()
            if not closed and outcome is None:
                try:
                    await self._delete(scope.repository.at(digest))
                except TransferError as error:
                    outcome = error
        for tag in tags:
            if outcome is not None:
                self._failed(scope, tag, outcome)
            elif closed:
                self._ended(scope, tag, "stopped")
            else:
                self._ended(scope, tag, "pruned", _BY_DIGEST)

    async def _delete(self, reference: Reference) -> None:
        """Delete; what is gone already is gone."""
        try:
            await self._engine.delete(str(reference), access=self._accesses.to(reference.registry))
        except NotFound as error:
            if is_repository_missing(error):
                raise

    async def _holdings(
        self, repository: Reference, doomed: Sequence[str], there: Sequence[str]
    ) -> tuple[Mapping[str, Digest], Mapping[Digest, str]]:
        """
        Return what the tags to delete hold, and what of it a kept tag needs: holds itself, or has in its index.

        Raises:
            TransferError: it cannot be told of one of them.
        """
        access = self._accesses.to(repository.registry)
        staying = [tag for tag in there if tag not in doomed]
        asked = await self._engine.digests(str(repository), list(doomed), access=access)
        held = {}
        for tag, digest in asked.items():
            if isinstance(digest, TransferError):
                raise digest
            held[tag] = digest

        async def contents(tag: str) -> frozenset[Digest]:
            async with self._slots:
                reference = str(replace(repository, tag=tag))
                return frozenset(
                    (await self._engine.inspect(reference, access=access, referrers=False)).graph.manifests
                )

        kept = dict(zip(staying, await gather(map(contents, staying)), strict=True))
        return held, needed_by(held.values(), kept)

    def _ended(self, scope: Scope, tag: str, status: Status, *notes: str) -> None:
        image = scope.image(tag)
        self._ledger.ended(image, image.targets[0], status=status, notes=notes)

    def _failed(self, scope: Scope, tag: str, error: TransferError) -> None:
        image = scope.image(tag)
        self._ledger.failed(image, image.targets[0], error)
