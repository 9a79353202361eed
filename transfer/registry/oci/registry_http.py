"""
One request to one registry: its address, authorization and redirects, and errors.

Redirects are followed here and nowhere else: for GET and HEAD alone, never from https to http, a few hops at most,
and with credentials only as long as the origin (scheme, host and port) is the registry's own; once a request has left
it, it never gets them again. Tries nothing twice, but for one challenge.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from transfer.auth.credentials import Anonymous, Login, Logins
from transfer.auth.tokens import Authenticator, TokenScope
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.errors import ConnectionFailed, RegistryError
from transfer.http.bodies import BlobBody, RequestBody
from transfer.http.messages import HttpRequest, HttpResponse, StreamedResponse, origin, origin_of, resolve_url
from transfer.http.oci_errors import error_of, is_expired
from transfer.http.settings import RegistrySettings, Tls
from transfer.http.transport import Transport
from transfer.model.reference import DOCKER_HUB

_DOCKER_HUB_HOST = "registry-1.docker.io"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Registries redirect once, to storage; storage may once more, to a region.
_MOST_HOPS = 5
_LARGEST_ERROR = 64 * 1024


class RegistryRequest(msgspec.Struct, frozen=True):
    """
    One request.

    Attributes:
        action: the method, then what it is done to: "GET blob"; what is limited together has the same.
        path: the path from `/v2/` on, or the whole URL of an upload session.
        what: what this is, for an error: "GET blob sha256:… of registry.example/app".
        access: what a token must allow.
        expected: the statuses that are an answer; every other one is an error.
        meter: counts the bytes of the blob that it brings or asks for.
        large: it carries the bytes of a large blob, or its answer does.
        progress: told of the bytes of a large blob that are on the wire.
    """

    action: str
    path: str
    what: str
    access: TokenScope
    expected: frozenset[int]
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: RequestBody | BlobBody | None = None
    meter: BandwidthLimiter | None = None
    large: bool = False
    progress: Callable[[int], None] | None = None

    @property
    def method(self) -> str:
        return self.action.partition(" ")[0]


class RegistryResponse(msgspec.Struct, frozen=True):
    """An expected answer, the URL it came from, and its body as it arrives."""

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: AsyncIterator[bytes]

    def __repr__(self) -> str:
        return f"RegistryResponse({self.status})"

    async def read(self, limit: int, *, what: str) -> bytes:
        """
        Return the whole body.

        Raises:
            RegistryError: it is larger than `limit`.
        """
        body = await read_up_to(self.chunks, limit + 1)
        if len(body) > limit:
            raise RegistryError(
                f"{what}: the answer is larger than {limit} bytes", status=self.status, code="SIZE_INVALID"
            )
        return body


async def read_up_to(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """At most `limit` bytes of a body."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def is_loopback(host: str) -> bool:
    """Return whether a host, without port, is this machine by its name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(registry: str) -> str:
    """Return the host of a registry's name: `host[:port]`."""
    return _DOCKER_HUB_HOST if registry == DOCKER_HUB else registry


class RegistryHttp:
    """
    A registry, ready to be asked.

    Args:
        registry: its name, `registry.example:5000`; `docker.io` is reached where Docker Hub's registry is.
        transport: the connections.
        logins: who to be.
        settings: how it is reached.
    """

    def __init__(
        self,
        registry: str,
        *,
        transport: Transport,
        logins: Logins | None = None,
        settings: RegistrySettings | None = None,
    ) -> None:
        self.registry = registry
        self._transport = transport
        self._logins = logins or Anonymous()
        self._settings = settings or RegistrySettings()
        self._host = host_of(registry)
        self._finding = asyncio.Lock()
        self._found: tuple[str, Authenticator] | None = None
        self._met = False
        self._greeting = asyncio.Lock()
        self._greeted = asyncio.Event()

    def __repr__(self) -> str:
        return f"RegistryHttp({self.registry!r})"

    def shown_login(self, repository: str) -> Login | None:
        """Return the credentials sent so far for a repository; None where none were."""
        return self._found[1].shown(repository) if self._found else None

    async def warm_up(self, call: RegistryRequest) -> None:
        """
        Learn what all requests need before there is one; send `call` where nothing else tells. Only the first one does.

        Raises:
            RegistryError, ConnectionFailed, Unauthorized, CredentialsMissing, InvalidConfig: as `open` does.
        """
        if self._met:
            return
        self._met = True
        await self._place(call.what)
        if not self._greeted.is_set():
            async with self.open(call):
                pass

    async def connect(self, count: int, *, what: str) -> None:
        """
        Have so many idle connections, for requests that are about to come all at once.

        Raises:
            ConnectionFailed, CredentialsMissing, InvalidConfig: as `open` does.
        """
        base, _ = await self._place(what)
        await self._transport.connect(base, tls=self._tls(base), count=count, what=what)

    @asynccontextmanager
    async def open(self, call: RegistryRequest) -> AsyncIterator[RegistryResponse]:
        """
        Send a request, and have its answer for as long as the block lasts.

        Raises:
            RegistryError: the status is none of those expected, a redirect is refused, or there are too many.
            ConnectionFailed, Unauthorized, CredentialsMissing, InvalidConfig: as transport and authorization do.
        """
        base, auth = await self._place(call.what)
        url = f"{base}{call.path}" if call.path.startswith("/") else call.path
        at_home = call.path.startswith("/") or origin_of(url) == origin_of(base)
        for _ in range(_MOST_HOPS + 1):
            async with AsyncExitStack() as stack:
                reply = await self._ask(call, url, auth if at_home else None, stack)
                if reply.status not in _REDIRECTS or call.method not in {"GET", "HEAD"}:
                    if reply.status not in call.expected:
                        raise await self._error(call, url, reply, at_home=at_home)
                    yield RegistryResponse(reply.status, reply.headers, url, reply.chunks)
                    return
                location = reply.headers.get("location", "")
                url = resolve_url(url, location, what=call.what, status=reply.status)
                at_home = at_home and origin_of(url) == origin_of(base)
        raise RegistryError(f"{call.what}: more than {_MOST_HOPS} redirects", status=302, code="REDIRECTS")

    async def _ask(
        self, call: RegistryRequest, url: str, auth: Authenticator | None, stack: AsyncExitStack
    ) -> StreamedResponse:
        """Send to one place; to the registry itself one request alone at first, which learns what all of them need."""
        if auth is None or self._greeted.is_set():
            return await self._send(call, url, auth, stack)
        async with self._greeting:
            if not self._greeted.is_set():
                reply = await self._send(call, url, auth, stack)
                self._greeted.set()
                return reply
        return await self._send(call, url, auth, stack)

    async def _send(
        self, call: RegistryRequest, url: str, auth: Authenticator | None, stack: AsyncExitStack
    ) -> StreamedResponse:
        """Send; once more where a challenge can be answered."""
        for challenged in (False, True):
            header = await auth.header(call.access, what=call.what) if auth else None
            headers = {**call.headers, "Authorization": header} if header else dict(call.headers)
            request = HttpRequest(
                call.method,
                url,
                headers,
                call.body,
                tls=self._tls(url),
                meter=call.meter,
                large=call.large,
                progress=call.progress,
            )
            async with AsyncExitStack() as one:
                reply = await one.enter_async_context(self._transport.stream(request, what=call.what))
                if challenged or auth is None or not await self._may_again(call, auth, header, reply):
                    stack.push_async_exit(one.pop_all().__aexit__)
                    return reply
        raise AssertionError("unreachable: the second answer is always returned")

    async def _may_again(
        self, call: RegistryRequest, auth: Authenticator, sent: str | None, reply: StreamedResponse
    ) -> bool:
        if reply.status == 401:
            return await auth.challenged(reply.headers, call.access, sent, what=call.what)
        if reply.status == 403 and sent is not None:
            # ECR refuses an expired token so; telling it from other refusals takes the body, which is read but once.
            body = await read_up_to(reply.chunks, _LARGEST_ERROR)
            if is_expired(HttpResponse(reply.status, reply.headers, body)):
                auth.expired(call.access)
                return True
            raise error_of(call.what, HttpResponse(reply.status, reply.headers, body))
        return False

    async def _error(self, call: RegistryRequest, url: str, reply: StreamedResponse, *, at_home: bool) -> RegistryError:
        body = await read_up_to(reply.chunks, _LARGEST_ERROR)
        error = error_of(call.what, HttpResponse(reply.status, reply.headers, body))
        if at_home or error.status == 429 or error.status >= 500:
            return error
        # Storage elsewhere has its own reasons: that it refuses says nothing of the login at the registry.
        return RegistryError(
            f"{call.what}: {origin(url)}, where the registry sends clients, answered {reply.status}; try again later",
            status=reply.status,
            code="REDIRECTED",
        )

    def _tls(self, url: str) -> Tls:
        if self._settings.tls.certificate is None:
            return self._settings.tls
        own = (urlsplit(url).hostname or "").lower() == (urlsplit(f"//{self._host}").hostname or "").lower()
        return self._settings.tls if own else self._settings.tls.anonymous()

    async def _place(self, what: str) -> tuple[str, Authenticator]:
        if self._found is not None:
            return self._found
        async with self._finding:
            if self._found is None:
                base = await self._base(what)
                auth = Authenticator(
                    self.registry,
                    base,
                    logins=self._logins,
                    transport=self._transport,
                    tls=self._settings.tls,
                    token_hosts=self._settings.token_hosts,
                )
                self._found = base, auth
        return self._found

    async def _base(self, what: str) -> str:
        if self._settings.plain_http:
            return f"http://{self._host}"
        if not is_loopback(urlsplit(f"//{self._host}").hostname or ""):
            return f"https://{self._host}"
        try:
            await self._transport.connect(f"https://{self._host}", tls=self._settings.tls, what=what)
        except ConnectionFailed as failed:
            if failed.no_tls:
                return f"http://{self._host}"
            # What speaks TLS answers plain HTTP with 400 or not at all; then it is TLS that has failed.
            try:
                plain = await self._transport.send(HttpRequest("GET", f"http://{self._host}/v2/", {}), what=what)
            except ConnectionFailed:
                raise failed from None
            if plain.status == 400:
                raise
            return f"http://{self._host}"
        return f"https://{self._host}"
