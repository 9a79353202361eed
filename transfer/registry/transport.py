"""
One request, one answer, over HTTP; with `payload` all of the client side that imports the HTTP client.

Foreign exceptions end here: whatever keeps an answer from arriving becomes ConnectionFailed. Follows no redirect,
keeps no cookie, tries nothing twice, and reads proxies but no password (netrc) from the environment. Does not know
any registry's protocol: every status is an answer.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from transfer.engine.config import MIB, TransferConfig
from transfer.engine.limits import Meter
from transfer.engine.tasks import gather
from transfer.errors import ConnectionFailed
from transfer.registry.body import RequestBody, StreamBody, Upload, watching
from transfer.registry.payload import payload
from transfer.registry.surroundings import SYSTEM_TLS, Surroundings, Tls, is_public, look_up

_LARGEST_REPLY = 64 * MIB
_LARGEST_ERROR = 64 * 1024


class Request(msgspec.Struct, frozen=True):
    """
    One request.

    Attributes:
        public_only: reach no address of a private network, where no proxy lies between.
        meter: counts the bytes of the blob that is its body, or else the answer's.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: RequestBody | StreamBody | None = None
    tls: Tls = SYSTEM_TLS
    public_only: bool = False
    meter: Meter | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {origin(self.url)})"


class Reply(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case) and the whole body, cut at 64 KiB when it is an error's."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class StreamReply(msgspec.Struct, frozen=True):
    """A status, headers (names in lower case) and the body as it arrives."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


def origin(url: str) -> str:
    """`host:port` of a URL: what may be shown of it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


class _Dropped(aiohttp.ClientError):
    """A connection that was lost; unlike aiohttp's own two, one that it does not silently send again for."""


class _TooLarge(aiohttp.ClientError):
    """A body above what any answer of a registry's API can be."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Dropped from error


class _PrivateAddress(OSError):
    """A name that leads into a private network, where the request must not go."""


class _Resolver(ThreadedResolver):
    """Looks names up in a thread; notes which of them are public, or refuses those that are not."""

    def __init__(self, public: set[str], *, public_only: bool) -> None:
        super().__init__()
        self._public = public
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        public = [is_public(one["host"]) for one in found]
        if self._public_only and not all(public):
            raise _PrivateAddress
        if any(public):
            self._public.add(host)
        return found


class Transport:
    """
    Connections to any number of registries, as an async context manager.

    Args:
        config: the timeouts; how many connections there are is bounded by the engine's limits, not here.
    """

    def __init__(self, config: TransferConfig | None = None) -> None:
        self._config = config or TransferConfig()
        self._places: dict[tuple[str, str, Tls], Surroundings] = {}
        self._trust: dict[Tls, ssl.SSLContext] = {}
        self._looking = asyncio.Lock()
        self._reached: set[str] = set()
        self._public: set[str] = set()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for public_only in (False, True):
            self._sessions[public_only] = await self._exit.enter_async_context(self._new_session(public_only))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sessions.clear()
        await self._exit.aclose()

    def _new_session(self, public_only: bool) -> aiohttp.ClientSession:  # noqa: FBT001 - the key of the sessions
        resolver = _Resolver(self._public, public_only=public_only)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._config.connect_timeout, sock_read=self._config.read_timeout
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "layer-transfer"},
            auto_decompress=False,
            middlewares=(_send_once,),
        )

    def is_public(self, host: str) -> bool:
        """Whether a host is known to be one of the public Internet: its address, or what its name has led to."""
        return host in self._public or is_public(host)

    async def connect(self, url: str, *, tls: Tls = SYSTEM_TLS, count: int = 1, what: str) -> None:
        """
        Have so many idle connections to a place before there is anything to send: they are what takes longest.

        Args:
            what: what this is for, for an error.

        Raises:
            ConnectionFailed: one of them could not be made.
        """
        request = Request("GET", url, {}, tls=tls)
        around = await self._surroundings(request)
        with self._translated(request, what):
            await gather(self._connect(URL(url, encoded=True), around) for _ in range(count))
        self._reached.add(origin(url))

    async def _connect(self, url: URL, around: Surroundings) -> None:
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

    async def send(self, request: Request, *, what: str) -> Reply:
        """
        Send one request and read the whole answer.

        Args:
            request: where to, and what.
            what: what this is, for an error: "InitiateLayerUpload app".

        Raises:
            ConnectionFailed: no answer that can be used, for whatever reason.
        """
        async with self._open(request, what) as response:
            with self._translated(request, what):
                return Reply(response.status, _headers(response), await _body(response))

    @asynccontextmanager
    async def stream(self, request: Request, *, what: str) -> AsyncIterator[StreamReply]:
        """
        Send one request and read the answer piece by piece; leaving the block drops what was not read.

        Raises:
            ConnectionFailed: as in `send`, and out of the iteration over the chunks.
        """
        async with (
            self._open(request, what) as response,
            aclosing(self._chunks(response, request, what)) as chunks,
        ):
            yield StreamReply(response.status, _headers(response), chunks)

    @asynccontextmanager
    async def _open(self, request: Request, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """An exchange as far as the answer's head; all of it is over when the block is left."""
        upload = None if request.body is None else Upload(request.body, self._config.read_timeout, request.meter)
        try:
            response = await self._exchange(request, upload, what)
            try:
                self._check_encoding(request, response, what)
                yield response
            finally:
                response.close()
        finally:
            if upload is not None:
                await upload.close()

    async def _exchange(self, request: Request, upload: Upload | None, what: str) -> aiohttp.ClientResponse:
        if not self._sessions:
            raise RuntimeError("the transport is not open")
        around = await self._surroundings(request)
        session = self._sessions[request.public_only and around.proxy is None]
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
        try:
            with self._translated(request, what), watching(upload) as deadline:
                async with deadline:
                    response = await session.request(
                        request.method,
                        URL(request.url, encoded=True),
                        data=payload(upload, direct=around.proxy is None and request.url.startswith("http:")),
                        headers=headers,
                        proxy=around.proxy,
                        ssl=around.trust,
                        allow_redirects=False,
                    )
        except ConnectionFailed:
            if upload is not None and upload.failure is not None:
                raise upload.failure from None
            raise
        self._reached.add(origin(request.url))
        return response

    def _check_encoding(self, request: Request, response: aiohttp.ClientResponse, what: str) -> None:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise ConnectionFailed(
                f"{what}: {origin(request.url)}: the answer is {encoding!a}, which was not asked for"
            )

    async def _chunks(self, response: aiohttp.ClientResponse, request: Request, what: str) -> AsyncGenerator[bytes]:
        meter = request.meter if request.body is None else None
        while True:
            with self._translated(request, what):
                chunk = await response.content.readany()
            if not chunk:
                return
            if meter is not None:
                await meter.take(len(chunk))
            yield chunk

    async def _surroundings(self, request: Request) -> Surroundings:
        """Looked up once for each place and in a thread: certificates take a while to read, proxies may too."""
        place = urlsplit(request.url)
        key = (place.scheme, place.netloc, request.tls)
        if key not in self._places:
            async with self._looking:
                if key not in self._places:
                    self._places[key] = await asyncio.to_thread(look_up, request.url, request.tls, self._trust)
        return self._places[key]

    @contextmanager
    def _translated(self, request: Request, what: str) -> Iterator[None]:
        """The one place where an exception of the network becomes ours; without its context, which holds the URL."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            place = origin(request.url)
            raise ConnectionFailed(
                f"{what}: {place}: {_reason(error, self._config)}",
                reached=place in self._reached,
                no_tls=_is_no_tls(error),
            ) from None


# First match counts. What came back, then what to do.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached{detail}; check HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientHttpProxyError, "the proxy refused{detail}; check HTTPS_PROXY and NO_PROXY"),
    (_PrivateAddress, "its name leads into a private network, where it may not send a client; check the registry"),
    (aiohttp.ClientConnectorDNSError, "the name cannot be resolved; check its spelling and the network"),
    (
        ssl.CertificateError,
        "its certificate is not trusted{detail}; name the CA in SSL_CERT_FILE or the CA setting of this end",
    ),
    (aiohttp.ClientSSLError, "TLS failed{detail}; check whether the endpoint is https or http"),
    (aiohttp.ConnectionTimeoutError, "no connection within {connect:g} s; check the address and the network"),
    (aiohttp.ClientConnectorError, "no connection{detail}; check the address, and that something listens there"),
    (TimeoutError, "nothing moved for {read:g} s; check the network, or allow a longer read timeout"),
    (aiohttp.ServerDisconnectedError, "the connection was closed without an answer; try again"),
    (aiohttp.ClientPayloadError, "the answer broke off; try again"),
    (aiohttp.ClientResponseError, "the answer is not HTTP; check whether the endpoint is https or http"),
    (aiohttp.InvalidURL, "this is not a URL; check the endpoint"),
    (_TooLarge, f"the answer is larger than {_LARGEST_REPLY} bytes; check that this is a registry's API"),
    (OSError, "the connection was lost{detail}; try again"),
    (aiohttp.ClientError, "the exchange failed; try again"),
)


def _reason(error: BaseException, config: TransferConfig) -> str:
    if isinstance(error, _Dropped) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(error.os_error, _PrivateAddress):
        error = error.os_error
    text = next(text for kind, text in _REASONS if isinstance(error, kind))
    detail = _detail(error)
    return text.format(
        detail=f" ({detail})" if detail else "", connect=config.connect_timeout, read=config.read_timeout
    )


def _is_no_tls(error: BaseException) -> bool:
    """Whether TLS failed since the other side does not speak it: OpenSSL takes the answer for a record of its own."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}


def _detail(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as refused):
            return refused.verify_message
        case aiohttp.ClientConnectorError(os_error=ssl.SSLError(reason=str(reason))):
            return reason.lower().replace("_", " ")
        case aiohttp.ClientHttpProxyError(status=status):
            return str(status)
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case _:
            return ""


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; what comes several times is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers


async def _body(response: aiohttp.ClientResponse) -> bytes:
    successful = response.status < 300
    limit = _LARGEST_REPLY if successful else _LARGEST_ERROR
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > limit and successful:
            raise _TooLarge
        if len(body) > limit:
            break
    return bytes(body[:limit])
