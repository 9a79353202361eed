"""
`GET /layers/…`: layer content behind signed URLs, as S3 serves it.

Refusals are S3's XML. Does not know the API that gave the URL.
"""

import time
import uuid
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

from transfer.server.ecr.layers import find_layer, url_key
from transfer.server.ecr.operations import Call, Registry
from transfer.server.endpoint import signed_request
from transfer.server.errors import ApiError
from transfer.server.log import RequestLog, RequestRecord
from transfer.server.served import BlobFile
from transfer.server.sigv4 import check_query

OPERATION = "DownloadLayer"
PATH = "/layers/{repository:.+}/{algorithm}/{encoded}"


class Downloads:
    """The handler of layer URLs."""

    def __init__(self, registry: Registry, log: RequestLog) -> None:
        self._registry = registry
        self._log = log

    async def handle(self, request: web.Request) -> web.StreamResponse:
        repository = request.match_info["repository"]
        digest = f"{request.match_info['algorithm']}:{request.match_info['encoded']}"

        def record(status: int, size: int, span: tuple[int, int] | None = None, code: str | None = None) -> None:
            first, last = span or (None, None)
            self._log.add(
                RequestRecord(
                    operation=OPERATION,
                    repository=repository,
                    status=status,
                    code=code,
                    first_byte=first,
                    last_byte=last,
                    blob_bytes=size,
                    digest=digest,
                )
            )

        try:
            path = await self._find(request, repository, digest)
            return BlobFile(path, promised=record)
        except ApiError as error:
            record(error.status, 0, code=error.code)
            return _render(error)

    async def _find(self, request: web.Request, repository: str, digest: str) -> Path:
        now = time.time()
        # The URL is its own permission, so it is checked also where requests to the API are not.
        check_query(signed_request(request), url_key(self._registry.settings), now)
        open_session = self._registry.session(Call(b"", request.host, now))
        try:
            found = await self._registry.database.run(
                lambda connection: find_layer(open_session(connection), repository, digest)
            )
        except ApiError:
            found = None
        if found is None:
            raise ApiError("NoSuchKey", "The specified key does not exist.", status=404)
        return self._registry.files.blob(found)


def _render(error: ApiError) -> web.Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{uuid.uuid4().hex[:16].upper()}</RequestId></Error>"
    )
    return web.Response(text=text, status=error.status, content_type="application/xml")
