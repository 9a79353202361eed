"""A relay on loopback in front of a server, which can stop moving bytes as a dead link does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """
    Passes bytes on in both directions while it is open.

    Attributes:
        port: where it listens.
        cut_after: bytes of a connection to the server, after which it is reset.
        rate: bytes a second to the server, over all connections.
        sent: bytes that went to the server, over all connections.
        cuts: connections that were reset.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.cut_after: int | None = None
        self.rate: float | None = None
        self.sent = self.cuts = 0
        self._free_at = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    def stall(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(ConnectionError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
                writers.append(far_writer)
                await asyncio.gather(self._carry(reader, far_writer, to_server=True), self._carry(far_reader, writer))
        finally:
            for one in writers:
                # Nothing more is to be sent, and closing would wait for what nobody reads.
                one.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool = False
    ) -> None:
        moved = 0
        try:
            with suppress(ConnectionError):
                while data := await reader.read(64 * 1024):
                    await self._flowing.wait()
                    if to_server:
                        moved += len(data)
                        await self._count(moved, len(data))
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()

    async def _count(self, moved: int, count: int) -> None:
        """Count what goes to the server, and delay it; ConnectionResetError once a connection has carried enough."""
        if self.cut_after is not None and moved > self.cut_after:
            self.cuts += 1
            # What was passed on before is to arrive: a chunk in part.
            await asyncio.sleep(0.05)
            raise ConnectionResetError
        self.sent += count
        if self.rate is not None:
            now = asyncio.get_running_loop().time()
            self._free_at = max(now, self._free_at) + count / self.rate
            await asyncio.sleep(self._free_at - now)


@asynccontextmanager
async def relay(upstream: int) -> AsyncIterator[Relay]:
    """A relay to a loopback port for as long as the block lasts."""
    between = Relay(upstream)
    carrying: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(between.connected(reader, writer))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        between.flow()
        server.close()
        for task in carrying:
            task.cancel()
        if carrying:
            await asyncio.wait(carrying)
        await server.wait_closed()
