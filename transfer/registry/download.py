"""
The body of an answer that came in a worker thread: read by worker threads, or piece by piece by a coroutine.

Knows nothing of where the bytes go.
"""

import http.client
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from transfer.engine import lane
from transfer.engine.blob_reader import Pieces
from transfer.engine.limits import Meter

# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED = 64 * 1024


class Download(Pieces):
    """
    The bytes of one answer, in order.

    Args:
        release: gives the connection back, or closes it where the answer was not read to its end.
        meter: counts the bytes as they come.
        translated: what an exception of the network becomes.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        release: Callable[[], None],
        meter: Meter | None,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._translated = translated
        self._response = response
        self._release: Callable[[], None] | None = release
        self._meter = meter

    def readinto(self, buffer: memoryview) -> int:
        """
        Fill the buffer, as far as there are bytes; 0 at the end. Blocks; called in a worker thread.

        Raises:
            ConnectionFailed: the answer broke off.
        """
        view = buffer[:_METERED] if self._meter else buffer
        with self._translated():
            count = self._response.readinto(view)
            if not count and view and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        if self._response.isclosed():
            self.close()
        if count and self._meter is not None:
            lane.call(partial(self._meter.take, count))
        return count

    def close(self) -> None:
        """Let go of the connection; does not block."""
        release, self._release = self._release, None
        if release is not None:
            release()
            self._response.close()
