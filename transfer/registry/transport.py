"""
One request, one answer, over HTTP; the only module of the client side that imports the HTTP client.

Foreign exceptions end here: whatever keeps an answer from arriving becomes ConnectionFailed. Follows no redirect,
keeps no cookie, tries nothing twice, and reads proxies but no password (netrc) from the environment. Does not know
any registry's protocol: every status is an answer.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from transfer.engine.config import MIB, TransferConfig
from transfer.errors import ConnectionFailed, InvalidConfig

# aiohttp writes a piece into the socket's buffer whole, so its size is what keeps moving after a cancellation.
_SLICE = MIB
_LARGEST_REPLY = 64 * MIB
_LARGEST_ERROR = 64 * 1024


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The bytes of a request, in pieces as they were built, with their length and the hex SHA-256 of all of them."""

    chunks: Sequence[bytes | memoryview] = field(repr=False)
    length: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls((content,), len(content), sha256(content).hexdigest())

    def slices(self) -> Iterator[memoryview]:
        """All bytes in order, without a copy, in pieces that are small enough to be cancelled between."""
        for chunk in self.chunks:
            view = memoryview(chunk)
            for start in range(0, len(view), _SLICE):
                yield view[start : start + _SLICE]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `ca_bundle` is a file of CA certificates to trust instead of the system's (or SSL_CERT_FILE's)."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: RequestBody | None = None
    ca_bundle: str | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {origin(self.url)})"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, headers (names in lower case) and the whole body, cut at 64 KiB when it is an error's."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamReply:
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


class _Upload:
    """A body on its way: hands out one slice after the other, and moves a deadline ahead with each."""

    def __init__(self, body: RequestBody, deadline: asyncio.Timeout, patience: float) -> None:
        self._slices = body.slices()
        self._deadline: asyncio.Timeout | None = deadline
        self._patience = patience

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> memoryview:
        piece = next(self._slices, None)
        # After the last slice the HTTP client's own read timeout counts; it does not watch an upload that stalls.
        self._wait_until(None if piece is None else asyncio.get_running_loop().time() + self._patience)
        if piece is None:
            raise StopAsyncIteration
        return piece

    def release(self) -> None:
        """Nothing waits for the upload any more: the answer is here, perhaps before the last slice, or it failed."""
        self._deadline = None

    def _wait_until(self, when: float | None) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(when)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What lies between this machine and a place: the proxy, and whose certificates count."""

    proxy: str | None = field(repr=False)
    trust: ssl.SSLContext | bool


class Transport:
    """
    Connections to any number of registries, as an async context manager.

    Args:
        config: the timeouts; how many connections there are is bounded by the engine's limits, not here.
    """

    def __init__(self, config: TransferConfig | None = None) -> None:
        self._config = config or TransferConfig()
        self._places: dict[tuple[str, str, str | None], _Surroundings] = {}
        self._trust: dict[str | None, ssl.SSLContext] = {}
        self._looking = asyncio.Lock()
        self._reached: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._config.connect_timeout, sock_read=self._config.read_timeout
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "layer-transfer"},
            auto_decompress=False,
            middlewares=(_send_once,),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, *, what: str) -> Reply:
        """
        Send one request and read the whole answer.

        Args:
            request: where to, and what.
            what: what this is, for an error: "InitiateLayerUpload app".

        Raises:
            ConnectionFailed: no answer that can be used, for whatever reason.
        """
        response = await self._open(request, what)
        try:
            with self._translated(request, what):
                return Reply(response.status, _headers(response), await _body(response))
        finally:
            response.close()

    @asynccontextmanager
    async def stream(self, request: Request, *, what: str) -> AsyncIterator[StreamReply]:
        """
        Send one request and read the answer piece by piece; leaving the block drops what was not read.

        Raises:
            ConnectionFailed: as in `send`, and out of the iteration over the chunks.
        """
        response = await self._open(request, what)
        try:
            async with aclosing(self._chunks(response, request, what)) as chunks:
                yield StreamReply(response.status, _headers(response), chunks)
        finally:
            response.close()

    async def _open(self, request: Request, what: str) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the transport is not open")
        around = await self._surroundings(request)
        headers = dict(request.headers)
        upload = None
        with self._translated(request, what):
            async with asyncio.timeout(None) as deadline:
                if request.body is not None:
                    headers["Content-Length"] = str(request.body.length)
                    upload = _Upload(request.body, deadline, self._config.read_timeout)
                try:
                    response = await self._session.request(
                        request.method,
                        URL(request.url, encoded=True),
                        data=upload,
                        headers=headers,
                        proxy=around.proxy,
                        ssl=around.trust,
                        allow_redirects=False,
                    )
                finally:
                    if upload is not None:
                        upload.release()
        self._reached.add(origin(request.url))
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            response.close()
            raise ConnectionFailed(
                f"{what}: {origin(request.url)}: the answer is {encoding!a}, which was not asked for"
            )
        return response

    async def _chunks(self, response: aiohttp.ClientResponse, request: Request, what: str) -> AsyncGenerator[bytes]:
        while True:
            with self._translated(request, what):
                chunk = await response.content.readany()
            if not chunk:
                return
            yield chunk

    async def _surroundings(self, request: Request) -> _Surroundings:
        """Looked up once for each place and in a thread: certificates take a while to read, proxies may too."""
        place = urlsplit(request.url)
        key = (place.scheme, place.netloc, request.ca_bundle)
        if key not in self._places:
            async with self._looking:
                if key not in self._places:
                    self._places[key] = await asyncio.to_thread(_look_up, request, self._trust)
        return self._places[key]

    @contextmanager
    def _translated(self, request: Request, what: str) -> Iterator[None]:
        """The one place where an exception of the network becomes ours; without its context, which holds the URL."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            place = origin(request.url)
            raise ConnectionFailed(
                f"{what}: {place}: {_reason(error, self._config)}", reached=place in self._reached
            ) from None


# First match counts. What came back, then what to do.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached{detail}; check HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientHttpProxyError, "the proxy refused{detail}; check HTTPS_PROXY and NO_PROXY"),
    (aiohttp.ClientConnectorDNSError, "the name cannot be resolved; check its spelling and the network"),
    (ssl.CertificateError, "its certificate is not trusted{detail}; name the CA in SSL_CERT_FILE or AWS_CA_BUNDLE"),
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
    text = next(text for kind, text in _REASONS if isinstance(error, kind))
    detail = _detail(error)
    return text.format(
        detail=f" ({detail})" if detail else "", connect=config.connect_timeout, read=config.read_timeout
    )


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


def _look_up(request: Request, known: dict[str | None, ssl.SSLContext]) -> _Surroundings:
    place = urlsplit(request.url)
    trust: ssl.SSLContext | bool = True
    if place.scheme == "https":
        trust = known.setdefault(request.ca_bundle, known.get(request.ca_bundle) or _trust(request.ca_bundle))
    return _Surroundings(_proxy(place.scheme, place.hostname or ""), trust)


def _trust(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        reason = (
            str(error.strerror).lower() if isinstance(error, FileNotFoundError) else "it is no file of certificates"
        )
        raise InvalidConfig(f"CA certificates {ca_bundle}: {reason}; check AWS_CA_BUNDLE") from error


def _proxy(scheme: str, host: str) -> str | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or the system's settings), as urllib reads them."""
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise InvalidConfig(f"{scheme.upper()}_PROXY: it must be of the form http[s]://host:port")
    return proxy or None


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


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
