"""
A file as a request's body, as the HTTP client takes it: headers by the client, the body by the kernel.

Beside the transport the only module that knows the HTTP client. Knows nothing of what is in the file.
"""

from aiohttp import ClientConnectionResetError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload

from transfer.registry.body import Upload
from transfer.registry.sendfile import is_available


def payload(upload: Upload | None, *, direct: bool) -> "Upload | _File | None":
    """A body as the HTTP client takes it; `direct` where its bytes go out as they are: the kernel can send those."""
    if upload is None or upload.file is None or not direct or not is_available():
        return upload
    return _File(upload)


class _File(Payload):
    """An upload of a part of a file."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload)
        self._upload = upload

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - the client's signature
        """Nobody shows it."""
        raise TypeError("a file on its way is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the headers, and then the file; or as any other body, where it is no file after all."""
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        if transport is None:
            raise ClientConnectionResetError("the connection is closed")
        # Without room for anything unsent, draining is to wait until the headers are with the system.
        transport.set_write_buffer_limits(0)
        writer.send_headers()
        await writer.drain()
        transport.set_write_buffer_limits()
        if not await self._upload.send_file(transport.get_extra_info("socket").fileno()):
            async for piece in self._upload:
                await writer.write(piece)
