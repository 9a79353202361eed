"""
Decisions of a mirror: which images there are, which of them must move, and which tags are of no more use.

Pure.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Mapping as Contents

import msgspec

from transfer.errors import InvalidConfig
from transfer.mirror.config.references import TargetTemplate, is_backup
from transfer.mirror.config.settings import MirrorRule
from transfer.mirror.select.filters import select
from transfer.mirror.select.patterns import glob_or_expression
from transfer.model.digest import Digest, is_digest_tag
from transfer.model.reference import Reference


class PlannedImage(msgspec.Struct, frozen=True):
    """
    One image of a mapping and what it is called at its targets.

    Attributes:
        mapping: the mapping's name in the configuration, for messages.
        settings: the mapping.
        source: by tag or digest.
        targets: each by a tag, or by the source's digest where that has no tag.
    """

    mapping: str
    settings: MirrorRule
    source: Reference
    targets: tuple[Reference, ...]

    @property
    def origin(self) -> str:
        """The source, for a report; empty for an image that the source no longer has."""
        return str(self.source) if self.source.repository else ""


def images_of(
    mapping: str, settings: MirrorRule, sources: Iterable[Reference], targets: Sequence[TargetTemplate]
) -> list[PlannedImage]:
    """
    Return the images of some sources, with what they are called at their targets.

    Raises:
        InvalidConfig: a target's template makes no name of one of them.
    """
    return [
        PlannedImage(mapping, settings, source, tuple(dict.fromkeys(one.render(source) for one in targets)))
        for source in sources
    ]


class Claims:
    """Claims of target tags: a tag belongs to the first image that asks for it."""

    def __init__(self) -> None:
        self._owners: dict[Reference, PlannedImage] = {}
        self._blurred: set[tuple[str, str | None]] = set()

    def rivals(self, image: PlannedImage) -> dict[Reference, PlannedImage]:
        """Claim the targets of an image; those that belong to another one already, with that one."""
        owners = {target: self._owners.setdefault(target, image) for target in image.targets}
        return {target: owner for target, owner in owners.items() if owner is not image}

    def has(self, target: Reference) -> bool:
        """Return whether some image is written there."""
        return target in self._owners

    def blur(self, registry: str, repository: str | None) -> None:
        """Take down that more may belong to a repository, or to any of a registry, than was asked for."""
        self._blurred.add((registry, repository))

    def is_clear(self, repository: Reference) -> bool:
        """Return whether all that is written to a repository was asked for."""
        return not {(repository.registry, repository.repository), (repository.registry, None)} & self._blurred


def must_copy(expected: Digest | None, held: Digest | None, settings: MirrorRule) -> bool:
    """
    Return whether an image must be looked at more closely than by its digest.

    Args:
        expected: what it will be at the target; None where that is not known, for one that is trimmed to some platforms
            and was not seen before.

    What refers to an image may have changed though it has not.
    """
    return expected is None or held != expected or settings.referrers or settings.digest_tags


class Pruning(msgspec.Struct, frozen=True):
    """
    The tags of a target repository to delete, and those to keep.

    Attributes:
        covered: how many of its tags the mapping writes.
        doomed: those of them that the source no longer has, and that nothing protects.
    """

    covered: int
    doomed: tuple[str, ...]


def needed_by(digests: Iterable[Digest], staying: Contents[str, Collection[Digest]]) -> dict[Digest, str]:
    """Return the digests that a kept tag needs, each with the first such tag."""
    users = {digest: tag for tag in reversed(list(staying)) for digest in staying[tag]}
    return {digest: users[digest] for digest in digests if digest in users}


def pruning(
    settings: MirrorRule,
    template: TargetTemplate,
    source: Reference,
    source_tags: Iterable[str],
    target_tags: Iterable[str],
    *,
    written: Collection[str] = (),
) -> Pruning:
    """
    Decide which tags a mapping removes from a target repository.

    Args:
        source: the source's repository.
        source_tags: all of its tags, whether they are wanted or not.
        written: tags of the target that something is mirrored to.

    Raises:
        InvalidConfig: that would be more than the limit; nothing may be removed then.
    """
    prune = settings.prune
    if prune is None or not prune.enabled:
        return Pruning(0, ())
    there, protectors = set(source_tags), [glob_or_expression(pattern) for pattern in prune.protect]
    covered, doomed = 0, []
    for tag in target_tags:
        origin = template.source_tag(tag, source)
        if origin is None or is_digest_tag(tag) or (settings.backup and is_backup(settings.backup, tag)):
            continue
        if origin not in select([origin], settings.tags).names:
            continue
        covered += 1
        if origin not in there and tag not in written and not any(protects(tag) for protects in protectors):
            doomed.append(tag)
    if len(doomed) * 100 > prune.limit * covered:
        raise InvalidConfig(
            f"{template.text}: {len(doomed)} of {covered} tags are not at {source} any more, "
            f"and no more than {prune.limit:g} percent may be pruned; nothing was: look why, or raise the limit"
        )
    return Pruning(covered, tuple(sorted(doomed)))
