"""
Progress as one JSON object a line, for programs: the events as they are, with their name and the time.

    {"event": "blob_progress", "time": "2026-01-31T12:00:00.123456Z", "digest": "sha256:…", "offset": 10485760}
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import msgspec

from transfer.cli.display.text import DOCUMENTS
from transfer.events import At, Event
from transfer.progress import Progress

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_ECHO = partial(click.echo, err=True)
_NOW = partial(datetime.now, UTC)


class JsonRenderer:
    """A line on stderr for every event."""

    interval = 3600.0  # events are printed as they happen; ticks are not

    def __init__(
        self,
        write: Callable[[bytes], object] = _ECHO,
        now: Callable[[], datetime] = _NOW,
    ) -> None:
        self._write = write
        self._now = now

    def event(self, event: Event, progress: Progress, now: float) -> None:  # noqa: ARG002 -- a Renderer's signature
        self._write(encode(event, self._now()))

    def tick(self, progress: Progress, now: float) -> None:
        """Nothing happened."""

    def close(self) -> None:
        """Nothing to put back."""


def encode(event: Event, at: datetime, **more: Any) -> bytes:
    """Return one event as a JSON object without its newline, with further members."""
    if isinstance(event, At):
        return _encoded(event.event, at, {**more, "target": event.target})
    return _encoded(event, at, more)


def _encoded(event: Event, at: datetime, more: dict[str, Any]) -> bytes:
    name = _CAPITAL.sub("_", type(event).__name__).lower()
    members = msgspec.to_builtins(event, enc_hook=str)
    return msgspec.json.encode({"version": DOCUMENTS, "event": name, "time": at, **more, **members})
