"""
The lane: requests that carry the bytes of large blobs, each in a worker thread over a connection of its own.

A request goes in as a value and a reply comes out as one; HTTP is the standard library's, over `Wire`. Follows no
redirect, tries nothing twice, and gives every status back as an answer, as the transport does for all other requests.
Does not know what a blob is for.
"""

import base64
import http.client
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from transfer.engine import lane
from transfer.engine.blob_reader import SourceFailed
from transfer.engine.limits import Meter
from transfer.registry.body import BlobBody, RequestBody
from transfer.registry.connections import Idle
from transfer.registry.download import Download
from transfer.registry.failures import NotConnected, ProxyRefused, ProxyUnreachable, TlsRefused
from transfer.registry.surroundings import Surroundings
from transfer.registry.wire import Address, Pipe, Wire, can_splice

# An answer to an upload, or an error: what is longer is cut.
_LARGEST_ANSWER = 64 * 1024
# One buffer for each blob on its way: large enough for a call to cost little beside it.
BUFFER = 256 * 1024
# Where bytes wait for their turn: many bodies that take turns at a low rate must all be seen to move.
_METERED = 64 * 1024
_SMALLEST = 4 * 1024
# A socket that is read as fast as it is written takes all at once, and nobody can stop it meanwhile.
_FILE_STEP = 4 * 1024 * 1024


class Place(NamedTuple):
    """What a connection leads to; one that is idle serves whoever wants the same."""

    scheme: str
    netloc: str
    proxy: str | None
    trust: ssl.SSLContext | bool
    public_only: bool


@dataclass(frozen=True, slots=True)
class LaneRequest:
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
    place: Place
    target: str
    headers: Mapping[str, str]
    body: "RequestBody | BlobBody | None" = None
    meter: Meter | None = None
    progress: Callable[[int], None] | None = None
    translated: Callable[[], AbstractContextManager[None]] = nullcontext


class LaneReply(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case), and the body: all of it, or as it is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes | Download


class Timeouts(NamedTuple):
    """Seconds until a connection stands, and without a byte."""

    connect: float
    read: float


Resolve = Callable[[str, int, bool], Awaitable[Sequence[Address]]]


def place_of(url: str, around: Surroundings, *, public_only: bool) -> Place:
    """Where a request for a URL goes."""
    parts = urlsplit(url)
    return Place(parts.scheme, parts.netloc, around.proxy, around.trust, public_only and around.proxy is None)


def next_size(size: int, seconds: float) -> int:
    """
    How much to move in the next step, when one of this size took so long.

    Large steps cost least; a slow peer gets small ones, so that what moves is seen to move.
    """
    if seconds > 0.25:
        return max(_SMALLEST, size // 2)
    return min(BUFFER, size * 2) if seconds < 0.05 else size


class Lane:
    """
    Connections of worker threads.

    Args:
        resolve: finds the addresses of a host, in the event loop.
    """

    def __init__(self, resolve: Resolve, timeouts: Timeouts) -> None:
        self._resolve = resolve
        self._timeouts = timeouts
        self._idle: Idle[Place] = Idle()

    def close(self) -> None:
        """Close the connections that are idle."""
        self._idle.close()

    async def send(self, request: LaneRequest) -> LaneReply:
        """
        Send one request in a worker thread; return when its answer's head is there, or all of it but for a download's.

        Raises:
            OSError, http.client.HTTPException: no answer that can be used.
            SourceFailed: the body could not be read.
        """
        sending = _Sending(request)
        report = None if request.progress is None else sending.report
        return await lane.run_in_lane(partial(self._exchange, request, sending), report=report, discard=_discard)

    def _exchange(self, request: LaneRequest, sending: "_Sending") -> LaneReply:
        wire = self._idle.take(request.place) or self._connect(request.place)
        try:
            wire.patience = self._timeouts.read
            whole, response = sending.send(wire)
            release = partial(self._release, request.place, wire, response, reusable=whole)
            headers, plain = _headers(response), wire if wire.is_plain else None
            if request.body is None and response.status in {200, 206}:
                return LaneReply(
                    response.status, headers, Download(response, plain, release, request.meter, request.translated)
                )
            content = _content(response)
            release()
        except BaseException:
            wire.close()
            raise
        return LaneReply(response.status, headers, content)

    def _release(self, place: Place, wire: Wire, response: http.client.HTTPResponse, *, reusable: bool) -> None:
        """Keep a connection for the next one, where all of the answer was read and nothing else is to come."""
        if reusable and response.isclosed() and not response.will_close and not response.length:
            self._idle.give(place, wire)
        else:
            wire.close()

    def _connect(self, place: Place) -> Wire:
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

    def _reach(self, host: str, port: int, place: Place) -> Wire:
        addresses = lane.call(partial(self._resolved, host, port, place.public_only))
        return Wire.connect(addresses, patience=self._timeouts.connect)

    async def _resolved(self, host: str, port: int, public_only: bool) -> Sequence[Address]:  # noqa: FBT001 - as Resolve
        return await self._resolve(host, port, public_only)


def _content(response: http.client.HTTPResponse) -> bytes:
    length = response.length
    content = response.read(_LARGEST_ANSWER)
    if length is not None and len(content) < min(length, _LARGEST_ANSWER):
        raise http.client.IncompleteRead(content, length - len(content))
    return content


def _discard(reply: LaneReply) -> None:
    if isinstance(reply.body, Download):
        reply.body.close()


class _Sending:
    """One request on its way; `report` is called in the event loop, all else in the worker thread."""

    def __init__(self, request: LaneRequest) -> None:
        self._request = request
        body = request.body
        self._share = body.blob_bytes / max(1, body.length) if body else 0.0
        self._moved = 0

    def report(self) -> None:
        if self._request.progress is not None:
            self._request.progress(round(self._moved * self._share))

    def send(self, wire: Wire) -> tuple[bool, http.client.HTTPResponse]:
        """Send it all, or until an answer comes; whether it was all, and the answer's head."""
        request = self._request
        connection = http.client.HTTPConnection("unused")
        connection.sock = _Lent(wire)  # all that it uses of a socket
        connection.putrequest(request.method, self._target(), skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers().items():
            connection.putheader(name, value)
        try:
            connection.endheaders()
            whole = self._send_body(wire)
        except (BrokenPipeError, ConnectionResetError) as lost:
            # Whatever the peer has said before it went is still to be read.
            try:
                return False, _answer(connection, wire)
            except (OSError, http.client.HTTPException):
                raise lost from None
        return whole, _answer(connection, wire)

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
            headers |= _proxy_login(request.place.proxy)
        return headers

    def _send_body(self, wire: Wire) -> bool:
        body = self._request.body
        if body is None:
            return True
        if isinstance(body, RequestBody):
            size = _METERED if self._request.meter else BUFFER
            return all(self._send_piece(wire, piece) for piece in body.slices(size))
        body.rewind()
        file = body.file() if wire.is_plain else None
        return self._send_stream(wire, body) if file is None else self._send_file(wire, body, file)

    def _send_stream(self, wire: Wire, body: BlobBody) -> bool:
        if not wire.is_plain or self._request.meter or not can_splice():
            return self._relay(wire, body, None)
        with closing(Pipe()) as pipe:
            return self._relay(wire, body, pipe)

    def _relay(self, wire: Wire, body: BlobBody, pipe: Pipe | None) -> bool:
        """By the kernel, out of the source's own connection, where it can; else through a buffer."""
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

    def _send_pipe(self, wire: Wire, pipe: Pipe, count: int) -> bool:
        while count:
            sent = wire.splice_from(pipe.read_end, count)
            if not sent:
                return False
            self._moved += sent
            count -= sent
        return True

    def _send_piece(self, wire: Wire, piece: "bytes | memoryview") -> bool:
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

    def _send_file(self, wire: Wire, body: BlobBody, file: int) -> bool:
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

    def _take_turn(self, wire: Wire, count: int) -> bool:
        """Wait until the limit on bandwidth lets so many bytes through; False where an answer comes first."""
        meter = self._request.meter
        if meter is None or not self._share:
            return True
        try:
            lane.call(partial(meter.take, count * self._share), until=wire.has_answer)
        except lane.Stopped:
            lane.check()
            return False
        return True


def _kernel_sent(wire: Wire, body: BlobBody, file: int, position: int, count: int) -> int:
    try:
        sent = wire.send_file(file, position, count)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise SourceFailed(body.unreadable(error)) from None
    if sent is None:
        raise SourceFailed(body.ended(position))
    return sent


class _Lent:
    """A wire as `http.client` takes a socket: what it closes stays open, since it may serve the next request."""

    def __init__(self, wire: Wire) -> None:
        self.sendall = wire.sendall
        self.makefile = wire.makefile

    def close(self) -> None:
        """Nothing: whoever has the wire closes it."""


def _answer(connection: http.client.HTTPConnection, wire: Wire) -> http.client.HTTPResponse:
    """
    The head of an answer, whole: `http.client` takes one that breaks off for one that ends there.

    Raises:
        OSError, http.client.HTTPException: none came, or not all of it.
    """
    response = connection.getresponse()
    if wire.has_ended:
        raise http.client.IncompleteRead(b"")
    return response


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    """Names in lower case; what comes several times is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers


def _with_tls(wire: Wire, place: Place, host: str) -> Wire:
    if not isinstance(place.trust, ssl.SSLContext):
        raise TypeError("a place with TLS has a context")
    try:
        if not wire.is_plain:
            from transfer.registry.nested_tls import NestedWire  # noqa: PLC0415 - urllib3 serves few

            return NestedWire(wire, place.trust, host)
        wire.begin_tls(place.trust, host)
    except ssl.CertificateError:
        raise
    except OSError as error:
        raise (NotConnected if isinstance(error, TimeoutError) else TlsRefused)(error) from None
    return wire


def _tunnel(wire: Wire, place: Place) -> None:
    """
    Have a proxy pass everything on (RFC 9110, 9.3.6).

    Raises:
        ProxyRefused: it does not.
    """
    parts = urlsplit(f"//{place.netloc}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    authority = f"{host}:{parts.port or 443}"
    connection = http.client.HTTPConnection("unused")
    connection.sock = _Lent(wire)  # all that it uses of a socket
    connection.putrequest("CONNECT", authority, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": authority, **_proxy_login(place.proxy or "")}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = _answer(connection, wire)
    if response.status != 200:
        raise ProxyRefused(response.status)


def _proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
