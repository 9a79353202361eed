"""
Idle connections of worker threads, kept for the next request to the same place. Knows nothing of requests.
"""

import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from transfer.registry.wire import Wire

P = TypeVar("P", bound=Hashable)

# Most servers keep a connection for longer than this, and those that do not close it, which is seen.
_IDLE_SECONDS = 15.0


class Idle(Generic[P]):
    """Connections by place; any thread may take and give."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wires: dict[P, list[tuple[float, Wire]]] = {}
        self._closed = False

    def take(self, place: P) -> Wire | None:
        """A connection that nobody uses, and that the peer has not closed; None where there is none."""
        while True:
            with self._lock:
                wires = self._wires.get(place)
                if not wires:
                    return None
                since, wire = wires.pop()
            if time.monotonic() - since < _IDLE_SECONDS and not wire.has_answer():
                return wire
            wire.close()

    def give(self, place: P, wire: Wire) -> None:
        """Keep a connection."""
        now = time.monotonic()
        with self._lock:
            wires = self._wires.setdefault(place, [])
            old = [one for one in wires if now - one[0] >= _IDLE_SECONDS]
            del wires[: len(old)]
            if self._closed:
                old.append((now, wire))
            else:
                wires.append((now, wire))
        for _, one in old:
            one.close()

    def close(self) -> None:
        """Close all, and those that are given back later."""
        with self._lock:
            self._closed = True
            left = [wire for wires in self._wires.values() for _, wire in wires]
            self._wires.clear()
        for wire in left:
            wire.close()
