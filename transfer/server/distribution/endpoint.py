"""
`/v2/` over HTTP: route a request, let it in, have it handled, and write the answer.

Every refusal is rendered here and nowhere else, and every request leaves one record.
"""

import asyncio
import logging
import time

import msgspec
from aiohttp import web

from transfer.server.body import drain
from transfer.server.distribution import auth, errors
from transfer.server.distribution.context import Dialect, RequestContext
from transfer.server.distribution.errors import Refusal
from transfer.server.distribution.routes import Route, find_route
from transfer.server.download import BlobFile
from transfer.server.ecr.operations import Registry
from transfer.server.log import CLIENT_GONE, RequestLog

_LOGGER = logging.getLogger(__name__)
PATH = "/v2{path:(/.*)?}"
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


class DistributionEndpoint:
    """The handler of all that begins with `/v2`."""

    def __init__(self, registry: Registry, dialect: Dialect, log: RequestLog) -> None:
        self._registry = registry
        self._dialect = dialect
        self._log = log

    async def handle(self, request: web.Request) -> web.StreamResponse:
        ex = RequestContext(request, self._registry, self._dialect, Route(request.method), time.time())
        try:
            response = await self._perform(ex)
        except Refusal as refusal:
            await drain(request.content.iter_any())
            response = self._render(ex, refusal)
            self._log.add(ex.record(refusal.status, refusal.code))
        except ConnectionError:
            # It hung up. Nobody reads this answer; raising instead would put a traceback into the server's log.
            self._log.add(ex.record(CLIENT_GONE))
            return web.Response(status=CLIENT_GONE)
        except asyncio.CancelledError:  # the server is being stopped
            self._log.add(ex.record(CLIENT_GONE))
            raise
        except Exception:
            _LOGGER.exception("%s failed", ex.route.operation)
            failure = Refusal(500, "UNKNOWN", "the registry failed; its log says why")
            response = self._render(ex, failure)
            self._log.add(ex.record(500, failure.code))
        else:
            self._succeed(ex, response)
        response.headers.update(_VERSION)
        return response

    async def _perform(self, ex: RequestContext) -> web.StreamResponse:
        lost = None
        try:
            ex.route = find_route(ex.request.method, ex.request.path, ex.request.query)
        except Refusal as refusal:
            lost = refusal
        self._let_in(ex)  # before any refusal: a stranger learns nothing of what is here
        if lost is not None:
            raise lost
        if not self._registry.throttle.admits(ex.route.operation):
            raise errors.throttled()
        return await self._dialect.handlers[ex.route.operation](ex)

    def _let_in(self, ex: RequestContext) -> None:
        settings = self._registry.settings
        if not settings.auth:
            return
        verdict = auth.judge(ex.request.headers.get("Authorization"), settings, ex.now)
        if verdict == auth.GOOD:
            return
        if verdict == auth.EXPIRED and self._dialect.expired is not None:
            raise self._dialect.expired()
        raise errors.unauthorized(ex.request.host)

    def _succeed(self, ex: RequestContext, response: web.StreamResponse) -> None:
        if not isinstance(response, BlobFile):
            self._log.add(ex.record(response.status))
            return

        def promised(status: int, size: int, span: tuple[int, int] | None) -> None:
            ex.received = size
            if span is not None:
                ex.facts |= {"first_byte": span[0], "last_byte": span[1]}
            self._log.add(ex.record(status))

        response.promised = promised

    def _render(self, ex: RequestContext, refusal: Refusal) -> web.Response:
        words = self._dialect.messages.get(refusal.code)
        message = refusal.message
        if words is not None:
            message = words.format(name=ex.name, account=self._registry.settings.account)
        error = {"code": refusal.code, "message": message}
        errors_ = [error | {"detail": detail} for detail in refusal.details] or [error]
        return web.Response(
            body=msgspec.json.encode({"errors": errors_}, enc_hook=str) + b"\n",
            status=refusal.status,
            headers={"Content-Type": "application/json", **refusal.headers},
        )
