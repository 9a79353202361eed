"""
A registry that misbehaves by script: one step for each request, on a real socket.

Speaks just enough HTTP to read a request and to answer, or fail to answer, in one exact way. Counts what arrives.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Arrived:
    """One request: its head, and as much of its body as the step has read."""

    line: str
    headers: dict[str, str]
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    body: bytearray = field(default_factory=bytearray, repr=False)
    begun: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    def json(self) -> Any:
        return json.loads(self.body)

    async def read_body(self) -> None:
        while len(self.body) < self.length:
            piece = await self.reader.read(min(65536, self.length - len(self.body)))
            if not piece:
                raise ConnectionResetError
            self.body += piece

    def reply(self, status: int, body: bytes, headers: dict[str, str], *, length: int | None = None) -> None:
        head = {"Content-Length": str(len(body) if length is None else length), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.writer.write(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body)


Step = Callable[[Arrived], Awaitable[None]]


def answer(status: int = 200, content: object = None, **headers: str) -> Step:
    """Read the request whole, then answer it: bytes as they are, anything else as JSON."""
    body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def step(request: Arrived) -> None:
        await request.read_body()
        request.reply(status, body, named)
        await request.writer.drain()

    return step


def early(status: int, content: object) -> Step:
    """Answer after the head, read nothing of the body, and leave the connection open."""

    async def step(request: Arrived) -> None:
        request.reply(status, json.dumps(content).encode(), {"Connection": "close"})
        await request.writer.drain()
        await asyncio.Event().wait()

    return step


def hasty(status: int, content: object) -> Step:
    """Answer after the head, and close the connection on the rest of the request."""

    async def step(request: Arrived) -> None:
        request.reply(status, json.dumps(content).encode(), {"Connection": "close"})
        await request.writer.drain()
        request.writer.close()

    return step


async def drop(request: Arrived) -> None:
    """Take the request whole, and close the connection without an answer."""
    await request.read_body()
    request.writer.close()


async def cut(request: Arrived) -> None:
    """Close the connection in the middle of the request's body."""
    request.body += await request.reader.read(65536)
    request.writer.transport.abort()


async def stall(request: Arrived) -> None:
    """Take the request whole and never answer."""
    await request.read_body()
    await asyncio.Event().wait()


async def deaf(request: Arrived) -> None:
    """Never read the body."""
    del request
    await asyncio.Event().wait()


async def slow(request: Arrived) -> None:
    """Read the body at no more than 25 MiB a second, then answer."""
    while len(request.body) < request.length:
        piece = await request.reader.read(262144)
        if not piece:
            raise ConnectionResetError
        request.body += piece
        request.begun.set()
        await asyncio.sleep(0.01)
    request.reply(200, b"{}", {})


def broken_off(body: bytes, *, length: int) -> Step:
    """Promise `length` bytes, send `body`, close."""

    async def step(request: Arrived) -> None:
        await request.read_body()
        request.reply(200, body, {}, length=length)
        await request.writer.drain()
        request.writer.close()

    return step


def gibberish(content: bytes) -> Step:
    """Answer with something that is not HTTP."""

    async def step(request: Arrived) -> None:
        await request.read_body()
        request.writer.write(content)
        await request.writer.drain()
        request.writer.close()

    return step


class Peer:
    """What a script has seen; the last step is repeated when the script runs out."""

    def __init__(self, steps: tuple[Step, ...], *, scheme: str) -> None:
        self._scheme = scheme
        self._steps = list(steps)
        self._connected: set[asyncio.Task[None]] = set()
        self.requests: list[Arrived] = []
        self.connections = 0
        self.port = 0
        self.came = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connected.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                request = await _arrived(reader, writer)
                self.requests.append(request)
                self.came.set()
                step = await self.choose(request)
                await step(request)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connected.discard(task)
            self.gone.set()
            writer.close()

    async def choose(self, request: Arrived) -> Step:
        """What to do with a request: the script's next step."""
        del request
        return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]

    async def cut_short(self, sending: asyncio.Task[Any]) -> None:
        """Cancel who sends the first request, in the middle of its body, and wait until they are gone."""
        await self.came.wait()
        await self.requests[0].begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(self.gone.wait(), 5)

    async def deserted(self) -> None:
        """Wait until every client has closed its connection."""
        while self._connected:
            await asyncio.wait(self._connected)

    async def hang_up(self) -> None:
        tasks = list(self._connected)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def _arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Arrived:
    first = await reader.readexactly(1)
    if first == b"\x16":
        # A TLS handshake: what a plain port usually says to it.
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        await writer.drain()
        raise ConnectionResetError
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip().split("\r\n")
    pairs = (one.split(":", 1) for one in fields)
    return Arrived(line, {name.strip().lower(): value.strip() for name, value in pairs}, reader, writer)


@asynccontextmanager
async def scripted(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A peer on a free loopback port, for as long as the block lasts."""
    peer = Peer(steps, scheme="https" if tls else "http")
    async with listening(peer, tls):
        yield peer


@asynccontextmanager
async def listening(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """Let a peer be reached, for as long as the block lasts."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await peer.hang_up()
        await server.wait_closed()
