"""How large the next chunk of an upload is. Pure."""

from transfer.config import MIB

# What a run that is killed loses at most, about; one that is stopped waits for the chunk on the wire to end.
CHUNK_SECONDS = 8.0
# Of a blob whose speed is not known yet.
FIRST_CHUNK = 8 * MIB
# ECR and S3 want no smaller ones, but for the last.
_SMALLEST = 5 * MIB
# Where each chunk that breaks off costs all of the blob, and a connection carries one alone.
_SMALLEST_WHOLE = 4 * MIB


def next_chunk(sent: int, seconds: float, *, before: int, largest: int) -> int:
    """
    Return the bytes that go in about eight seconds, as fast as the last chunk went.

    Args:
        sent, seconds: the last chunk. One that was much smaller than it might have been, at the end of a blob, says
            little of the speed.
        before: what was returned last; four times as many are tried at most.
    """
    if 2 * sent < min(before, largest):
        return before
    wanted = min(4 * before, int(sent * CHUNK_SECONDS / max(seconds, 0.001)))
    return min(largest, max(wanted, _SMALLEST))


def chunk_after_loss(size: int) -> int:
    """Return the largest chunk once one of this size broke off and took all before it along."""
    return min(size, max(_SMALLEST_WHOLE, size // 2))


def is_slow(seconds: float) -> bool:
    """Return whether a connection of its own costs a chunk little, after one that took so long."""
    return seconds >= CHUNK_SECONDS / 2
