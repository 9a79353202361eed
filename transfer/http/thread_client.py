"""
Requests that carry the bytes of large blobs, each in a worker thread over a connection of its own.

A request goes in as a value and a response comes out as one. HTTP is the standard library's, over `BlockingSocket`.
Follows no redirect and retries nothing. Every status is an answer, as with `Transport`.
"""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial

import msgspec

from transfer.concurrency import worker_threads
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.engine.blob_reader import SourceFailed
from transfer.http.blocking_socket import BlockingSocket, Pipe, can_splice
from transfer.http.bodies import BlobBody, Download, RequestBody
from transfer.http.connections import (
    BorrowedSocket,
    ConnectionKey,
    Connections,
    Resolve,
    Timeouts,
    answer_of,
    proxy_login,
)

# An answer to an upload, or an error: what is longer is cut.
_LARGEST_ANSWER = 64 * 1024
# One buffer for each blob on its way: large enough for a call to cost little beside it.
BUFFER = 256 * 1024
# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED = 64 * 1024
_SMALLEST = 4 * 1024
# A socket that is read as fast as it is written takes all at once, and nobody can stop it meanwhile.
_FILE_STEP = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ThreadRequest:
    """
    One request.

    Attributes:
        place: where it goes.
        target: the path and query.
        body: what is sent; None where the answer brings the bytes.
        progress: called in the event loop, with the bytes of the blob that have been put on the wire.
        translated: what an exception of the network becomes, where the answer's body is read.
    """

    method: str
    place: ConnectionKey
    target: str
    headers: Mapping[str, str]
    body: "RequestBody | BlobBody | None" = None
    meter: BandwidthLimiter | None = None
    progress: Callable[[int], None] | None = None
    translated: Callable[[], AbstractContextManager[None]] = nullcontext


class ThreadResponse(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case), and the body: all of it, or as it is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes | Download


def next_size(size: int, seconds: float) -> int:
    """
    Return the size of the next step, given the size and duration of the last one.

    Large steps cost least; a slow peer gets small ones, so that what moves is seen to move.
    """
    if seconds > 0.25:
        return max(_SMALLEST, size // 2)
    return min(BUFFER, size * 2) if seconds < 0.05 else size


class ThreadClient:
    """
    Connections of worker threads.

    Args:
        resolve: finds the addresses of a host, in the event loop.
    """

    def __init__(self, resolve: Resolve, timeouts: Timeouts) -> None:
        self._connections = Connections(resolve, timeouts)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._connections.close()

    async def send(self, request: ThreadRequest) -> ThreadResponse:
        """
        Send one request in a worker thread; return when its answer's head is there, or all of it but for a download's.

        Raises:
            OSError, http.client.HTTPException: no answer that can be used.
            SourceFailed: the body could not be read.
        """
        sending = _Sending(request)
        report = None if request.progress is None else sending.report
        return await worker_threads.run_in_worker(
            partial(self._exchange, request, sending), report=report, discard=_discard
        )

    def _exchange(self, request: ThreadRequest, sending: "_Sending") -> ThreadResponse:
        wire = self._connections.take(request.place, fresh=request.headers.get("Connection") == "close")
        try:
            whole, response = sending.send(wire)
            release = partial(self._release, request.place, wire, response, reusable=whole)
            headers, plain = _headers(response), wire if wire.is_plain else None
            if request.body is None and response.status in {200, 206}:
                return ThreadResponse(
                    response.status, headers, Download(response, plain, release, request.meter, request.translated)
                )
            content = _content(response)
            release()
        except BaseException:
            wire.close()
            raise
        return ThreadResponse(response.status, headers, content)

    def _release(
        self, place: ConnectionKey, wire: BlockingSocket, response: http.client.HTTPResponse, *, reusable: bool
    ) -> None:
        """Keep a connection for the next one, where all of the answer was read and nothing else is to come."""
        if reusable and response.isclosed() and not response.will_close and not response.length:
            self._connections.give(place, wire)
        else:
            wire.close()


def _content(response: http.client.HTTPResponse) -> bytes:
    length = response.length
    content = response.read(_LARGEST_ANSWER)
    if length is not None and len(content) < min(length, _LARGEST_ANSWER):
        raise http.client.IncompleteRead(content, length - len(content))
    return content


def _discard(reply: ThreadResponse) -> None:
    if isinstance(reply.body, Download):
        reply.body.close()


class _Sending:
    """One request on its way; `report` is called in the event loop, all else in the worker thread."""

    def __init__(self, request: ThreadRequest) -> None:
        self._request = request
        body = request.body
        self._share = body.blob_bytes / max(1, body.length) if body else 0.0
        self._moved = 0

    def report(self) -> None:
        if self._request.progress is not None:
            self._request.progress(round(self._moved * self._share))

    def send(self, wire: BlockingSocket) -> tuple[bool, http.client.HTTPResponse]:
        """Send it all, or until an answer comes; whether it was all, and the answer's head."""
        request = self._request
        connection = http.client.HTTPConnection("unused")
        connection.sock = BorrowedSocket(wire)  # all that it uses of a socket
        connection.putrequest(request.method, self._target(), skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers().items():
            connection.putheader(name, value)
        try:
            connection.endheaders()
            whole = self._send_body(wire)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as lost:
            # Whatever the peer has said before it went is still to be read.
            try:
                return False, answer_of(connection, wire)
            except (OSError, http.client.HTTPException):
                raise lost from None
        return whole, answer_of(connection, wire)

    def _target(self) -> str:
        place = self._request.place
        absolute = place.proxy is not None and place.scheme == "http"
        return f"http://{place.netloc}{self._request.target}" if absolute else self._request.target

    def _headers(self) -> dict[str, str]:
        request = self._request
        headers = {"Host": request.place.netloc, **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
        if request.place.proxy is not None and request.place.scheme == "http":
            headers |= proxy_login(request.place.proxy)
        return headers

    def _send_body(self, wire: BlockingSocket) -> bool:
        body = self._request.body
        if body is None:
            return True
        if isinstance(body, RequestBody):
            size = _METERED if self._request.meter else BUFFER
            return all(self._send_piece(wire, piece) for piece in body.slices(size))
        body.rewind()
        file = body.file() if wire.is_plain else None
        return self._send_stream(wire, body) if file is None else self._send_file(wire, body, file)

    def _send_stream(self, wire: BlockingSocket, body: BlobBody) -> bool:
        if not wire.is_plain or self._request.meter or not can_splice():
            return self._relay(wire, body, None)
        with closing(Pipe()) as pipe:
            return self._relay(wire, body, pipe)

    def _relay(self, wire: BlockingSocket, body: BlobBody, pipe: Pipe | None) -> bool:
        """Move bytes by the kernel, out of the source's own connection, where possible; else through a buffer."""
        buffer, left, size = memoryview(bytearray(min(BUFFER, body.length))), body.length, _METERED
        while left:
            if wire.has_answer():
                return False
            if pipe is not None and (count := body.splice(pipe.write_end, min(Pipe.SIZE, left))):
                whole = self._send_pipe(wire, pipe, count)
            else:
                began = time.monotonic()
                count = body.readinto(buffer[: min(size, left)])
                whole = self._send_piece(wire, buffer[:count])
                size = _METERED if self._request.meter else next_size(size, time.monotonic() - began)
            if not whole:
                return False
            left -= count
        return True

    def _send_pipe(self, wire: BlockingSocket, pipe: Pipe, count: int) -> bool:
        while count:
            sent = wire.splice_from(pipe.read_end, count)
            if not sent:
                return False
            self._moved += sent
            count -= sent
        return True

    def _send_piece(self, wire: BlockingSocket, piece: "bytes | memoryview") -> bool:
        view = memoryview(piece)
        if not self._take_turn(wire, len(view)):
            return False
        while view:
            sent = wire.send(view)
            if not sent:
                return False
            self._moved += sent
            view = view[sent:]
        return True

    def _send_file(self, wire: BlockingSocket, body: BlobBody, file: int) -> bool:
        position, step = body.first, _METERED if self._request.meter else _FILE_STEP
        while position < body.end:
            count = min(step, body.end - position)
            if not self._take_turn(wire, count) or wire.has_answer():
                return False
            until = position + count
            while position < until:
                sent = _kernel_sent(wire, body, file, position, until - position)
                if not sent:
                    return False
                self._moved += sent
                position += sent
        return True

    def _take_turn(self, wire: BlockingSocket, count: int) -> bool:
        """Wait until the limit on bandwidth lets so many bytes through; False where an answer comes first."""
        meter = self._request.meter
        if meter is None or not self._share:
            return True
        try:
            worker_threads.call(partial(meter.take, count * self._share), until=wire.has_answer)
        except worker_threads.Stopped:
            worker_threads.check()
            return False
        return True


def _kernel_sent(wire: BlockingSocket, body: BlobBody, file: int, position: int, count: int) -> int:
    try:
        sent = wire.send_file(file, position, count)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise SourceFailed(body.unreadable(error)) from None
    if sent is None:
        raise SourceFailed(body.ended(position))
    return sent


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    """Names in lower case; what comes several times is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers
