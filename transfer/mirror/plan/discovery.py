"""
Discovery: what sources and targets hold, in as few requests as their registries allow.

Only looks, and decides nothing; keeps nothing but the tags of the sources' repositories.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from transfer.concurrency.limiters import SingleFlight
from transfer.concurrency.tasks import gather, task_group
from transfer.errors import NotFound, Side, TransferError
from transfer.mirror.config.references import SourceSpec
from transfer.mirror.config.settings import MirrorRule as MappingSettings
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.planning import PlannedImage
from transfer.mirror.plan.registry_access import Accesses
from transfer.mirror.select.filters import RepositoryFilter, known, select, select_repositories
from transfer.model.digest import Digest
from transfer.model.reference import Reference

Held = Digest | TransferError | None


class Discovery:
    """
    Asks the registries of a mirror.

    Args:
        warn: told, in one line, of what is worth a look.
    """

    def __init__(self, engine: MirrorEngine, accesses: Accesses, *, warn: Callable[[str], None]) -> None:
        self._engine = engine
        self._accesses = accesses
        self._warn = warn
        self._tags: dict[Reference, Sequence[str]] = {}
        self._listing = SingleFlight[None]()

    async def repositories(self, name: str, mapping: MappingSettings, spec: SourceSpec) -> Sequence[str]:
        """
        Return the repositories that a mapping reads.

        Raises:
            TransferError: the registry does not tell.
        """
        if spec.repository is not None:
            return [spec.repository]
        access = self._accesses.to(spec.registry)
        listed = [one async for one in self._engine.repositories(spec.registry, access=access) if spec.includes(one)]
        chosen = select_repositories(listed, mapping.repositories or RepositoryFilter())
        self._unmatched(f"{name}: {mapping.source}", chosen.unmatched)
        if not chosen.names:
            self._warn(f"{name}: {mapping.source}: no repository fits")
        return chosen.names

    async def tags(
        self, name: str, mapping: MappingSettings, spec: SourceSpec, repository: Reference, targets: Iterable[Reference]
    ) -> tuple[Sequence[str], Sequence[str] | None]:
        """
        Return the tags or digests that a rule selects, and all that exist, where they were listed.

        Args:
            targets: repositories that will be asked next, whose registries are reached while the source lists its tags.

        Raises:
            TransferError: the repository is not there, or does not tell.
        """
        exact = (spec.choice,) if spec.choice else known(mapping.tags)
        if exact is not None and mapping.prune is None:
            return exact, None
        async with task_group() as group:
            group.create_task(self._greet(targets))
            listed = await self._all_tags(repository)
        chosen = select(listed, mapping.tags)
        self._unmatched(f"{name}: {repository}", chosen.unmatched)
        if not chosen.names:
            self._warn(f"{name}: {repository}: no tag fits, of {len(listed)} that there are")
        return chosen.names, listed

    async def _greet(self, repositories: Iterable[Reference]) -> None:
        """Reach the registries of repositories that will be asked next; what goes wrong will show then."""

        async def one(repository: Reference) -> None:
            with suppress(TransferError):
                access = self._accesses.to(repository.registry)
                await self._engine.warm_up(str(repository), access=access, before_push=True)

        await gather(map(one, {repository.registry: repository for repository in repositories}.values()))

    async def listed(self, repository: Reference) -> list[str]:
        """Return every tag of a repository."""
        access = self._accesses.to(repository.registry)
        return [tag async for tag in self._engine.tags(str(repository), access=access)]

    async def held(self, references: Iterable[Reference], *, side: Side = "target") -> Mapping[Reference, Held]:
        """Look up what references hold; an error where that cannot be told, None for missing ones."""
        by_repository: dict[Reference, list[Reference]] = {}
        for one in references:
            by_repository.setdefault(Reference(one.registry, one.repository), []).append(one)
        answers = await gather(self._asked(repository, asked, side) for repository, asked in by_repository.items())
        found = {one: digest for answer in answers for one, digest in answer.items()}
        for error in found.values():
            if isinstance(error, TransferError):
                error.side = error.side or side
        return found

    async def wanted(self, images: Sequence[PlannedImage]) -> Mapping[Reference, Digest | TransferError]:
        """Look up the digest of each image at its source; an image named by digest needs no request."""
        unnamed = (image.source for image in images if image.source.digest is None)
        found = await self.held(unnamed, side="source")
        return {image.source: image.source.digest or found[image.source] or _absent(image.source) for image in images}

    async def expected(self, image: PlannedImage, found: Digest) -> Digest | None:
        """Return the digest that an image will have at a target; None where only reading it can tell."""
        platforms = image.settings.platforms
        return await self._engine.trimmed(found, platforms) if platforms else found

    async def complete(self, image: PlannedImage, digest: Digest, targets: Sequence[Reference]) -> set[Reference]:
        """
        Return the targets that also have an image's referrers and its digest's tags.

        One question for the image's own referrers at each end, and one for the tags where there are any. Where that
        cannot be told, the target is left out.
        """
        try:
            names = [tag for tag in await self._all_tags(image.source) if tag.startswith(f"{digest.as_tag}.")]
            ours = await self._belonging(image.source, digest, names, "source")
        except TransferError:
            return set()

        async def is_complete(target: Reference) -> bool:
            try:
                return ours <= await self._belonging(target, digest, names, "target")
            except TransferError:
                return False

        answers = await gather(map(is_complete, targets))
        return {target for target, complete in zip(targets, answers, strict=True) if complete}

    async def _all_tags(self, source: Reference) -> Sequence[str]:
        """Return every tag of an image's repository, listed once a run."""
        repository = Reference(source.registry, source.repository)

        async def ask() -> None:
            self._tags[repository] = await self.listed(repository)

        if repository not in self._tags:
            await self._listing.run(repository, ask, None)
        return self._tags[repository]

    async def _belonging(self, image: Reference, digest: Digest, names: Sequence[str], side: Side) -> set[object]:
        """Return the referrers of a digest, and what is under the tags made of it."""
        repository, access = str(Reference(image.registry, image.repository)), self._accesses.to(image.registry)
        before_push = side == "target"
        referrers = await self._engine.referrers(repository, digest, access=access, before_push=before_push)
        if not names:
            return {*referrers}
        tagged = await self._engine.digests(repository, names, access=access, before_push=before_push)
        return {*referrers, *tagged.items()}

    async def _asked(self, repository: Reference, asked: Sequence[Reference], side: Side) -> dict[Reference, Held]:
        access = self._accesses.to(repository.registry)
        names = {one: one.tag or one.digest or "" for one in asked}
        try:
            found = await self._engine.digests(
                str(repository), list(names.values()), access=access, before_push=side == "target"
            )
        except TransferError as error:
            return dict.fromkeys(asked, error)
        return {one: found.get(name) for one, name in names.items()}

    def _unmatched(self, where: str, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            self._warn(f"{where}: nothing fits {pattern}")


def _absent(source: Reference) -> NotFound:
    return NotFound(f"{source}: no such image; check its tag", status=404, code="MANIFEST_UNKNOWN", side="source")
