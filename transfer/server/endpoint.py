"""
`POST /`: the JSON API over HTTP.

Reads and authenticates a request, has it performed, and writes the answer; every refusal of the API is rendered here
and nowhere else, and every request leaves one record.
"""

import asyncio
import logging
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from transfer.server.body import Body, PartBody, PlainBody, drain, receive
from transfer.server.ecr.operations import PART_OPERATION, TARGETS, Answer, Call, Registry
from transfer.server.ecr.uploads import ReceivedPart
from transfer.server.errors import ApiError, throttled
from transfer.server.log import CLIENT_GONE, RequestLog, RequestRecord, facts
from transfer.server.settings import LARGEST_PART
from transfer.server.sigv4 import Key, Signature, SignedRequest, read_header
from transfer.server.store.files import Files

_LOGGER = logging.getLogger(__name__)
_CONTENT_TYPE = "application/x-amz-json-1.1"


@dataclass(slots=True)
class _RequestInProgress:
    """A request in progress."""

    operation: str
    body: Body
    status: int = 200
    code: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self) -> RequestRecord:
        received, known = 0, self.facts
        if isinstance(self.body, PartBody):
            received, known = self.body.blob_bytes, self.facts or facts(self.body.beginning())
        return RequestRecord(operation=self.operation, status=self.status, code=self.code, blob_bytes=received, **known)


class _Spool:
    """A part on its way in: written as it is decoded, up to the most that a part may be."""

    def __init__(self, files: Files) -> None:
        self.file = files.spool()
        self._room = LARGEST_PART

    def write(self, data: bytes) -> None:
        if len(data) <= self._room:
            self._room -= len(data)
            self.file.write(data)


class Endpoint:
    """The handler of the API's one address."""

    def __init__(self, registry: Registry, log: RequestLog) -> None:
        self._registry = registry
        self._log = log
        settings = registry.settings
        self._key = Key(settings.access_key, settings.secret_key, settings.region, "ecr")

    async def handle(self, request: web.Request) -> web.Response:
        target = request.headers.get("X-Amz-Target", "")
        operation = TARGETS.get(target, target)
        async with AsyncExitStack() as resources:
            if operation == PART_OPERATION:
                spool = _Spool(self._registry.files)
                resources.callback(spool.file.close)
                exchange = _RequestInProgress(operation, PartBody(spool.write))
                return await self._answer(request, exchange, spool)
            return await self._answer(request, _RequestInProgress(operation, PlainBody()), None)

    async def _answer(self, request: web.Request, exchange: _RequestInProgress, spool: _Spool | None) -> web.Response:
        try:
            answer = await self._perform(request, exchange, spool)
        except ApiError as error:
            exchange.status, exchange.code = error.status, error.code
            await drain(request.content.iter_any())
            return _render({"__type": error.code, "message": error.message, **error.members}, error.status)
        except ConnectionError:
            # It hung up. Nobody reads this answer; raising instead would put a traceback into the server's log.
            exchange.status = CLIENT_GONE
            return _render({}, CLIENT_GONE)
        except asyncio.CancelledError:  # the server is being stopped
            exchange.status = CLIENT_GONE
            raise
        except Exception:
            _LOGGER.exception("%s failed", exchange.operation)
            exchange.status, exchange.code = 500, "ServerException"
            return _render({"__type": "ServerException", "message": "The registry failed; its log says why"}, 500)
        else:
            exchange.facts |= facts(answer)
            return _render(answer, 200)
        finally:
            self._log.add(exchange.record())

    async def _perform(self, request: web.Request, exchange: _RequestInProgress, spool: _Spool | None) -> Answer:
        now = time.time()
        if request.headers.get("X-Amz-Target") not in TARGETS:
            # Status 400, as aws/aws-sdk-net#1536 saw it.
            raise ApiError("UnknownOperationException", f"Unknown operation {exchange.operation!r}")
        signed = signed_request(request)
        signature = self._read_signature(signed, now)
        payload = await receive(request.content.iter_any(), exchange.body, self._registry.files.run)
        document = exchange.body.document()
        exchange.facts |= _facts(document)
        if signature is not None:
            signature.check(signed, payload)
        if not self._registry.throttle.admits(exchange.operation):
            raise throttled()
        part = (
            ReceivedPart(spool.file, exchange.body.blob_bytes)
            if spool and isinstance(exchange.body, PartBody)
            else None
        )
        return await self._registry.perform(exchange.operation, Call(document, request.host, now, part))

    def _read_signature(self, signed: SignedRequest, now: float) -> Signature | None:
        return read_header(signed, self._key, now) if self._registry.settings.auth else None


def signed_request(request: web.Request) -> SignedRequest:
    """Return the parts of a request that its signature covers."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    return SignedRequest(request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, headers)


def _facts(document: bytes) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        return {}
    return facts(members) if isinstance(members, dict) else {}


def _render(members: dict[str, Any], status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(members, enc_hook=str),  # a Digest is a str that msgspec does not know
        status=status,
        headers={"Content-Type": _CONTENT_TYPE, "x-amzn-RequestId": str(uuid.uuid4())},
    )
