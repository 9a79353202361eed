"""
The body of an answer that came in a worker thread: read by worker threads, or piece by piece by a coroutine.

Knows nothing of where the bytes go.
"""

import http.client
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from transfer.concurrency import worker_threads
from transfer.concurrency.limits import BandwidthLimiter
from transfer.engine.blob_reader import Pieces
from transfer.http.blocking_socket import BlockingSocket, can_splice

# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED = 64 * 1024


class Download(Pieces):
    """
    The bytes of one answer, in order.

    Args:
        wire: what it comes over, where that is without TLS.
        release: gives the connection back, or closes it where the answer was not read to its end.
        meter: counts the bytes as they come.
        translated: what an exception of the network becomes.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        wire: BlockingSocket | None,
        release: Callable[[], None],
        meter: BandwidthLimiter | None,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._wire = wire if can_splice() and not meter and not response.chunked else None
        self._has_length = response.length is not None
        # Nothing that came lies here: it can all be had from the socket.
        self._is_drained = False
        self._shall_drain = False
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
            count = self._read(view)
            if not count and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        if self._response.isclosed():
            self.close()
        if count and self._meter is not None:
            worker_threads.call(partial(self._meter.take, count))
        return count

    def _read(self, view: memoryview) -> int:
        self._is_drained = self._shall_drain
        if not self._shall_drain:
            return self._response.readinto(view)
        # No more than lies here already: what comes after it, the kernel may move.
        self._shall_drain = False
        lying = self._response.peek()
        return self._response.readinto(view[: len(lying)]) if lying else 0

    @property
    def has_length(self) -> bool:
        """Whether the answer says how long it is."""
        return self._has_length

    def goes_on(self) -> bool:
        """Whether there is more. Blocks."""
        with self._translated():
            return not self._response.isclosed() and bool(self._response.read(1))

    def splice(self, pipe: int, count: int, /) -> int:
        """Have the kernel put at most so many of the next bytes into a pipe; 0 where it cannot now. Blocks."""
        left = self._response.length
        if self._wire is None or not left:
            return 0
        if not self._is_drained:
            self._shall_drain = True
            return 0
        with self._translated():
            moved = self._wire.splice_into(pipe, min(count, left))
            if not moved:
                raise http.client.IncompleteRead(b"", left)
        self._response.length = left - moved
        if moved == left:
            self._response.close()
            self.close()
        return moved

    def close(self) -> None:
        """Let go of the connection; does not block."""
        release, self._release = self._release, None
        if release is not None:
            release()
            self._response.close()
