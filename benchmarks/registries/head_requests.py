"""
As many HEADs of a manifest as a registry answers.

Run as `python -m benchmarks.registries.head_requests PORT PATH AUTHORIZATION COUNT`.

Writes requests and counts answers over a few connections, with next to nothing in between, so that it is not the limit.
"""

import asyncio
import sys
import time

from benchmarks.clients.line_service import run, say

_CONNECTIONS = 8


async def main(port: int, path: str, authorization: str, count: int) -> None:
    request = f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {authorization}\r\n\r\n".encode()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(port, request, count // _CONNECTIONS)) for _ in range(_CONNECTIONS)]
    seconds = time.monotonic() - began
    say({"seconds": seconds, "answered": sum(task.result() for task in tasks)})


async def _ask(port: int, request: bytes, count: int) -> int:
    """How many of so many, one after the other on one connection, were answered with 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    for _ in range(count):
        writer.write(request)
        answered += (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    return answered


if __name__ == "__main__":
    run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
