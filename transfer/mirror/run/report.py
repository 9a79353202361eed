"""The report of a mirror, image by image: frozen values in counts, bytes and seconds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from transfer.errors import Side
from transfer.model.digest import Digest
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders

# "planned" is what a dry run would do, "stopped" what a run that was stopped did not get to.
Status = Literal["copied", "unchanged", "pruned", "failed", "planned", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """
    The result of one image at one target.

    Attributes:
        mapping: which mapping of the configuration it belongs to: `mappings[0]`.
        source, target: references; a pruned tag has no source.
        digest: of the image at the target; None where it is not known.
        error, message, side: why it failed: the kind of the error, and its one line.
        notes: what else there is to know.
        uploaded, mounted, present: bytes of its blobs, by how they came to be at the target; of an image that was
            stopped, uploaded are those that went, and that the next run need not send.
        blobs: how many blobs, by the same names.
        requests: those made for this image alone, at source and target; in a dry run, those that would write.
        calls: in a dry run, the requests that would write, by kind.
        retries: how many of them were tried again.
        seconds: from its beginning to its end.
    """

    mapping: str
    source: str
    target: str
    status: Status
    digest: Digest | None = None
    error: str | None = None
    message: str | None = None
    side: Side | None = None
    notes: tuple[str, ...] = ()
    uploaded: int = 0
    mounted: int = 0
    present: int = 0
    blobs: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """
    One run of a mirror.

    Attributes:
        images: in the order they ended.
        mistakes: what kept a whole mapping or repository from being looked at, with its mapping's name: an error, or
            the end of the run.
        warnings: what is worth a look and stopped nothing.
        seconds: from the call to its end.
        stopped: it was told to stop before it was through.
        pull_quotas: by registry, what it said of how much may be pulled, as Docker Hub does.
        quota_seconds: of a dry run, how long the registries' quotas alone would make what is planned take.
    """

    images: tuple[ImageReport, ...]
    mistakes: tuple[ImageReport, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    stopped: bool = False
    pull_quotas: Mapping[str, RateLimitHeaders] = field(default_factory=dict)
    quota_seconds: float = 0.0

    @property
    def counts(self) -> Mapping[Status, int]:
        """The number of images with each status; wrong mappings count as failed."""
        return Counter(one.status for one in (*self.images, *self.mistakes))

    @property
    def failed(self) -> tuple[ImageReport, ...]:
        """The images that failed."""
        return tuple(one for one in (*self.images, *self.mistakes) if one.status == "failed")


def whole(source: str, targets: str) -> str:
    """Return what stands for all images of a mapping among the targets that a run is limited to."""
    return f"{source} -> {targets}"
