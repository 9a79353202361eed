"""
Wire: a connected socket for a worker thread, whose waits end when the work is stopped or nothing moves for too long.

The system's own calls wait, for a tenth of a second at a time: no call comes before those that move bytes. Notices an
answer that comes while a request is still being sent. Has what `http.client` wants of a socket.
"""

import errno
import fcntl
import io
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from transfer.concurrency import worker_threads

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

# Seconds between two looks at whether the work is still wanted.
_TICK = 0.1
_TIMEVAL = struct.pack("ll", 0, round(_TICK * 1e6))
# Of a reply's head at most; bodies pass it by.
_BUFFER = 16 * 1024
# What a call raises that has waited for a tick: of the kernel without TLS, and of Python's ssl.
_TICKED = (BlockingIOError, TimeoutError)

_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})

# An address family and a socket address, as `socket.getaddrinfo` returns them.
Address = tuple[int, Any]


class Receiver(Protocol):
    """A source of bytes."""

    def recv_into(self, buffer: memoryview, /) -> int: ...


class BlockingSocket:
    """
    A socket without TLS or with it.

    Args:
        patience: seconds that one wait may take; may be changed at any time.

    Attributes:
        has_ended: whether the end of what comes was reached.

    Raises (all its methods):
        OSError: the connection is lost; TimeoutError where nothing moved for `patience` seconds.
        Stopped: the work is no longer wanted.
    """

    def __init__(self, raw: socket.socket, *, patience: float) -> None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.settimeout(None)
        self._socket = raw
        self._tls: ssl.SSLSocket | None = None
        # What was read to find out whether there is something to be read.
        self._early: bytes | None = None
        self.patience = patience
        self.has_ended = False

    @classmethod
    def connect(cls, addresses: Sequence[Address], *, patience: float) -> "BlockingSocket":
        """Connect to the first of these addresses that answers, giving each a second."""
        until = time.monotonic() + patience
        failure: OSError = TimeoutError()
        for number, (family, address) in enumerate(addresses, 1):
            left = until - time.monotonic()
            raw = socket.socket(family, socket.SOCK_STREAM)
            try:
                _connect(raw, address, left if number == len(addresses) else min(left, 1.0))
                return cls(raw, patience=patience)
            except OSError as error:
                raw.close()
                failure = error
            except BaseException:
                raw.close()
                raise
        raise failure

    def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """
        Speak TLS from here on.

        Raises:
            ssl.SSLError: certificates or versions do not fit.
        """
        if self._tls is not None:
            raise TypeError("TLS inside TLS is another wire's")
        self._tls = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = self._tls
        self._tls.settimeout(_TICK)
        self._until_moved(self._tls.do_handshake)

    @property
    def is_plain(self) -> bool:
        """Whether bytes go over it as they are."""
        return self._tls is None

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read at least one byte, and as many as there are where the buffer is a large one; 0 at the end."""
        if self._early:
            count = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:] or None
            return count
        if self._tls is not None:
            count = self._until_moved(self._read_records, buffer, self._tls)
        else:
            count = self._until_moved(self._socket.recv_into, buffer)
        self.has_ended = not count
        return count

    def _read_records(self, buffer: memoryview, tls: ssl.SSLSocket) -> int:
        """TLS hands out a record at a time, 16 KiB; who has more room wants more."""
        read = cast("Callable[[int, memoryview], int]", tls.read)  # with a buffer it returns how many
        count = read(len(buffer), buffer)
        with suppress(*_TICKED):
            while len(buffer) - count > _BUFFER and (got := read(len(buffer) - count, buffer[count:])):
                count += got
        return count

    def send(self, data: "Buffer", /) -> int:
        """Send at least one byte; none where nothing moves and the peer has said something meanwhile."""
        return self._until_moved(self._socket.send, data, unless_answered=True)

    def send_file(self, file: int, position: int, count: int) -> int | None:
        """Have the kernel send so much of a file, as `send` does; None at its end. Only without TLS."""
        sent = self._until_moved(self._send_file, file, position, count, unless_answered=True)
        return None if sent < 0 else sent

    def _send_file(self, file: int, position: int, count: int) -> int:
        return os.sendfile(self._socket.fileno(), file, position, count) or -1

    def splice_into(self, pipe: int, count: int) -> int:
        """Have the kernel put at least one byte, at most so many, into a pipe; 0 at the end. Only without TLS."""
        return self._until_moved(os.splice, self._socket.fileno(), pipe, count)

    def splice_from(self, pipe: int, count: int) -> int:
        """Have the kernel send so much out of a pipe, as `send` does. Only without TLS."""
        return self._until_moved(os.splice, pipe, self._socket.fileno(), count, unless_answered=True)

    def sendall(self, data: "Buffer", /) -> None:
        """Send all, whatever the peer says meanwhile."""
        view = memoryview(data)
        while view:
            view = view[self._until_moved(self._socket.send, view) :]

    def has_answer(self) -> bool:
        """Return whether there is something to be read, or the peer has hung up; does not wait."""
        if self._early is not None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(0):
            return False
        if self._tls is None:
            return True
        # It may be a message of TLS itself, as the tickets behind a handshake are.
        self._tls.settimeout(0)
        try:
            self._early = self._tls.recv(_BUFFER)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            self._early = b""
        finally:
            self._tls.settimeout(_TICK)
        return True

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the signature of a socket's
        """Return a file to read a reply from; closing it leaves the socket open."""
        self._early = self._early or None
        return io.BufferedReader(SocketFile(self), _BUFFER)

    def close(self) -> None:
        self._socket.close()

    def _until_moved(self, call: Callable[..., T], *arguments: Any, unless_answered: bool = False) -> T:
        """Make a call again until it moves something. All that a worker ever waits for on a connected socket."""
        ticks = 0
        while True:
            worker_threads.check()
            try:
                return call(*arguments)
            except _TICKED:
                ticks += 1
                if unless_answered and self.has_answer():
                    return 0  # type: ignore[return-value]  # what moves bytes returns how many
                if ticks * _TICK >= self.patience:
                    raise TimeoutError from None


class Pipe:
    """A pipe between two sockets, for bytes that do not come into this process."""

    SIZE = 1024 * 1024

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        with suppress(OSError):  # a user may have so many large pipes; a small one serves too
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, self.SIZE)

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


def can_splice() -> bool:
    """Return whether this system moves bytes from one socket to another."""
    return hasattr(os, "splice")


def _connect(raw: socket.socket, address: Any, patience: float) -> None:
    raw.settimeout(0)
    error = raw.connect_ex(address)
    if error not in {0, *_IN_PROGRESS}:
        raise OSError(error, os.strerror(error))
    poll, until = select.poll(), time.monotonic() + patience
    poll.register(raw, select.POLLOUT)
    while not poll.poll(_TICK * 1000):
        worker_threads.check()
        if time.monotonic() >= until:
            raise TimeoutError
    if error := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


class SocketFile(io.RawIOBase):
    """The bytes of a socket, as a raw file for `io.BufferedReader`."""

    def __init__(self, source: Receiver) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        return self._source.recv_into(memoryview(buffer))
