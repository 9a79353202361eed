"""
Ready-made observers: progress for scripts and notebooks, in a log, with tqdm or rich, or for a callback as boto3's.

    with TqdmObserver() as observer:
        push_image("oci:build/image", "registry.example/app:v1", observer=observer)

They are called in the event loop, and count the bytes of the blobs that the target lacks.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from transfer.events import BlobFinished, Event, ManifestPushed, Notice, Planned, Retrying, unwrapped
from transfer.progress import Progress, begin, fold

if TYPE_CHECKING:
    from rich.console import Console


class ByteCallback:
    """
    Call a function with the bytes that moved since the last call, as boto3's `Callback`; less than 0 are sent again.

    Args:
        callback: called with a number of bytes, other than 0.

    Attributes:
        progress: all that is known so far.
    """

    def __init__(self, callback: Callable[[int], object]) -> None:
        self.progress: Progress = begin(time.monotonic())
        self._callback = callback
        self._done = 0

    def __call__(self, event: Event) -> None:
        self.progress = fold(self.progress, event, time.monotonic())
        moved, self._done = self.progress.done - self._done, self.progress.done
        if moved:
            self._callback(moved)


class LogObserver:
    """
    Log what happens: blobs and manifests as information, retries and notices as warnings.

    Args:
        logger: where to; `transfer.progress` where none is given.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("transfer.progress")

    def __call__(self, event: Event) -> None:
        match unwrapped(event):
            case Planned() as plan:
                self._logger.info(
                    "%d of %d blobs to move, %d of %d bytes",
                    *(plan.missing_blobs, plan.blobs, plan.missing_size, plan.size),
                )
            case BlobFinished(descriptor=blob, status=status):
                self._logger.info("blob %s %s, %d bytes", blob.digest, status, blob.size)
            case ManifestPushed(digest=digest, tag=tag):
                self._logger.info("manifest %s pushed%s", digest, f" as {tag}" if tag else "")
            case Retrying() as retry:
                self._logger.warning("%s: %s; again in %.1f s", retry.action, retry.reason, retry.delay)
            case Notice(message=message):
                self._logger.warning("%s", message)
            case _:
                pass


class TqdmObserver:
    """
    Draw one bar with tqdm, which must be installed.

    Args:
        options: of `tqdm.tqdm`, as in `desc="app:v1"`.
    """

    def __init__(self, **options: Any) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - of those who use it

        settings: dict[str, Any] = {"unit": "B", "unit_scale": True, "total": 0, **options}
        self._bar = tqdm(**settings)
        self._count = ByteCallback(self._bar.update)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        if isinstance(unwrapped(event), Planned):
            # Before the bytes, which are not to be more than there are.
            self._bar.total = fold(self._count.progress, event, time.monotonic()).total
        self._count(event)


class RichObserver:
    """
    Draw one bar with rich.

    Args:
        title: what is moved.
        console: where to draw; the standard error where none is given.
    """

    def __init__(self, title: str = "", console: "Console | None" = None) -> None:
        from rich import progress as rich_progress  # noqa: PLC0415 - of those who use it
        from rich.console import Console  # noqa: PLC0415 - as above

        self._drawn = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.DownloadColumn(),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task = self._drawn.add_task(title, total=None)
        self._progress = begin(time.monotonic())

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()

    def __call__(self, event: Event) -> None:
        self._progress = fold(self._progress, event, time.monotonic())
        total = self._progress.total if self._progress.plan else None
        self._drawn.update(self._task, completed=self._progress.done, total=total)
