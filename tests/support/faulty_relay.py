"""A relay between a client and a registry that spoils, by chance, what it passes on."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """
    What the relay does to what it passes on, by chance.

    Attributes:
        rate: the part of the pieces that are spoiled; six times this part of the connections is turned away.
    """

    chance: random.Random
    rate: float = 0.0

    def turned_away(self) -> bytes | None:
        """Return the answer for a connection that never reaches the registry; None for one that does."""
        if self.chance.random() >= 6 * self.rate:
            return None
        status = self.chance.choice(("429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"))
        waiting = self.chance.choice(("", "Retry-After: 0\r\n"))
        return f"HTTP/1.1 {status}\r\n{waiting}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()

    async def spoil(self, piece: bytes) -> bytes:
        """Return the piece, changed or late; ConnectionResetError where the connection shall break."""
        if self.chance.random() >= self.rate:
            return piece
        match self.chance.choice(("reset", "stall", "cut", "flip")):
            case "reset":
                raise ConnectionResetError
            case "stall":
                await asyncio.sleep(self.chance.uniform(0, 0.1))
                return piece
            case "cut":
                return piece[: self.chance.randrange(len(piece))]
            case _:
                at = self.chance.randrange(len(piece))
                return piece[:at] + bytes([piece[at] ^ 1 << self.chance.randrange(8)]) + piece[at + 1 :]


class Relay:
    """Passes on what comes to a port, spoiled; `upstream` is asked for each connection."""

    def __init__(self, upstream: Callable[[], int], faults: Faults) -> None:
        self._upstream = upstream
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen as long as the block lasts, at the port that is given."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(OSError):
                if answer := self._faults.turned_away():
                    await reader.read(16 * 1024)
                    writer.write(answer)
                    await writer.drain()
                    return
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream())
                writers.append(far_writer)
                await self._carry_both((reader, far_writer), (far_reader, writer))
        finally:
            for one in writers:
                one.transport.abort()

    async def _carry_both(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        both = [asyncio.create_task(self._carry(*way)) for way in ways]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(16 * 1024):
            spoiled = await self._faults.spoil(piece)
            writer.write(spoiled)
            await writer.drain()
            if len(spoiled) < len(piece):
                raise ConnectionResetError
