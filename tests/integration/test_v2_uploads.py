"""Uploads in chunks at `/v2/`: order, status, cancelling, broken connections, expiry and memory."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.v2_calls import V2, digest_of
from transfer.server import RequestRecord, Server

MIB = 1024 * 1024
CONTENT = random.Random(7).randbytes(3_000)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False) as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


async def begin(url: str, location: str, content: bytes, promised: int) -> asyncio.StreamWriter:
    """Send the beginning of a PATCH of so many bytes and leave the connection there."""
    place = urlsplit(url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {promised}\r\n\r\n".encode() + content)
    await writer.drain()
    return writer


async def received(v2: V2, location: str, least: int) -> None:
    """Wait until the session has at least so many bytes."""
    for _ in range(500):
        if int((await v2("GET", location)).headers["Range"].removeprefix("0-")) + 1 >= least:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the upload never had {least} bytes")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("in_put", [False, True])
async def test_chunks_make_a_blob(server: Server, v2: V2, algorithm: str, in_put: bool) -> None:
    location = await v2.start()
    for first in (0, 1000):
        chunk = await v2("PATCH", location, CONTENT[first : first + 1000], Content_Range=f"{first}-{first + 999}")
        assert (chunk.status, chunk.headers["Range"]) == (202, f"0-{first + 999}")
        location = chunk.headers["Location"]
    if not in_put:
        location = (await v2("PATCH", location, CONTENT[2000:], Content_Range="2000-2999")).headers["Location"]
    rest = {"data": CONTENT[2000:], "Content_Range": "2000-2999"} if in_put else {}
    digest = digest_of(CONTENT, algorithm)
    assert (await v2.finish(location, digest, **rest)).status == 201  # type: ignore[arg-type] # data among headers
    assert (await v2("GET", f"app/blobs/{digest}")).body == CONTENT
    assert server.requests.of("PatchUpload")[1].first_byte == 1000
    assert sum(record.blob_bytes for record in server.requests if record.operation != "GetBlob") == 3000


async def test_a_chunk_without_a_range_goes_behind_what_is_there(v2: V2) -> None:
    location = await v2.start()
    for first in (0, 1500):
        assert (await v2("PATCH", location, CONTENT[first : first + 1500])).status == 202
    assert (await v2.finish(location, digest_of(CONTENT))).status == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("span", ["0-999", "2000-2999", "999-1998"])
async def test_a_chunk_out_of_order_is_416_and_told_where_to_go_on(v2: V2, method: str, span: str) -> None:
    location = await v2.start()
    await v2("PATCH", location, CONTENT[:1000], Content_Range="0-999")
    query = [("digest", digest_of(CONTENT))] if method == "PUT" else []
    refused = await v2(method, location, CONTENT[1000:2000], query=query, Content_Range=span)
    assert (refused.status, refused.code, refused.headers["Range"]) == (416, "BLOB_UPLOAD_INVALID", "0-999")
    resumed = await v2("PATCH", refused.headers["Location"], CONTENT[1000:], Content_Range="1000-2999")
    assert (await v2.finish(resumed.headers["Location"], digest_of(CONTENT))).status == 201


async def test_status_tells_the_last_byte_and_changes_nothing(v2: V2) -> None:
    location = await v2.start()
    assert (await v2("GET", location)).headers["Range"] == "0-0"
    await v2("PATCH", location, CONTENT)
    for _ in range(2):
        status = await v2("GET", location)
        assert (status.status, status.headers["Range"], status.headers["Location"]) == (204, "0-2999", location)
        assert status.headers["Docker-Upload-UUID"] == location.rpartition("/")[2]


@pytest.mark.parametrize(
    ("span", "code"),
    [
        ("0-9", "SIZE_INVALID"),
        ("0-5000", "SIZE_INVALID"),
        ("bytes 0-2999/*", "BLOB_UPLOAD_INVALID"),
        ("9-0", "BLOB_UPLOAD_INVALID"),
    ],
)
async def test_a_range_that_the_body_is_not_is_refused(v2: V2, span: str, code: str) -> None:
    refused = await v2("PATCH", await v2.start(), CONTENT, Content_Range=span)
    assert (refused.status, refused.code) == (400, code)


@pytest.mark.parametrize(("span", "kept"), [("0-9", "0-0"), ("0-4999", "0-2999")])
async def test_a_body_of_unknown_length_is_measured(v2: V2, span: str, kept: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield CONTENT

    location = await v2.start()
    refused = await v2("PATCH", location, body(), Content_Range=span)
    assert (refused.status, refused.code) == (400, "SIZE_INVALID")
    assert (await v2("GET", location)).headers["Range"] == kept


async def test_a_cancelled_upload_is_gone(v2: V2) -> None:
    location = await v2.start()
    await v2("PATCH", location, CONTENT)
    assert (await v2("DELETE", location)).status == 204
    answers = [await v2(method, location) for method in ("GET", "PATCH", "DELETE")]
    answers.append(await v2.finish(location, digest_of(CONTENT)))
    assert [(answer.status, answer.code) for answer in answers] == [(404, "BLOB_UPLOAD_UNKNOWN")] * 4


async def test_an_upload_is_its_repositorys_alone(v2: V2) -> None:
    location = await v2.start("one")
    await v2.start("two")
    assert (await v2("PATCH", location.replace("/one/", "/two/"), CONTENT)).code == "BLOB_UPLOAD_UNKNOWN"


async def test_what_a_broken_connection_brought_is_kept(server: Server, v2: V2) -> None:
    content = random.Random(8).randbytes(3 * MIB)
    location = await v2.start()
    writer = await begin(server.url, location, content[: 2 * MIB + 5], 3 * MIB)
    await received(v2, location, MIB)
    writer.close()
    await received(v2, location, 2 * MIB + 5)
    await writer.wait_closed()
    at = 2 * MIB + 5
    assert (await v2("PATCH", location, content[at:], Content_Range=f"{at}-{3 * MIB - 1}")).status == 202
    assert (await v2.finish(location, digest_of(content))).status == 201
    assert [record.status for record in server.requests.of("PatchUpload")] == [499, 202]
    assert sum(record.blob_bytes for record in server.requests.of("PatchUpload")) == 3 * MIB


async def test_a_stalled_connection_holds_nobody_up(server: Server, v2: V2) -> None:
    content = random.Random(9).randbytes(2 * MIB)
    location = await v2.start()
    writer = await begin(server.url, location, content[:MIB], 2 * MIB)
    await received(v2, location, MIB)
    async with asyncio.timeout(5):
        assert (await v2("PATCH", location, content[MIB:], Content_Range=f"{MIB}-{2 * MIB - 1}")).status == 202
        writer.write(content[MIB:])
        await writer.drain()
        assert (await v2.finish(location, digest_of(content))).status == 201
    writer.close()
    await writer.wait_closed()


async def test_of_equal_chunks_at_once_one_is_taken(v2: V2) -> None:
    location = await v2.start()
    sent = (v2("PATCH", location, CONTENT, Content_Range="0-2999") for _ in range(5))
    assert sorted([answer.status for answer in await asyncio.gather(*sent)]) == [202, 416, 416, 416, 416]
    assert (await v2.finish(location, digest_of(CONTENT))).status == 201


async def test_an_upload_expires_without_a_new_chunk() -> None:
    async with Server(auth=False, upload_ttl=0.3) as server, V2(server.url) as v2:
        location = await v2.start()
        assert (await v2("PATCH", location, CONTENT)).status == 202
        await asyncio.sleep(0.4)
        assert (await v2("GET", location)).code == "BLOB_UPLOAD_UNKNOWN"


async def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with Server(auth=False, data=tmp_path) as server, V2(server.url) as v2:
        location = await v2.start()
        await v2("PATCH", location, CONTENT[:1000])
    async with Server(auth=False, data=tmp_path) as server, V2(server.url) as v2:
        assert (await v2("GET", location)).headers["Range"] == "0-999"
        await v2("PATCH", location, CONTENT[1000:], Content_Range="1000-2999")
        assert (await v2.finish(location, digest_of(CONTENT))).status == 201


async def test_a_body_is_never_in_memory(v2: V2) -> None:
    piece = bytes(256 * 1024)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield piece

    tracemalloc.start()
    try:
        location = await v2.start()
        assert (await v2("PATCH", location, body())).headers["Range"] == f"0-{64 * MIB - 1}"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * MIB


async def test_the_log_says_what_each_request_was_about(server: Server, v2: V2) -> None:
    location = await v2.start()
    await v2("PATCH", location, CONTENT[:1000])
    await v2.finish(location, digest_of(CONTENT), CONTENT[1000:], Content_Range="1000-2999")
    upload_id = location.rpartition("/")[2]
    assert list(server.requests) == [
        RequestRecord(operation="PostUpload", repository="app", status=202, upload_id=upload_id),
        RequestRecord(
            operation="PatchUpload",
            repository="app",
            status=202,
            upload_id=upload_id,
            first_byte=0,
            last_byte=999,
            blob_bytes=1000,
        ),
        RequestRecord(
            operation="PutUpload",
            repository="app",
            status=201,
            upload_id=upload_id,
            first_byte=1000,
            last_byte=2999,
            blob_bytes=2000,
            digest=digest_of(CONTENT),
        ),
    ]
