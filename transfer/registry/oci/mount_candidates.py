"""
Holdings: which repositories of one registry are known to hold which blobs, so that others can mount them.

Asks nobody.
"""

from transfer.model.digest import Digest


class MountCandidates:
    """What is known of one registry."""

    def __init__(self) -> None:
        # Insertion is the order in which repositories were heard of; the first one is asked first.
        self._repositories: dict[Digest, dict[str, None]] = {}

    def note(self, repository: str, digest: Digest) -> None:
        """A repository has a blob."""
        self._repositories.setdefault(digest, {})[repository] = None

    def forget(self, repository: str, digest: Digest) -> None:
        """It does not, or it may not be taken from there."""
        self._repositories.get(digest, {}).pop(repository, None)

    def elsewhere(self, digest: Digest, *, but: str) -> str | None:
        """Another repository that has the blob."""
        return next((one for one in self._repositories.get(digest, ()) if one != but), None)
