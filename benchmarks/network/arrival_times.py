"""
When bytes arrive that travel over a link: pure arithmetic over times that others read from a clock.

In order always: what leaves later never arrives earlier.
"""

from collections import deque
from collections.abc import Sequence

# Bytes that a direction of a connection holds at most, as the kernel's largest window does on a long path.
WINDOW = 4 * 1024 * 1024
# What leaves at once where there is a rate: small enough for a fair share of it.
_SLICE = 64 * 1024


class Line:
    """A stretch that bytes leave one after another, at `rate` bytes a second; 0 is at once."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = 0.0

    def leave(self, size: int, now: float) -> float:
        """When so many bytes that come now have left it."""
        self._free_at = max(self._free_at, now) + (size / self.rate if self.rate else 0.0)
        return self._free_at


class Road:
    """
    One direction of a connection: bytes go over its own line and a shared one, and arrive after the delay.

    Args:
        opens_at: the time before which nothing leaves, as on a connection that is still being made.
    """

    def __init__(self, own: Line, shared: Line, delay: float, opens_at: float = 0.0) -> None:
        self._lines = own, shared
        self._delay = delay
        self._opens_at = opens_at
        self._under_way: deque[tuple[float, bytes | memoryview]] = deque()
        self._held = 0
        rates = [line.rate for line in self._lines if line.rate]
        self._slice = _SLICE if rates else 0
        # With a rate, no more than what is on the way and a tenth of a second: more would only lie in a queue.
        self._window = min(WINDOW, int(min(rates) * (delay + 0.1))) if rates else WINDOW

    def take(self, data: bytes, now: float) -> None:
        """Bytes that set out now; none are the end of all."""
        now = max(now, self._opens_at)
        for piece in self._pieces(data):
            left = max(line.leave(len(piece), now) for line in self._lines)
            self._under_way.append((left + self._delay, piece))
            self._held += len(piece)

    def arrived(self, now: float) -> Sequence[bytes | memoryview]:
        """What has arrived by now, and was not given before."""
        found = []
        while self._under_way and self._under_way[0][0] <= now:
            found.append(self._under_way.popleft()[1])
            self._held -= len(found[-1])
        return found

    @property
    def next_at(self) -> float | None:
        """When the next bytes arrive; None where nothing is under way."""
        return self._under_way[0][0] if self._under_way else None

    @property
    def full(self) -> bool:
        """Whether whoever sends has to wait."""
        return self._held >= self._window

    def _pieces(self, data: bytes) -> Sequence[bytes | memoryview]:
        if not self._slice or len(data) <= self._slice:
            return [data]
        view = memoryview(data)
        return [view[start : start + self._slice] for start in range(0, len(data), self._slice)]
