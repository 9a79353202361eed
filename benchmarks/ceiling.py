"""
What this machine could do at best, measured beside each throughput: `python -m benchmarks.ceiling` is the sink.

Two ceilings. The wire: bodies of the parts' size and number, posted over loopback by the same HTTP client to a server
that reads and discards. The encoding: one core that hashes a layer, encodes it and hashes the text, which the
protocol (digest, base64, SigV4) demands of every client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from itertools import repeat

import aiohttp
import pybase64
from aiohttp import web

from benchmarks.answering import answer_lines, run
from benchmarks.processes import service

MIB = 1024 * 1024
_PART = 10 * MIB
_ENCODED = 128 * MIB


async def _discard(request: web.Request) -> web.Response:
    async for _ in request.content.iter_any():
        pass
    return web.Response()


async def main() -> None:
    app = web.Application()
    app.router.add_post("/", _discard)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await answer_lines({"port": runner.addresses[0][1]}, lambda _: {})
    await runner.cleanup()


def wire(size: int, layer_size: int, *, connections: int) -> float:
    """MiB of layers a second that `size` bytes of them, posted over so many connections, could have at best."""
    seconds: list[float] = []
    part = min(layer_size, _PART)
    with service("benchmarks.ceiling") as sink:
        bodies = repeat(bytes(part * 4 // 3), size // part)
        run(_post(f"http://127.0.0.1:{sink.ready['port']}/", bodies, connections, seconds))
    return size / MIB / seconds[0]


async def _post(url: str, bodies: Iterator[bytes], connections: int, seconds: list[float]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(_post_each(session, url, bodies))
        seconds.append(time.monotonic() - began)


async def _post_each(session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
    """Post what the others, who take from the same bodies, leave."""
    for body in bodies:
        headers = {"Content-Length": str(len(body))}
        async with session.post(url, data=_slices(body), headers=headers) as response:
            response.raise_for_status()


async def _slices(body: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(body), MIB):
        yield memoryview(body)[start : start + MIB]


def encoding() -> float:
    """MiB of layer a second that one core digests, encodes and hashes for a signature."""
    block = bytes(range(256)) * 384
    digest, payload = sha256(), sha256()
    began = time.process_time()
    for _ in range(_ENCODED // len(block)):
        digest.update(block)
        payload.update(pybase64.b64encode(block))
    return _ENCODED / MIB / (time.process_time() - began)


if __name__ == "__main__":
    run(main())
