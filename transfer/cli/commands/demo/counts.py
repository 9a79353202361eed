"""The cost of a push, counted at the server: pure functions of its request log."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transfer.server import RequestRecord

_PART, _COMPLETE = "UploadLayerPart", "CompleteLayerUpload"
_SMALLEST_PART = 5 * 1024 * 1024  # ECR service quotas: "Minimum layer part size"
_GRAIN = 1024


@dataclass(frozen=True, slots=True)
class Resumption:
    """
    The bytes of a killed push, and of the push that continued it.

    Attributes:
        inside: layers that the kill was inside of: begun, not complete.
        resumed: bytes of those that the next push did not send again.
        again: bytes that arrived twice, or for nothing.
        worst: the most of these that one upload has.
    """

    inside: int
    resumed: int
    again: int
    worst: int


def arrived(records: Iterable[RequestRecord]) -> int:
    """Return bytes of layer parts that came in, whether they counted or not."""
    return _by_upload(records).total()


def inside(records: Sequence[RequestRecord]) -> frozenset[str | None]:
    """Uploads that have a part and are not complete."""
    accepted = {record.upload_id for record in records if record.operation == _PART and record.status == 200}
    return frozenset(accepted - _completed(records).keys())


def compare(killed: Sequence[RequestRecord], resumed: Sequence[RequestRecord], sizes: Mapping[str, int]) -> Resumption:
    """Compare two pushes of one image to one repository; `sizes` are those of its blobs."""
    begun, completed = inside(killed), _completed([*killed, *resumed])
    before, after = _by_upload(killed), _by_upload(resumed)
    needed = {upload: sizes.get(digest or "", 0) for upload, digest in completed.items()}
    again = {upload: before[upload] + after[upload] - needed.get(upload, 0) for upload in before | after}
    return Resumption(
        inside=len(begun),
        resumed=sum(needed[upload] - after[upload] for upload in begun if upload in needed),
        again=sum(again.values()),
        worst=max(again.values(), default=0),
    )


def part_size(sizes: Iterable[int]) -> int:
    """Return bytes of a part of which the largest layer has four at least: ECR's smallest part, or less."""
    quarter = max(sizes) // 4
    return min(_SMALLEST_PART, max(_GRAIN, quarter // _GRAIN * _GRAIN))


def _by_upload(records: Iterable[RequestRecord]) -> Counter[str | None]:
    received: Counter[str | None] = Counter()
    for record in records:
        if record.operation == _PART:
            received[record.upload_id] += record.blob_bytes
    return received


def _completed(records: Iterable[RequestRecord]) -> dict[str | None, str | None]:
    """Return the digest of each upload that was completed."""
    return {one.upload_id: one.digest for one in records if one.operation == _COMPLETE and one.status == 200}
