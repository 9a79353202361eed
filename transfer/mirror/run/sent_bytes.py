"""The bytes that went to each target of an image, as its events tell: of a copy that was cut off nothing else does."""

from transfer.events import At, BlobProgress, BlobStarted, Event, Observer
from transfer.model.digest import Digest


def ignored(event: Event) -> None:
    """Do nothing."""
    del event


class SentBytes:
    """
    An observer of one copy that counts what goes out; with one target, its name is not in the events.

    Args:
        then: called with each event after that.
    """

    def __init__(self, then: Observer = ignored) -> None:
        self._then = then
        self._begun: dict[tuple[str, Digest], int] = {}
        self._reached: dict[tuple[str, Digest], int] = {}

    def __call__(self, event: Event) -> None:
        self._then(event)
        target = ""
        if isinstance(event, At):
            target, event = event.target, event.event
        if isinstance(event, BlobStarted):
            self._begun.setdefault((target, event.descriptor.digest), event.offset)
        elif isinstance(event, BlobProgress):
            key = target, event.digest
            self._reached[key] = max(event.offset, self._reached.get(key, 0))

    def to(self, target: str) -> int:
        """Return the bytes that went to a target."""
        return sum(
            max(0, reached - self._begun.get((name, digest), 0))
            for (name, digest), reached in self._reached.items()
            if name in ("", target)
        )
