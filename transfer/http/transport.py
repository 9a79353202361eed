"""
One HTTP request and its response: in the event loop, or in a worker thread for the bytes of a large blob.

Foreign exceptions end here: whatever keeps an answer from arriving becomes ConnectionFailed. Follows no redirect,
keeps no cookie, tries nothing twice, and reads proxies but no password (netrc) from the environment.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from transfer.concurrency.tasks import gather
from transfer.config import TransferConfig
from transfer.errors import ConnectionFailed
from transfer.http.blocking_socket import Address
from transfer.http.bodies import BlobBody, BodyStream, Download, watching
from transfer.http.connections import Timeouts, key_of
from transfer.http.failures import (
    LARGEST_REPLY,
    NETWORK_ERRORS,
    Dropped,
    TooLarge,
    is_no_tls,
    is_permanent,
    is_unresolved,
    may_pass,
    reason,
)
from transfer.http.messages import HttpRequest, HttpResponse, StreamedResponse, origin, printable
from transfer.http.resolver import Resolver
from transfer.http.route import Route, find_route, is_public
from transfer.http.settings import SYSTEM_TLS, Tls
from transfer.http.thread_client import ThreadClient, ThreadRequest

_LOGGER = logging.getLogger("transfer.http")
_LARGEST_ERROR = 64 * 1024
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "layer-transfer"}


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Dropped from error


class Transport:
    """
    Connections to any number of registries, as an async context manager.

    Args:
        config: the timeouts; how many connections there are is bounded by the engine's limits, not here.

    Attributes:
        large_blob_bytes: blobs above this size, in bytes, move in worker threads.
    """

    def __init__(self, config: TransferConfig | None = None) -> None:
        self._config = config or TransferConfig()
        self.large_blob_bytes = self._config.large_blob_bytes
        self._places: dict[tuple[str, str, Tls], Route] = {}
        self._trust: dict[Tls, ssl.SSLContext] = {}
        self._looking = asyncio.Lock()
        self._reached: set[str] = set()
        self._public: set[str] = set()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._exit = AsyncExitStack()
        self._resolvers: dict[bool, Resolver] = {}
        self._lane = ThreadClient(self._resolve, Timeouts(self._config.connect_timeout, self._config.read_timeout))

    async def __aenter__(self) -> Self:
        for public_only in (False, True):
            self._resolvers[public_only] = Resolver(self._public, public_only=public_only)
            self._sessions[public_only] = await self._exit.enter_async_context(self._new_session(public_only))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sessions.clear()
        self._lane.close()
        await self._exit.aclose()

    def _new_session(self, public_only: bool) -> aiohttp.ClientSession:  # noqa: FBT001 - the key of the sessions
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=self._resolvers[public_only]),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._config.connect_timeout, sock_read=self._config.read_timeout
            ),
            headers=_HEADERS,
            auto_decompress=False,
            middlewares=(_send_once,),
        )

    def is_public(self, host: str) -> bool:
        """Return whether a host is known to be one of the public Internet: its address, or what its name has led to."""
        return host in self._public or is_public(host)

    async def connect(self, url: str, *, tls: Tls = SYSTEM_TLS, count: int = 1, what: str) -> None:
        """
        Have so many idle connections to a place before there is anything to send: they are what takes longest.

        Args:
            what: what this is for, for an error.

        Raises:
            ConnectionFailed: one of them could not be made.
        """
        request = HttpRequest("GET", url, {}, tls=tls)
        around = await self._surroundings(request)
        with self._translated(request, what):
            await gather(self._connect(URL(url, encoded=True), around) for _ in range(count))
        self._reached.add(origin(url))

    async def _connect(self, url: URL, around: Route) -> None:
        session = self._sessions[False]
        if session.connector is None:
            raise RuntimeError("the transport is not open")
        request = aiohttp.ClientRequest(
            "GET",
            url,
            loop=asyncio.get_running_loop(),
            session=session,
            ssl=around.trust,
            proxy=None if around.proxy is None else URL(around.proxy),
        )
        try:
            connection = await session.connector.connect(request, [], session.timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        # One that was idle already must not be given to the next of these.
        await asyncio.sleep(0)
        connection.release()

    async def send(self, request: HttpRequest, *, what: str) -> HttpResponse:
        """
        Send one request and read the whole answer.

        Args:
            request: where to, and what.
            what: what this is, for an error: "InitiateLayerUpload app".

        Raises:
            ConnectionFailed: no answer that can be used, for whatever reason.
        """
        if request.large:
            async with self._carried(request, what) as carried:
                return HttpResponse(
                    carried.status, carried.headers, b"".join([piece async for piece in carried.chunks])
                )
        async with self._open(request, what) as response:
            with self._translated(request, what):
                return HttpResponse(response.status, _headers(response), await _body(response))

    @asynccontextmanager
    async def stream(self, request: HttpRequest, *, what: str) -> AsyncIterator[StreamedResponse]:
        """
        Send one request and read the answer piece by piece; leaving the block drops what was not read.

        Raises:
            ConnectionFailed: as in `send`, and out of the iteration over the chunks.
        """
        if request.large:
            async with self._carried(request, what) as reply:
                yield reply
            return
        async with (
            self._open(request, what) as response,
            aclosing(self._chunks(response, request, what)) as chunks,
        ):
            yield StreamedResponse(response.status, _headers(response), chunks)

    @asynccontextmanager
    async def _carried(self, request: HttpRequest, what: str) -> AsyncIterator[StreamedResponse]:
        """Send a request by a worker thread."""
        if not self._sessions:
            raise RuntimeError("the transport is not open")
        around = await self._surroundings(request)
        parts = urlsplit(request.url)
        sent = ThreadRequest(
            request.method,
            key_of(request.url, around, public_only=request.public_only),
            f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}",
            {**_HEADERS, **request.headers},
            request.body,
            request.meter,
            request.progress,
            lambda: self._translated(request, what),
        )
        began = time.monotonic()
        with self._translated(request, what):
            reply = await self._lane.send(sent)
        _log_answer(request, what, reply.status, began)
        self._reached.add(origin(request.url))
        try:
            self._check_encoding(request, reply.status, reply.headers, what)
            chunks = reply.body if isinstance(reply.body, Download) else _at_once(reply.body)
            yield StreamedResponse(reply.status, reply.headers, chunks)
        finally:
            if isinstance(reply.body, Download):
                reply.body.close()

    @asynccontextmanager
    async def _open(self, request: HttpRequest, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """An exchange as far as the answer's head; all of it is over when the block is left."""
        response = await self._exchange(request, what)
        try:
            self._check_encoding(request, response.status, response.headers, what)
            yield response
        finally:
            response.close()

    async def _exchange(self, request: HttpRequest, what: str) -> aiohttp.ClientResponse:
        if not self._sessions:
            raise RuntimeError("the transport is not open")
        if isinstance(request.body, BlobBody):
            raise TypeError("a part of a blob is sent by a worker thread")
        around = await self._surroundings(request)
        session = self._sessions.get(request.public_only and around.proxy is None)
        if session is None:
            raise ConnectionFailed(f"{what}: the transport was closed meanwhile", permanent=True)
        headers, upload = dict(request.headers), None
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
            upload = BodyStream(request.body, self._config.read_timeout, request.meter)
        began = time.monotonic()
        with self._translated(request, what), watching(upload) as deadline:
            async with deadline:
                response = await session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    data=upload,
                    headers=headers,
                    proxy=around.proxy,
                    ssl=around.trust,
                    allow_redirects=False,
                )
        _log_answer(request, what, response.status, began)
        self._reached.add(origin(request.url))
        return response

    def _check_encoding(self, request: HttpRequest, status: int, headers: Mapping[str, str], what: str) -> None:
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise ConnectionFailed(
                f"{what}: {origin(request.url)}: the answer is {encoding!a}, which was not asked for",
                permanent=not may_pass(status),
            )

    async def _chunks(self, response: aiohttp.ClientResponse, request: HttpRequest, what: str) -> AsyncGenerator[bytes]:
        meter = request.meter if request.body is None else None
        while True:
            with self._translated(request, what):
                chunk = await response.content.readany()
            if not chunk:
                return
            if meter is not None:
                await meter.take(len(chunk))
            yield chunk

    async def _resolve(self, host: str, port: int, public_only: bool) -> Sequence[Address]:  # noqa: FBT001 - as Resolve
        return await self._resolvers[public_only].addresses(host, port)

    async def _surroundings(self, request: HttpRequest) -> Route:
        """Looked up once for each place and in a thread: certificates take a while to read, proxies may too."""
        place = urlsplit(request.url)
        key = (place.scheme, place.netloc, request.tls)
        if key not in self._places:
            async with self._looking:
                if key not in self._places:
                    self._places[key] = await asyncio.to_thread(find_route, request.url, request.tls, self._trust)
        return self._places[key]

    @contextmanager
    def _translated(self, request: HttpRequest, what: str) -> Iterator[None]:
        """The one place where an exception of the network becomes ours; without its context, which holds the URL."""
        try:
            yield
        except NETWORK_ERRORS as error:
            place = origin(request.url)
            raise ConnectionFailed(
                f"{what}: {place}: {reason(error, self._config)}",
                reached=place in self._reached,
                unresolved=is_unresolved(error),
                no_tls=is_no_tls(error),
                permanent=is_permanent(error),
            ) from None


async def _at_once(content: bytes) -> AsyncGenerator[bytes]:
    if content:
        yield content


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; what comes several times is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers


async def _body(response: aiohttp.ClientResponse) -> bytes:
    successful = response.status < 300
    limit = LARGEST_REPLY if successful else _LARGEST_ERROR
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > limit and successful:
            raise TooLarge
        if len(body) > limit:
            break
    return bytes(body[:limit])


def _log_answer(request: HttpRequest, what: str, status: int, began: float) -> None:
    """Log an answer's head: method, address, status and milliseconds; never a query, a header or a body."""
    if _LOGGER.isEnabledFor(logging.DEBUG):
        path = urlsplit(request.url).path or "/"
        # The ECR API has one path for all of its operations.
        operation = f" ({what})" if path == "/" else ""
        place = printable(f"{origin(request.url)}{path}{operation}")
        _LOGGER.debug("%s %s %d %.0f ms", request.method, place, status, 1000 * (time.monotonic() - began))
