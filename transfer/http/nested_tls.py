"""
TLS inside TLS: what a proxy that speaks TLS passes on to a registry that does.

urllib3 does the work. An answer that comes before a request was sent whole is seen at its end only.
"""

import io
import ssl
from typing import TYPE_CHECKING, cast

from urllib3.util.ssltransport import SSLTransport

from transfer.http.blocking_socket import BlockingSocket, SocketFile

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer


class NestedTlsSocket(BlockingSocket):
    """A wire inside another one; closing it closes that."""

    def __init__(self, outer: BlockingSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self.has_ended = False
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
        """Unknown, so that it is never said."""
        return False

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the signature of a socket's
        return io.BufferedReader(SocketFile(self))

    def close(self) -> None:
        self._outer.close()


class _Outside:
    """The outer wire, as far as urllib3 uses a socket."""

    def __init__(self, wire: BlockingSocket) -> None:
        self._wire = wire
        self.sendall = wire.sendall
        self.close = wire.close

    def recv(self, size: int) -> bytes:
        buffer = memoryview(bytearray(size))
        return bytes(buffer[: self._wire.recv_into(buffer)])
