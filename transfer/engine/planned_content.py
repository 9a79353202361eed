"""Coming: what previews have found to be sent, so that the next one counts none of it again. Asks nobody."""

from transfer.engine.protocols import Target
from transfer.model.digest import Digest


class PlannedContent:
    """What will be in the repositories of some registries."""

    def __init__(self) -> None:
        self._registries: dict[str, dict[str, set[Digest]]] = {}

    def to(self, target: Target) -> set[Digest]:
        """What will be in a target's repository; to be added to."""
        return self._registries.setdefault(target.registry, {}).setdefault(target.key, set())

    def beside(self, target: Target, digest: Digest) -> bool:
        """Whether something will be in another repository of a target's registry."""
        repositories = self._registries.get(target.registry, {})
        return any(digest in held for key, held in repositories.items() if key != target.key)
