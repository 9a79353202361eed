"""
A link in front of a server, as a process: `python -m benchmarks.network.link SETTINGS`, the settings as JSON.

Adds a round trip, caps the bandwidth of each connection and of all, ends TLS in front of a server that has none, cuts
connections, and counts what it carries and the CPU that it takes. Making a connection costs its round trip too.
Loopback alone would only show the CPU.
"""

import asyncio
import socket
import ssl
import struct
import sys
import time
from typing import cast

import msgspec

from benchmarks.clients.cpu import own_seconds
from benchmarks.clients.line_service import answer_lines, run
from benchmarks.network.arrival_times import Line, Road
from benchmarks.values import MIB, Link, Value

# Timers of the event loop know milliseconds: what is due within half of one is due.
_TICK = 0.0005
# Lingering for no time makes the system send a reset.
_RESET = struct.pack("ii", 1, 0)


class Settings(Value, frozen=True, kw_only=True):
    """Where a link leads and what it is like; `certificate` is a PEM file with a key: TLS ends behind the link."""

    host: str
    port: int
    link: Link = Link()
    certificate: str = ""


class _Way(asyncio.Protocol):
    """An end of a connection: what it receives travels over `road` to the end beyond."""

    def __init__(self, road: Road, cut_after: float) -> None:
        self.road = road
        self.beyond: _Way | None = None
        self.transport: asyncio.Transport | None = None
        self.received = 0
        self._cut_after = cut_after
        self._blocked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # a stream's
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self._cut_after:
            self.abort()
            return
        self.road.take(data, time.monotonic())
        self.deliver()

    def eof_received(self) -> bool:
        self._end()
        # What comes the other way may still be under way; TLS knows no such half.
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self._end()

    def pause_writing(self) -> None:
        if self.beyond is not None:
            self.beyond._blocked = True  # noqa: SLF001 - the same class

    def resume_writing(self) -> None:
        if self.beyond is not None:
            self.beyond._blocked = False  # noqa: SLF001 - the same class
            self.beyond.deliver()

    def abort(self) -> None:
        """Abort both connections, as a broken path does, instead of closing them."""
        for end in (self, self.beyond):
            if end is not None and end.transport is not None:
                sock = end.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.transport.abort()

    def deliver(self) -> None:
        """Hand on what has arrived, and see to it that the rest is when it does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        far = self.beyond.transport if self.beyond is not None else None
        if self.beyond is None or self._blocked:
            self._hold_back()
            return
        now = time.monotonic()
        for piece in self.road.arrived(now + _TICK):
            if far is None:
                continue
            if piece:
                far.write(piece)
            else:
                far.close()
        due = self.road.next_at
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(2 * _TICK, due - now), self.deliver)
        self._hold_back()

    def _end(self) -> None:
        self.road.take(b"", time.monotonic())
        self.deliver()

    def _hold_back(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self.road.full:
            self.transport.pause_reading()
        elif not self.transport.is_reading():
            self.transport.resume_reading()


class Listener:
    """Accepts connections and leads each to `host:port`."""

    def __init__(self, host: str, port: int, link: Link) -> None:
        self._connections = self._sent = self._received = 0
        self._place = host, port
        self._link = link
        self._shared = Line(link.total_mb_per_second * 1e6), Line(link.total_mb_per_second * 1e6)
        self._connecting: set[asyncio.Task[None]] = set()
        self._open: list[tuple[_Way, _Way]] = []

    async def listen(self, context: ssl.SSLContext | None = None) -> int:
        """Return the port that it listens on."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accepted, "127.0.0.1", 0, ssl=context, backlog=1024)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def count(self) -> dict[str, int]:
        """Return all until now: connections, bytes `sent` by who connects, bytes `received` by them."""
        still = [pair for pair in self._open if any(end.transport is not None for end in pair)]
        for near, far in set(self._open) - set(still):
            self._sent += near.received
            self._received += far.received
        self._open = still
        return {
            "connections": self._connections,
            "sent": self._sent + sum(near.received for near, _ in still),
            "received": self._received + sum(far.received for _, far in still),
        }

    def _accepted(self) -> asyncio.Protocol:
        link, trip = self._link, self._link.round_trip_ms / 1000
        cut_after = link.cut_after_mib * MIB or float("inf")
        rate = link.connection_mb_per_second * 1e6
        near = _Way(Road(Line(rate), self._shared[0], trip / 2, time.monotonic() + trip), cut_after)
        far = _Way(Road(Line(rate), self._shared[1], trip / 2), cut_after)
        self._connections += 1
        self._open.append((near, far))
        task = asyncio.get_running_loop().create_task(self._connect(near, far))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return near

    async def _connect(self, near: _Way, far: _Way) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, *self._place)
        except OSError:
            near.abort()
            return
        near.beyond, far.beyond = far, near
        near.deliver()
        far.deliver()


async def main(settings: Settings) -> None:
    host, port = settings.host, settings.port
    if settings.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.certificate)
        host, port = "127.0.0.1", await Listener(host, port, Link()).listen(context)
    listener = Listener(host, port, settings.link)

    before: dict[str, float] = {}

    def answer(line: str) -> dict[str, float]:
        """What was counted since the last `clear`; any other line leaves it at that."""
        counts = {**listener.count(), "cpu_seconds": own_seconds()}
        since = {name: count - before.get(name, 0) for name, count in counts.items()}
        if line == "clear":
            before.update(counts)
        return since

    await answer_lines({"port": await listener.listen()}, answer)


if __name__ == "__main__":
    run(main(msgspec.json.decode(sys.argv[1], type=Settings)))
