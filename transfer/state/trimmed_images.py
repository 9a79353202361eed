"""Trimmed indexes: what an index became when it was reduced to some platforms."""

from collections.abc import Sequence

from transfer.errors import InvalidDigest
from transfer.model.descriptor import Platform
from transfer.model.digest import Digest
from transfer.state.journal import Memory


async def recall_trimmed(memory: Memory, digest: Digest, platforms: Sequence[Platform]) -> Digest | None:
    """Return what an index became when it was reduced to these platforms; None where that is unknown."""
    value = await memory.recall(_key(digest, platforms))
    try:
        return None if value is None else Digest(value.decode("ascii", "replace"))
    except InvalidDigest:
        return None


async def remember_trimmed(memory: Memory, digest: Digest, platforms: Sequence[Platform], trimmed: Digest) -> None:
    """Keep what an image became."""
    await memory.remember(_key(digest, platforms), trimmed.encode())


def _key(digest: Digest, platforms: Sequence[Platform]) -> str:
    return " ".join(("trimmed", digest, *sorted({str(one) for one in platforms})))
