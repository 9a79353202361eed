"""
Whether a link does what it was set to: measured before anything is measured over it.

A peer behind the link answers a byte with a byte, swallows, or pours; what comes out is compared with the settings.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.clients.processes import link_before
from benchmarks.values import BenchmarkFailed, Link

_TOLERANCE = 0.2
_BLOCK = bytes(256 * 1024)
_SECONDS = 0.5
_UNLIMITED_BYTES = 256_000_000
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """What a link turned out to be: milliseconds, and millions of bytes a second of one connection and of several."""

    round_trip_ms: float
    connection_mb_per_second: float
    total_mb_per_second: float


def check(link: Link) -> str:
    """
    Measure a link, and say in one line what it is.

    Raises:
        BenchmarkFailed: it is off its setting by more than 20 %.
    """
    plain = Link(
        round_trip_ms=link.round_trip_ms,
        connection_mb_per_second=link.connection_mb_per_second,
        total_mb_per_second=link.total_mb_per_second,
    )
    with _peer() as port, link_before("127.0.0.1", port, plain) as slow:
        measured = _measure(slow.ready["port"], plain)
    if wrong := deviations(plain, measured):
        raise BenchmarkFailed(f"the link is not what it was set to, is this machine busy? {'; '.join(wrong)}")
    return complaint(plain, measured)


def deviations(link: Link, measured: Measured) -> list[str]:
    """Where a link is off its settings by more than 20 %, a line each."""
    return [
        f"{name} is {got:.1f}, set to {wanted:g}"
        for name, wanted, got in _pairs(link, measured)
        if wanted and abs(got - wanted) > _TOLERANCE * wanted
    ]


def complaint(link: Link, measured: Measured) -> str:
    """What a link measured of itself, in one line."""
    return ", ".join(
        f"{name} {got:.1f} ({f'set to {wanted:g}' if wanted else 'as fast as it goes'})"
        for name, wanted, got in _pairs(link, measured)
    )


def _pairs(link: Link, measured: Measured) -> Sequence[tuple[str, float, float]]:
    return (
        ("round trip ms", link.round_trip_ms, measured.round_trip_ms),
        ("MB/s a connection", link.connection_mb_per_second, measured.connection_mb_per_second),
        ("MB/s in all", link.total_mb_per_second, measured.total_mb_per_second),
    )


def _measure(port: int, link: Link) -> Measured:
    with socket.create_connection(("127.0.0.1", port)) as one:
        _ping(one)  # the connection is made by then
        trip = min(_ping(one) for _ in range(5))
        single = _pour([one], _amount(_lowest(link.connection_mb_per_second, link.total_mb_per_second)), trip)
    several = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
    try:
        for each in several:
            _ping(each)
        together = _lowest(link.connection_mb_per_second * _CONNECTIONS, link.total_mb_per_second)
        total = _pour(several, _amount(together), trip)
    finally:
        for each in several:
            each.close()
    return Measured(trip * 1000, single / 1e6, total / 1e6)


def _lowest(*rates: float) -> float:
    return min((rate for rate in rates if rate), default=0.0)


def _amount(rate: float) -> int:
    return int(rate * 1e6 * _SECONDS) if rate else _UNLIMITED_BYTES


def _ping(connection: socket.socket) -> float:
    began = time.monotonic()
    connection.sendall(struct.pack("!cQ", b"p", 1) + b"-")
    connection.recv(1)
    return time.monotonic() - began


def _pour(connections: Sequence[socket.socket], amount: int, trip: float) -> float:
    """Return bytes a second that the peer got over these connections together."""
    share = amount // len(connections)
    began = time.monotonic()
    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(lambda one: _send(one, share), connections))
    return share * len(connections) / (time.monotonic() - began - trip)


def _send(connection: socket.socket, amount: int) -> None:
    connection.sendall(struct.pack("!cQ", b"u", amount))
    for start in range(0, amount, len(_BLOCK)):
        connection.sendall(memoryview(_BLOCK)[: amount - start])
    connection.recv(1)


@contextmanager
def _peer() -> Iterator[int]:
    """Swallows so many bytes, then answers with one; for as long as the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _answer(connection: socket.socket) -> None:
    room = bytearray(len(_BLOCK))
    with connection:
        while head := connection.recv(9, socket.MSG_WAITALL):
            left = struct.unpack("!cQ", head)[1]
            while left:
                left -= connection.recv_into(room, min(left, len(room)))
            connection.sendall(b"-")
