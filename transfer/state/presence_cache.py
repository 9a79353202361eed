"""
Blobs known to be present at targets: during a run, and from one run to the next.

Asks no registry.
"""

from collections.abc import Iterable

from transfer.model.digest import Digest
from transfer.state.journal import Memory

_SHA256_BYTES = 32
# Half a mebibyte for a repository; what is left out is asked for again.
_MOST = 16_384


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


class KnownBlobs:
    """
    The blobs of each target that an engine knows of.

    What a run was told or did itself is remembered for the next one, and for that one alone: what it takes on trust it
    does not pass on, so that everything is asked for again before long. A target that misses what it was trusted to
    have refuses the manifest, and is then asked anew.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._known: dict[str, set[Digest]] = {}
        self._trusted: dict[str, frozenset[Digest]] = {}

    async def at(self, target: str, who: str) -> set[Digest]:
        """
        Return the blobs at a target; shared by all who ask, and theirs to add to.

        Args:
            target: names registry and repository.
            who: the user; users may see different blobs.
        """
        key = f"blobs {target} {who}".rstrip()
        if key not in self._known:
            trusted = unpacked(await self._memory.recall(key) or b"")
            self._trusted.setdefault(key, trusted)
            self._known.setdefault(key, set(trusted))
        return self._known[key]

    async def is_begun(self, target: str) -> bool:
        """
        Return whether an earlier run may have put something where nothing shows: one that was asked this, and went on.

        Args:
            target: names registry and repository.
        """
        key = f"begun {target}"
        if await self._memory.recall(key) is not None:
            return True
        await self._memory.remember(key, b"1")
        return False

    async def save(self) -> None:
        """Remember what was confirmed since."""
        for key, known in self._known.items():
            confirmed, trusted = known - self._trusted[key], self._trusted[key]
            if confirmed or trusted:
                await self._memory.remember(key, packed(confirmed))


def packed(digests: Iterable[Digest]) -> bytes:
    """Return digests as few bytes; those of other algorithms than sha256 are left out."""
    found = [bytes.fromhex(digest.encoded) for digest in digests if digest.algorithm == "sha256"]
    return b"".join(found[:_MOST])


def unpacked(content: bytes) -> frozenset[Digest]:
    """Return the digests of `packed`; none where it is something else."""
    if len(content) % _SHA256_BYTES:
        return frozenset()
    starts = range(0, len(content), _SHA256_BYTES)
    return frozenset(Digest(f"sha256:{content[start : start + _SHA256_BYTES].hex()}") for start in starts)
