"""What the listeners of this package log of requests that are no HTTP: nothing, with 400 as the answer."""

import asyncio
import logging

import pytest

from transfer import Server
from transfer.mirror.watcher.health import Health

SIGNED = b"GET /layers/app?X-Amz-S\xe9gnature=52ccb14b6c7f HTTP/1.1\r\nHost: registry\r\n\r\n"
BROKEN_HEADER = b"GET /v2/ HTTP/1.1\r\n\xd5ser-Agent: secret\r\n\r\n"


async def answered(url: str, request: bytes) -> bytes:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("request_", [SIGNED, BROKEN_HEADER, b"\x16\x03\x01 not HTTP\r\n\r\n"])
async def test_what_is_no_http_is_answered_and_not_logged(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Server() as server, Health().listening("127.0.0.1", 0) as health:
        for url in (server.url, health):
            assert b" 400 " in await answered(url, request_)
    assert not [record for record in caplog.records if record.exc_info], caplog.text
    assert "ignature" not in caplog.text
