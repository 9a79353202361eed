"""A clock that a test sets, and sleeping that takes no time."""

import asyncio


class Time:
    """
    Stands still until it is set, or, where it is `running`, moves on as long as somebody sleeps.

    Attributes:
        slept: how long was slept, each time.
    """

    def __init__(self, *, running: bool = False) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._running = running

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        wakes_at = self.now + seconds
        await asyncio.sleep(0)
        if self._running:
            self.now = max(self.now, wakes_at)
