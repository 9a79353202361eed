"""A blob's file as the answer to a GET, whole or in part, that tells what it promises."""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

from transfer.server.ecr.layers import find_layer, url_key
from transfer.server.ecr.operations import Call, Registry
from transfer.server.endpoint import signed_request
from transfer.server.errors import ApiError
from transfer.server.log import RequestLog, RequestRecord
from transfer.server.sigv4 import check_query

_SPAN = re.compile(r"bytes (\d+)-(\d+)/\d+")

# Called with the status, the bytes promised and the first and last of them where they are a part.
Promised = Callable[[int, int, tuple[int, int] | None], None]


class BlobFile(web.FileResponse):
    """
    The file with the Range rules of RFC 9110: 206 for one range, 416 for one outside of it.

    `promised` is called when the answer begins, not when its last byte is gone: who has read an answer finds it told.
    """

    def __init__(
        self, path: Path, headers: Mapping[str, str] | None = None, *, promised: Promised | None = None
    ) -> None:
        super().__init__(path, headers={"Content-Type": "application/octet-stream", **(headers or {})})
        self.promised = promised


async def tell_promised(_request: web.Request, response: web.StreamResponse) -> None:
    """Tell what a file's answer promises; for the application's `on_response_prepare`."""
    if isinstance(response, BlobFile) and response.promised is not None:
        size = (response.content_length or 0) if response.status in (200, 206) else 0
        match = _SPAN.fullmatch(response.headers.get("Content-Range", ""))
        response.promised(response.status, size, (int(match[1]), int(match[2])) if match else None)


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
