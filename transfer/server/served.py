"""A blob's file as the answer to a GET, whole or in part, that tells what it promises. Does not know who asks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

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
