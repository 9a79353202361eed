"""Ledger: takes down what becomes of each image of a mirror, while it runs. Decides nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transfer.engine.result import PushResult
from transfer.errors import TransferError
from transfer.mirror.decide import Image
from transfer.mirror.report import ImageReport, MirrorReport
from transfer.mirror.settings import Mapping
from transfer.model.reference import Reference


class Ledger:
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

    def report(self, *, stopped: bool) -> MirrorReport:
        """All that was taken down."""
        return MirrorReport(
            images=tuple(self._images),
            mistakes=tuple(self._mistakes),
            warnings=tuple(self._warnings),
            seconds=time.monotonic() - self._began,
            stopped=stopped,
        )

    def warn(self, line: str) -> None:
        self._warnings.append(line)

    @contextmanager
    def mistakes(self, name: str, mapping: Mapping) -> Iterator[None]:
        """A step that much depends on: its error is taken down as the mapping's, and ends the step alone."""
        try:
            yield
        except TransferError as error:
            told = ImageReport(mapping=name, source=mapping.source, target=", ".join(mapping.targets), **_told(error))
            self._mistakes.append(told)
            self._on_image(told)
            self._on_failure()

    def ended(self, image: Image, target: Reference, **facts: Any) -> None:
        """One image is through at one target; `facts` are members of its report."""
        source = str(image.source) if image.source.repository else ""
        report = ImageReport(mapping=image.mapping, source=source, target=str(target), **facts)
        self._images.append(report)
        self._on_image(report)

    def failed(self, image: Image, target: Reference, error: TransferError, *, seconds: float = 0.0) -> None:
        self.ended(image, target, **_told(error), seconds=seconds)
        self._on_failure()

    def copied(
        self, image: Image, target: Reference, result: PushResult, *, notes: Sequence[str], seconds: float
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
            requests=result.requests,
            retries=result.retries,
            seconds=seconds,
        )


def _told(error: TransferError) -> dict[str, Any]:
    return {
        "status": "failed",
        "error": type(error).__name__,
        "message": str(error),
        "side": error.side,
        "notes": tuple(getattr(error, "__notes__", ())),
    }
