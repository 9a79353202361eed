"""What is known to be at a target already, kept while several copies ask and upload at once. Asks nobody."""

from collections.abc import Iterable

from transfer.model.digest import Digest


class KnownBlobs:
    """The blobs that each repository is known to have, for as long as an engine is open."""

    def __init__(self) -> None:
        self._known: dict[str, set[Digest]] = {}

    def at(self, key: str) -> set[Digest]:
        """Those of one repository; the same set for all who ask."""
        return self._known.setdefault(key, set())


def settle_known(known: set[Digest], asked: Iterable[Digest], missing: set[Digest], *, fresh: bool) -> set[Digest]:
    """
    Take down an answer about blobs; those that are missing now.

    What another copy uploaded while the question was on its way is there, whatever the answer says; but an answer to a
    `fresh` question, one that was asked because the target was wrong before, counts against all that is known.
    """
    if fresh:
        known.difference_update(missing)
    left = missing - known
    known.update(digest for digest in asked if digest not in left)
    return left
