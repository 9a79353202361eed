"""
Connections of worker threads: made to a place, through its proxy and with its TLS, and kept for the next request to it.

Reads and writes no request but CONNECT. HTTP is the standard library's, over `BlockingSocket`.
"""

import base64
import http.client
import io
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from transfer.concurrency import worker_threads
from transfer.http.blocking_socket import Address, BlockingSocket, SocketFile
from transfer.http.failures import NotConnected, ProxyRefused, ProxyUnreachable, TlsRefused
from transfer.http.route import Route

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer


# Most servers keep a connection for longer than this, and those that do not close it, which is seen.
_IDLE_SECONDS = 15.0


class ConnectionKey(NamedTuple):
    """The key of a connection; an idle one is reused for the same key."""

    scheme: str
    netloc: str
    proxy: str | None
    trust: ssl.SSLContext | bool
    public_only: bool


class Timeouts(NamedTuple):
    """Seconds until a connection stands, and without a byte."""

    connect: float
    read: float


Resolve = Callable[[str, int, bool], Awaitable[Sequence[Address]]]


def key_of(url: str, around: Route, *, public_only: bool) -> ConnectionKey:
    """Return the key of the connection for a URL."""
    parts = urlsplit(url)
    return ConnectionKey(parts.scheme, parts.netloc, around.proxy, around.trust, public_only and around.proxy is None)


class Connections:
    """
    Those of one transport, by place; any thread may take and give.

    Args:
        resolve: finds the addresses of a host, in the event loop.
    """

    def __init__(self, resolve: Resolve, timeouts: Timeouts) -> None:
        self._resolve = resolve
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._wires: dict[ConnectionKey, list[tuple[float, BlockingSocket]]] = {}
        self._closed = False

    def take(self, place: ConnectionKey, *, fresh: bool = False) -> BlockingSocket:
        """
        Return a connection that nobody else uses; blocks, in a worker thread.

        Args:
            fresh: it has carried nothing yet.

        Raises:
            OSError: none can be made.
        """
        wire = (None if fresh else self._take_idle(place)) or self._connect(place)
        wire.patience = self._timeouts.read
        return wire

    def _take_idle(self, place: ConnectionKey) -> BlockingSocket | None:
        """Return one that the peer has not closed meanwhile."""
        while True:
            with self._lock:
                wires = self._wires.get(place)
                if not wires:
                    return None
                since, wire = wires.pop()
            if time.monotonic() - since < _IDLE_SECONDS and not wire.has_answer():
                return wire
            wire.close()

    def give(self, place: ConnectionKey, wire: BlockingSocket) -> None:
        """Keep a connection."""
        now = time.monotonic()
        with self._lock:
            wires = self._wires.setdefault(place, [])
            old = [one for one in wires if now - one[0] >= _IDLE_SECONDS]
            del wires[: len(old)]
            if self._closed:
                old.append((now, wire))
            else:
                wires.append((now, wire))
        for _, one in old:
            one.close()

    def close(self) -> None:
        """Close all, and those that are given back later."""
        with self._lock:
            self._closed = True
            left = [wire for wires in self._wires.values() for _, wire in wires]
            self._wires.clear()
        for wire in left:
            wire.close()

    def _connect(self, place: ConnectionKey) -> BlockingSocket:
        until = time.monotonic() + self._timeouts.connect
        first = urlsplit(place.proxy or f"{place.scheme}://{place.netloc}")
        try:
            wire = self._reach(first.hostname or "", first.port or _port(first.scheme), place)
        except OSError as error:
            raise (ProxyUnreachable if place.proxy else NotConnected)(error) from None
        try:
            wire.patience = max(0.0, until - time.monotonic())
            if first.scheme == "https":
                wire = _with_tls(wire, place, first.hostname or "")
            if place.proxy and place.scheme == "https":
                _tunnel(wire, place)
                wire = _with_tls(wire, place, urlsplit(f"//{place.netloc}").hostname or "")
        except BaseException:
            wire.close()
            raise
        return wire

    def _reach(self, host: str, port: int, place: ConnectionKey) -> BlockingSocket:
        addresses = worker_threads.call(partial(self._resolved, host, port, place.public_only))
        return BlockingSocket.connect(addresses, patience=self._timeouts.connect)

    async def _resolved(self, host: str, port: int, public_only: bool) -> Sequence[Address]:  # noqa: FBT001 - as Resolve
        return await self._resolve(host, port, public_only)


class BorrowedSocket:
    """A wire as `http.client` takes a socket: what it closes stays open, since it may serve the next request."""

    def __init__(self, wire: BlockingSocket) -> None:
        self.sendall = wire.sendall
        self.makefile = wire.makefile

    def close(self) -> None:
        """Nothing: whoever has the wire closes it."""


def answer_of(connection: http.client.HTTPConnection, wire: BlockingSocket) -> http.client.HTTPResponse:
    """
    Return the head of an answer, whole: `http.client` takes one that breaks off for one that ends there.

    Raises:
        OSError, http.client.HTTPException: none came, or not all of it.
    """
    response = connection.getresponse()
    if wire.has_ended:
        raise http.client.IncompleteRead(b"")
    return response


def _with_tls(wire: BlockingSocket, place: ConnectionKey, host: str) -> BlockingSocket:
    if not isinstance(place.trust, ssl.SSLContext):
        raise TypeError("a place with TLS has a context")
    try:
        if not wire.is_plain:
            return NestedTlsSocket(wire, place.trust, host)
        wire.begin_tls(place.trust, host)
    except ssl.CertificateError:
        raise
    except OSError as error:
        raise (NotConnected if isinstance(error, TimeoutError) else TlsRefused)(error) from None
    return wire


def _tunnel(wire: BlockingSocket, place: ConnectionKey) -> None:
    """
    Have a proxy pass everything on (RFC 9110, 9.3.6).

    Raises:
        ProxyRefused: it does not.
    """
    parts = urlsplit(f"//{place.netloc}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    authority = f"{host}:{parts.port or 443}"
    connection = http.client.HTTPConnection("unused")
    connection.sock = BorrowedSocket(wire)  # all that it uses of a socket
    connection.putrequest("CONNECT", authority, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": authority, **proxy_login(place.proxy or "")}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = answer_of(connection, wire)
    if response.status != 200:
        raise ProxyRefused(response.status)


def proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


class NestedTlsSocket(BlockingSocket):
    """TLS inside TLS: to a registry, through a proxy that speaks TLS itself."""

    def __init__(self, outer: BlockingSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self.has_ended = False
        from urllib3.util.ssltransport import SSLTransport  # noqa: PLC0415 - few proxies speak TLS

        self._inner = SSLTransport(cast("socket.socket", _Outside(outer)), context, host)

    @property
    def is_plain(self) -> bool:
        """Never."""
        return False

    @property
    def patience(self) -> float:  # it is the other one that waits
        return self._outer.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._outer.patience = seconds

    def recv_into(self, buffer: memoryview, /) -> int:
        count = cast("int", self._inner.recv_into(buffer))  # with a buffer it returns how many
        self.has_ended = not count
        return count

    def send(self, data: "Buffer", /) -> int:
        return self._inner.send(cast("bytes", data))

    def sendall(self, data: "Buffer", /) -> None:
        self._inner.sendall(cast("bytes", data))

    def has_answer(self) -> bool:
        """Return False: it cannot be known."""
        return False

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the signature of a socket's
        return io.BufferedReader(SocketFile(self))

    def close(self) -> None:
        self._outer.close()


class _Outside:
    """The outer socket, as far as urllib3 uses one."""

    def __init__(self, wire: BlockingSocket) -> None:
        self._wire = wire
        self.sendall = wire.sendall
        self.close = wire.close

    def recv(self, size: int) -> bytes:
        buffer = memoryview(bytearray(size))
        return bytes(buffer[: self._wire.recv_into(buffer)])
