"""
Steps: what ECR's answers mean for an upload, as pure functions.

Sources: API_UploadLayerPart, API_CompleteLayerUpload, and public reports of what the live service answers.
Knows neither the network nor the journal.
"""

from collections import Counter
from collections.abc import Sequence

from transfer.config import MIB
from transfer.errors import RegistryError

# Quota "Layer parts" of the service quotas page; not adjustable.
MOST_PARTS = 4_200
# What InitiateLayerUpload has been seen to ask for (facts of the live service; up to 20 MiB are allowed).
PART_BYTES = 10 * MIB

PART_REFUSED = "InvalidLayerPartException"
LAYER_EXISTS = "LayerAlreadyExistsException"
LAYER_INVALID = "InvalidLayerException"
# What Complete answers when the parts behind an upload id are not the ones this run believes in.
_SESSION_SPOILED = frozenset({LAYER_INVALID, "LayerPartTooSmallException", "EmptyUploadException"})


def requests_to_push(sizes: Sequence[int], manifests: int) -> Counter[str]:
    """The calls that write layers of these sizes, in bytes, and so many manifests."""
    parts = sum(-(-size // PART_BYTES) for size in sizes)
    counts = {"InitiateLayerUpload": len(sizes), "UploadLayerPart": parts, "CompleteLayerUpload": len(sizes)}
    return +Counter({**counts, "PutImage": manifests})


def next_offset(error: RegistryError, first: int, end: int) -> int | None:
    """
    Where to go on after the part [first, end) was refused; None when the session is of no use any more.

    ECR takes parts only in order and names the last byte it has. That byte tells: our own part (its answer was
    lost), one before it (the registry kept less than it had confirmed), or one that nobody here has sent: then
    somebody else writes to the session, and nothing in it can be trusted.
    """
    last = error.details.get("lastValidByteReceived")
    if not isinstance(last, int):
        return None
    received = last + 1
    if received == end:
        return end
    if received < first:
        return received
    return None


def is_size_refused(error: RegistryError, first: int) -> bool:
    """Whether a part was refused although it began where the registry expected it: its size is what is wrong."""
    return bool(error.details.get("lastValidByteReceived") == first - 1)


def spoils_session(error: RegistryError) -> bool:
    """Whether a refused Complete is cured by sending all parts again under a new upload id."""
    return error.code in _SESSION_SPOILED
