"""The embedded registry over a socket: whatever a request holds, the answer is no fault of the server's."""

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from transfer import Server

ZEROS = "sha256:" + "0" * 64
PATHS = [
    "/",
    "/v2/",
    "/v2/app/manifests/v1",
    f"/v2/app/blobs/{ZEROS}",
    "/v2/app/blobs/uploads/",
    "/v2/app/blobs/uploads/x",
    "/v2/_catalog",
    "/v2/app/tags/list",
    f"/v2/app/referrers/{ZEROS}",
    "/v2/token",
    f"/layers/app/{ZEROS.replace(':', '/')}",
]
PARAMETERS = ["n", "last", "mount", "from", "digest", "state", "scope", "service"]
VALUES = ["", "%ff", "%00", "-1", "9" * 20, "sha256:x", ZEROS, "a", "%ed%b3%bf"]
HEADERS = ["Authorization", "Content-Range", "Range", "Content-Type", "Accept", "Host", "If-None-Match", "X-Amz-Target"]
HEADERS += ["X-Amz-Date", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Accept-Encoding", "Cookie"]
WORDS = [b"Basic ", b"Bearer ", b"AWS4-HMAC-SHA256 ", b"\xff", b"\xc3\xa9", b"bytes=", b"0-", b"9" * 25 + b"-1", b"-5"]
WORDS += [b"AmazonEC2ContainerRegistry_V20150921.", b"PutImage", b"application/json", b"dHJhbnNmZXI6dHJhbnNmZXI="]
WORDS += [b"chunked", b"*/*", b"q=zz", b";", b"=", b",", b"5", b"charset=\xff", b"20260101T000000Z"]
BODIES = [
    b"",
    b"{}",
    b'{"a":"\\ud800"}',
    b"[]",
    b"null",
    b'{"repositoryName":1}',
    b'{"registryId":"\\udcff"}',
    b"\xff\0",
]
OPERATIONS = [b"DescribeRepositories", b"PutImage", b"BatchGetImage", b"CreateRepository", b"UploadLayerPart", b"\xff"]


def request_by(chance: random.Random) -> bytes:
    path, body = chance.choice(PATHS), chance.choice(BODIES)
    query = "&".join(f"{chance.choice(PARAMETERS)}={chance.choice(VALUES)}" for _ in range(chance.randrange(3)))
    headers = {b"Host": b"127.0.0.1", b"Content-Length": str(len(body)).encode()}
    if chance.random() < 0.5:
        headers[b"Authorization"] = b"Basic dHJhbnNmZXI6dHJhbnNmZXI="
    if path == "/":
        headers[b"X-Amz-Target"] = b"AmazonEC2ContainerRegistry_V20150921." + chance.choice(OPERATIONS)
    for _ in range(chance.randrange(4)):
        words = (chance.choice(WORDS) for _ in range(chance.randrange(1, 4)))
        headers[chance.choice(HEADERS).encode()] = b"".join(words)
    method = chance.choice(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    lines = [f"{method} {path}?{query} HTTP/1.1".encode(), *(b": ".join(pair) for pair in headers.items())]
    return b"\r\n".join((*lines, b"", body))


async def status_of(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        # One whose body never comes whole is not answered.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return (await reader.readline())[9:12]
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("auth", [True, False])
@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])])
async def test_any_request_is_answered(auth: bool, count: int, caplog: pytest.LogCaptureFixture) -> None:
    chance, found = random.Random(count), Counter[bytes]()
    async with Server(auth=auth) as server:
        port = int(server.url.rpartition(":")[2])
        for _ in range(count):
            request = request_by(chance)
            status = await status_of(port, request)
            assert not status.startswith(b"5"), request
            found[status] += 1
    assert found.total() - found[b""] > 0.9 * count
    assert {b"200", b"400", b"404", b"405"} <= found.keys()
    assert not [record for record in caplog.records if record.exc_info], caplog.text
