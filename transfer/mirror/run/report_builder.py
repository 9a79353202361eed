"""Ledger: takes down what becomes of each image of a mirror, while it runs. Decides nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from transfer.engine.result import Preview, PushResult
from transfer.errors import TransferError
from transfer.mirror.config.settings import MirrorRule
from transfer.mirror.run.report import ImageReport, MirrorReport
from transfer.registry.ecr.upload_decisions import quota_seconds
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders


class Subject(Protocol):
    """
    The image or mapping that an entry of a report is about.

    Attributes:
        mapping: its place in the configuration.
        origin: its source; empty where it has none.
    """

    @property
    def mapping(self) -> str: ...

    @property
    def origin(self) -> str: ...


class ReportBuilder:
    """
    The report of a run, as it grows.

    Args:
        on_image: told of each image when it ends.
        on_failure: called after each failure.
    """

    def __init__(self, *, on_image: Callable[[ImageReport], None], on_failure: Callable[[], None]) -> None:
        self._on_image = on_image
        self._on_failure = on_failure
        self._began = time.monotonic()
        self._images: list[ImageReport] = []
        self._mistakes: list[ImageReport] = []
        self._warnings: list[str] = []

    def report(self, *, stopped: bool, pull_quotas: Mapping[str, RateLimitHeaders] | None = None) -> MirrorReport:
        """Return all that was taken down."""
        return MirrorReport(
            images=tuple(self._images),
            mistakes=tuple(self._mistakes),
            warnings=tuple(
                line if times == 1 else f"{line} ({times} times)" for line, times in Counter(self._warnings).items()
            ),
            seconds=time.monotonic() - self._began,
            stopped=stopped,
            pull_quotas=pull_quotas or {},
            quota_seconds=quotas_of(self._images),
        )

    def warn(self, line: str) -> None:
        self._warnings.append(line)

    @contextmanager
    def mistakes(self, name: str, mapping: MirrorRule) -> Iterator[None]:
        """A step that much depends on: its error is taken down as the mapping's, and ends the step alone."""
        try:
            yield
        except TransferError as error:
            self._of_mapping(name, mapping, **_described(error))
            self._on_failure()

    def unseen(self, name: str, mapping: MirrorRule) -> None:
        """The run was cut off before it had looked at all of a mapping."""
        self._of_mapping(name, mapping, status="stopped", message="cut off before all of it was looked at")

    def _of_mapping(self, name: str, mapping: MirrorRule, **facts: Any) -> None:
        entry = ImageReport(mapping=name, source=mapping.source, target=", ".join(mapping.targets), **facts)
        self._mistakes.append(entry)
        self._on_image(entry)

    def ended(self, image: Subject, target: object, **facts: Any) -> None:
        """One image is through at one target; `facts` are members of its report."""
        report = ImageReport(mapping=image.mapping, source=image.origin, target=str(target), **facts)
        self._images.append(report)
        self._on_image(report)

    def failed(self, image: Subject, target: object, error: TransferError, *, seconds: float = 0.0) -> None:
        self.ended(image, target, **_described(error), seconds=seconds)
        self._on_failure()

    def settled(
        self,
        image: Subject,
        target: object,
        outcome: PushResult | Preview | TransferError,
        *,
        notes: Sequence[str],
        seconds: float,
    ) -> None:
        """One image was, or would be, copied to one target, or was there after all, or failed."""
        if isinstance(outcome, TransferError):
            self.failed(image, target, outcome, seconds=seconds)
        elif isinstance(outcome, Preview):
            self._planned(image, target, outcome, notes=notes, seconds=seconds)
        else:
            self._copied(image, target, outcome, notes=notes, seconds=seconds)

    def _copied(
        self, image: Subject, target: object, result: PushResult, *, notes: Sequence[str], seconds: float
    ) -> None:
        """One image was copied, or found to be there after all."""
        moved = result.sent or result.mounted.count or result.manifests
        self.ended(
            image,
            target,
            status="copied" if moved else "unchanged",
            digest=result.digest,
            notes=tuple(notes),
            uploaded=result.sent,
            mounted=result.mounted.size,
            present=result.present.size,
            blobs={
                "uploaded": result.uploaded.count + result.resumed.count,
                "mounted": result.mounted.count,
                "present": result.present.count,
            },
            requests=result.requests,
            retries=result.retries,
            seconds=seconds,
        )

    def _planned(
        self, image: Subject, target: object, preview: Preview, *, notes: Sequence[str], seconds: float
    ) -> None:
        """One image would be copied, or nothing of it."""
        moves = preview.uploaded.count or preview.mounted.count or preview.manifests
        self.ended(
            image,
            target,
            status="planned" if moves else "unchanged",
            digest=preview.digest,
            notes=(*notes, *(["its repository would be created"] if preview.creates else [])),
            uploaded=preview.uploaded.size,
            mounted=preview.mounted.size,
            present=preview.present.size,
            blobs={
                "uploaded": preview.uploaded.count,
                "mounted": preview.mounted.count,
                "present": preview.present.count,
            },
            requests=sum(preview.requests.values()),
            calls=dict(preview.requests),
            seconds=seconds,
        )


def quotas_of(images: Iterable[ImageReport]) -> float:
    """Return the seconds that registries' quotas alone make the planned requests take, in parallel."""
    calls: dict[str, Counter[str]] = {}
    for image in images:
        calls.setdefault(image.target.partition("/")[0], Counter()).update(image.calls)
    return max(map(quota_seconds, calls.values()), default=0.0)


def _described(error: TransferError) -> dict[str, Any]:
    return {
        "status": "failed",
        "error": type(error).__name__,
        "message": str(error),
        "side": error.side,
        "notes": tuple(getattr(error, "__notes__", ())),
    }
