"""
A slow link in front of a server: `python -m benchmarks.link HOST PORT ROUND_TRIP_SECONDS BYTES_PER_SECOND`.

Every connection has the whole rate to itself in either direction, as on a long path where the window, not the line, is
what limits; loopback alone would only show the CPU.
"""

import asyncio
import sys
from contextlib import suppress

from benchmarks.answering import answer_lines, run

_CHUNK = 32 * 1024
# Chunks on their way: 2 MiB, more than rate times delay, so that only the rate limits.
_ON_THE_WAY = 64

_Queue = asyncio.Queue[tuple[float, bytes]]


async def main(host: str, port: int, round_trip: float, rate: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(host, port)
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, far_writer, round_trip / 2, rate))
                group.create_task(_carry(far_reader, writer, round_trip / 2, rate))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    await answer_lines({"port": server.sockets[0].getsockname()[1]}, lambda _: {})


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, rate: float) -> None:
    """One direction of a connection: each chunk leaves when the rate lets it, and arrives after the delay."""
    chunks: _Queue = asyncio.Queue(_ON_THE_WAY)
    async with asyncio.TaskGroup() as group:
        group.create_task(_send_off(reader, chunks, delay, rate))
        group.create_task(_deliver(chunks, writer))


async def _send_off(reader: asyncio.StreamReader, chunks: _Queue, delay: float, rate: float) -> None:
    clock = asyncio.get_running_loop().time
    line_free_at = 0.0
    chunk = b"-"
    while chunk:
        try:
            chunk = await reader.read(_CHUNK)
        except ConnectionError:
            chunk = b""
        line_free_at = max(line_free_at, clock()) + len(chunk) / rate
        await chunks.put((line_free_at + delay, chunk))


async def _deliver(chunks: _Queue, writer: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due, chunk = await chunks.get()
        await asyncio.sleep(due - clock())
        if not chunk:
            writer.close()
            return
        with suppress(ConnectionError):
            writer.write(chunk)
            await writer.drain()


if __name__ == "__main__":
    run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
