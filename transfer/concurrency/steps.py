"""Steps of uploads that are let end before a program stops, so that a later run need not repeat them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

# What a program that is to stop waits for them: a chunk is about eight seconds long, and `docker stop` kills after ten.
FINISH_SECONDS = 9.0


class Steps:
    """
    The steps at work: a chunk that is being sent, say, until it is recorded that it was.

    Attributes:
        cut: whether one was cancelled in the middle.
    """

    def __init__(self) -> None:
        self._at_work = 0
        self._stopping = False
        self._idle = asyncio.Event()
        self.cut = False

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Do one step in this block; once it is to stop, wait here to be cancelled instead."""
        if self._stopping:
            await asyncio.Event().wait()
        self._at_work += 1
        try:
            yield
        except asyncio.CancelledError:
            self.cut = True
            raise
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    @property
    def at_work(self) -> bool:
        """Whether there is any."""
        return self._at_work > 0

    async def stop(self, seconds: float) -> None:
        """Let no further step begin, and wait for those at work, at most so long; cancel what waits after that."""
        self._stopping = True
        self._idle.clear()
        if self._at_work:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
