"""
Wire: a connected socket for a worker thread, whose waits end when the work is stopped or nothing moves for too long.

Never blocks but in `_wait`, which looks at `lane.check` several times a second. Reads and writes as much as there is
or fits, and notices an answer that comes while a request is still being sent. Has what `http.client` wants of a
socket. Knows no HTTP.
"""

import io
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Protocol

from transfer.engine import lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

# Milliseconds between two looks at whether the work is still wanted.
_TICK = 100
# Of a reply's head at most; bodies pass it by.
_BUFFER = 16 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# An address family and a socket address, as `socket.getaddrinfo` returns them.
Address = tuple[int, Any]


class Socket(Protocol):
    """What `http.client` sends through and reads from."""

    def send(self, data: "Buffer", /) -> int: ...

    def sendall(self, data: "Buffer", /) -> None: ...

    def recv_into(self, buffer: memoryview, /) -> int: ...

    def close(self) -> None: ...


class Wire:
    """
    A socket without TLS or with it.

    Args:
        patience: seconds that one wait may take; may be changed at any time.

    Raises (all its methods):
        OSError: the connection is lost; TimeoutError where nothing moved for `patience` seconds.
        Stopped: the work is no longer wanted.
    """

    def __init__(self, raw: socket.socket, *, patience: float) -> None:
        raw.setblocking(False)
        self._socket = raw
        self._poll = select.poll()
        self._poll.register(raw, 0)
        self._tls = False
        # What was read to find out whether there is something to be read.
        self._early: bytes | None = None
        self.patience = patience

    @classmethod
    def connect(cls, addresses: "Sequence[Address]", *, patience: float) -> "Wire":
        """A connection to the first of these addresses that answers; each gets a second before the next is tried."""
        until = time.monotonic() + patience
        failure: OSError = TimeoutError()
        for number, (family, address) in enumerate(addresses, 1):
            left = until - time.monotonic()
            try:
                return cls._connect(family, address, left if number == len(addresses) else min(left, 1.0))
            except OSError as error:
                failure = error
        raise failure

    @classmethod
    def _connect(cls, family: int, address: Any, patience: float) -> "Wire":
        raw = socket.socket(family, socket.SOCK_STREAM)
        wire = cls(raw, patience=patience)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            try:
                raw.connect(address)
            except BlockingIOError:
                wire._wait(select.POLLOUT)
                if error := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, os.strerror(error)) from None
        except BaseException:
            raw.close()
            raise
        return wire

    def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """
        Speak TLS from here on.

        Raises:
            ssl.SSLError: certificates or versions do not fit.
        """
        self._poll.unregister(self._socket)
        wrapped = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = wrapped
        self._poll.register(wrapped, 0)
        self._tls = True
        while True:
            try:
                wrapped.do_handshake()
            except _WOULD_BLOCK as blocked:
                self._wait(_awaited(blocked))
            else:
                return

    @property
    def plain_socket(self) -> int | None:
        """The descriptor, where bytes go over it as they are."""
        return None if self._tls else self._socket.fileno()

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read at least one byte, and all that is there and fits; 0 at the end of the stream."""
        if self._early:
            count = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:] or None
            return count
        while True:
            try:
                return self._read_tls(buffer) if self._tls else self._socket.recv_into(buffer)
            except _WOULD_BLOCK as blocked:
                self._wait(_awaited(blocked, select.POLLIN))

    def _read_tls(self, buffer: memoryview) -> int:
        """TLS hands out a record at a time, 16 KiB."""
        count = 0
        while count < len(buffer):
            try:
                got = self._socket.recv_into(buffer[count:])
            except _WOULD_BLOCK:
                if count:
                    return count
                raise
            if not got:
                break
            count += got
        return count

    def send(self, data: "Buffer", /) -> int:
        """Send at least one byte; none where the peer has said something meanwhile."""
        while True:
            try:
                return self._socket.send(data)
            except _WOULD_BLOCK as blocked:
                if self._wait(_awaited(blocked) | select.POLLIN) & select.POLLIN and self.has_answer():
                    return 0

    def send_file(self, file: int, position: int, count: int) -> int | None:
        """Have the kernel send so much of a file, as `send` does; None at its end. Only without TLS."""
        while True:
            try:
                return os.sendfile(self._socket.fileno(), file, position, count) or None
            except BlockingIOError:
                if self._wait(select.POLLOUT | select.POLLIN) & select.POLLIN and self.has_answer():
                    return 0

    def sendall(self, data: "Buffer", /) -> None:
        """Send all, whatever the peer says meanwhile."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except _WOULD_BLOCK as blocked:
                self._wait(_awaited(blocked))

    def has_answer(self) -> bool:
        """Whether there is something to be read, or the peer has hung up; does not wait."""
        if self._early is not None:
            return True
        if not self._ready(select.POLLIN, 0):
            return False
        if not self._tls:
            return True
        # It may be a message of TLS itself, as the tickets behind a handshake are.
        try:
            self._early = self._socket.recv(_BUFFER)
        except _WOULD_BLOCK:
            return False
        except OSError:
            self._early = b""
        return True

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the signature of a socket's
        """A file to read a reply from; closing it leaves the socket open."""
        self._early = self._early or None
        return io.BufferedReader(Raw(self), _BUFFER)

    def close(self) -> None:
        self._socket.close()

    def _wait(self, events: int) -> int:
        """Wait for one of these events; what has come. All that a worker ever waits for on a socket."""
        until = time.monotonic() + self.patience
        while True:
            lane.check()
            if ready := self._ready(events, _TICK):
                return ready
            if time.monotonic() >= until:
                raise TimeoutError

    def _ready(self, events: int, milliseconds: int) -> int:
        self._poll.modify(self._socket, events)
        return next((found for _, found in self._poll.poll(milliseconds)), 0)


class Raw(io.RawIOBase):
    """What comes over a socket, as a file that `io.BufferedReader` reads."""

    def __init__(self, source: Socket) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        return self._source.recv_into(memoryview(buffer))


def _awaited(blocked: OSError, otherwise: int = select.POLLOUT) -> int:
    """The event that ends a wait: TLS may have to read in order to write, and the other way round."""
    if isinstance(blocked, ssl.SSLWantReadError):
        return select.POLLIN
    return select.POLLOUT if isinstance(blocked, ssl.SSLWantWriteError) else otherwise
