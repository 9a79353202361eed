"""
The request log: what was asked of the registry and what it answered, for tests and programs that count.

Keeps facts only, never bodies, credentials or signatures.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

# Which member of a request or an answer tells what of a record.
_FACTS: dict[str, tuple[str, type]] = {
    "repositoryName": ("repository", str),
    "uploadId": ("upload_id", str),
    "partFirstByte": ("first_byte", int),
    "partLastByte": ("last_byte", int),
    "layerDigest": ("digest", str),
    "imageDigest": ("digest", str),
    "imageTag": ("tag", str),
}

# Some 300 bytes each. A push of a thousand images makes about 50 000 requests.
_KEPT = 100_000

CLIENT_GONE = 499  # nginx's number for a client that hung up before its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """
    One request that is over.

    Attributes:
        operation: the API's name of it; `DownloadLayer` for a GET of a layer's URL; at `/v2/` what is done to what, as
            `GetBlob`, `HeadManifest`, `PatchUpload`, `MountBlob`, `ListTags`.
        status: the HTTP status; 499 when the client vanished before its request was complete.
        code: the error code answered, None on success.
        first_byte, last_byte: the range that a layer part or chunk claimed, or that a GET was answered with, inclusive.
        blob_bytes: bytes of blob content received (decoded), or promised by the answer to a download.
        digest: of the layer or image the request was about, where it was one.
    """

    operation: str
    repository: str | None = None
    status: int
    code: str | None = None
    upload_id: str | None = None
    first_byte: int | None = None
    last_byte: int | None = None
    blob_bytes: int = 0
    digest: str | None = None
    tag: str | None = None


def facts(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request or response adds to a record; a batch of one counts as that one."""
    found: dict[str, Any] = {}
    for name, value in members.items():
        if name == "image":
            found |= facts(value.get("imageId", {}) if isinstance(value, dict) else {})
        elif name in ("imageIds", "layerDigests") and isinstance(value, list) and len(value) == 1:
            found |= facts(value[0] if isinstance(value[0], dict) else {"layerDigest": value[0]})
        elif name in _FACTS and isinstance(value, _FACTS[name][1]):
            found[_FACTS[name][0]] = value
    return found


class RequestLog(Sequence[RequestRecord]):
    """The newest 100 000 requests, oldest first."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | Sequence[RequestRecord]:
        return self._records[index] if isinstance(index, int) else list(self._records)[index]

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)

    def of(self, operation: str) -> list[RequestRecord]:
        """Return the requests of one operation, oldest first."""
        return [record for record in self._records if record.operation == operation]

    def count(self, operation: str, status: int | None = None) -> int:
        """Return the number of requests of an operation, in all or with one status."""
        return sum(status is None or record.status == status for record in self.of(operation))

    def clear(self) -> None:
        self._records.clear()
