"""
Decisions about uploads to ECR, as pure functions: offsets, sessions, numbers of requests, and ECR's quotas.

Sources: API_UploadLayerPart, API_CompleteLayerUpload, public reports of the live service's answers, and "Amazon ECR
service quotas", which publishes eight rates. An operation without a published rate is limited by its refusals alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

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
    """Return the calls that write layers of these sizes, in bytes, and so many manifests."""
    parts = sum(-(-size // PART_BYTES) for size in sizes)
    counts = {"InitiateLayerUpload": len(sizes), "UploadLayerPart": parts, "CompleteLayerUpload": len(sizes)}
    return +Counter({**counts, "PutImage": manifests})


def next_offset(error: RegistryError, first: int, end: int) -> int | None:
    """
    Return the offset to continue at after part [first, end) was refused; None when the session is lost.

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
    """Return whether a part was refused although it began where the registry expected it: its size is what is wrong."""
    return bool(error.details.get("lastValidByteReceived") == first - 1)


def spoils_session(error: RegistryError) -> bool:
    """Return whether a refused Complete is cured by sending all parts again under a new upload id."""
    return error.code in _SESSION_SPOILED


QUOTAS: Mapping[str, float] = {
    "BatchCheckLayerAvailability": 1000,
    "BatchGetImage": 2000,
    "CompleteLayerUpload": 100,
    "GetAuthorizationToken": 500,
    "GetDownloadUrlForLayer": 3000,
    "InitiateLayerUpload": 100,
    "PutImage": 10,
    "UploadLayerPart": 500,
}

# The Docker endpoint is a proxy over the same operations (service model: "used by the Amazon ECR proxy").
DOCKER_QUOTAS: Mapping[str, float] = {
    "GET blob": QUOTAS["GetDownloadUrlForLayer"],
    "GET manifest": QUOTAS["BatchGetImage"],
    "HEAD blob": QUOTAS["BatchCheckLayerAvailability"],
    "HEAD manifest": QUOTAS["BatchGetImage"],
    "PATCH upload": QUOTAS["UploadLayerPart"],
    "POST upload": QUOTAS["InitiateLayerUpload"],
    "PUT manifest": QUOTAS["PutImage"],
    "PUT upload": QUOTAS["CompleteLayerUpload"],
}


def quota_seconds(requests: Mapping[str, int]) -> float:
    """Return the seconds that the API's quotas alone make these requests take."""
    return max((count / QUOTAS[name] for name, count in requests.items() if name in QUOTAS), default=0.0)
