"""A blob's file as the answer to a GET, whole or in part, that tells when it has been sent. Does not know who asks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from transfer.server.log import CLIENT_GONE

_SPAN = re.compile(r"bytes (\d+)-(\d+)/\d+")

# Called when it is over, with the status, the bytes promised and the first and last of them where they were a part.
Sent = Callable[[int, int, tuple[int, int] | None], None]


class BlobFile(web.FileResponse):
    """The file with the Range rules of RFC 9110: 206 for one range, 416 for one outside of it."""

    def __init__(self, path: Path, headers: Mapping[str, str] | None = None, *, sent: Sent | None = None) -> None:
        super().__init__(path, headers={"Content-Type": "application/octet-stream", **(headers or {})})
        self.sent = sent

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        status = CLIENT_GONE
        try:
            writer = await super().prepare(request)
            status = self.status
        finally:
            if self.sent is not None:
                self.sent(status, self.content_length or 0, self._span())
        return writer

    def _span(self) -> tuple[int, int] | None:
        match = _SPAN.fullmatch(self.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2])) if match else None
