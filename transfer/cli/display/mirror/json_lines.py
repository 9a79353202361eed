"""A mirror's events as one JSON object a line, for programs: those of an image with its source and targets."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from transfer.cli.display.json_lines import encode
from transfer.cli.display.mirror.progress import MirrorProgress
from transfer.cli.display.mirror.report import image_document
from transfer.cli.display.text import json_text
from transfer.mirror.run.events import ImageMoved, ImagesFound, ImageStarted, MirrorEvent, RunStopping
from transfer.mirror.run.report import ImageReport

_ECHO = partial(click.echo, err=True)
_NOW = partial(datetime.now, UTC)


class MirrorJson:
    """A line on stderr for every event."""

    interval = 3600.0  # events are printed as they happen; ticks are not

    def __init__(self, write: Callable[[str], object] = _ECHO, now: Callable[[], datetime] = _NOW) -> None:
        self._write = write
        self._now = now

    def event(self, event: MirrorEvent, state: MirrorProgress, now: float) -> None:
        del now
        at = self._now()
        match event:
            case RunStopping():
                self._line("stopping", at, {"grace": event.grace})
            case ImagesFound():
                self._line("images_found", at, {"count": event.count})
            case ImageStarted():
                self._line("image_started", at, {"source": event.source, "targets": event.targets})
            case ImageReport():
                self._line("image_ended", at, image_document(event))
            case ImageMoved() if image := state.work.get(event.number):
                self._write(encode(event.event, at, source=image.source, targets=image.targets).decode())
            case _:
                pass

    def _line(self, name: str, at: datetime, members: dict[str, Any]) -> None:
        self._write(json_text({"event": name, "time": at, **members}, indented=False))

    def tick(self, state: MirrorProgress, now: float) -> None:
        """Nothing happened."""

    def close(self) -> None:
        """Nothing to put back."""
