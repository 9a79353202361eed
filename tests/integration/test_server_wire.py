"""The embedded registry on the wire: its log, its memory, what it does with bad requests, and how it stops."""

import asyncio
import base64
import io
import json
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.server_calls import PREFIX, Calls, Refused, begin_part, digest_of
from transfer.server import RequestRecord, Server

MIB = 1024 * 1024


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False) as running:
        yield running


@pytest.fixture
async def call(server: Server) -> AsyncIterator[Calls]:
    async with Calls(server.url) as calls:
        await calls("CreateRepository")
        server.requests.clear()
        yield calls


async def until_logged(server: Server, operation: str) -> RequestRecord:
    for _ in range(500):
        if found := server.requests.of(operation):
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError(f"{operation} never reached the log")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_log_says_what_each_request_was_about(server: Server, call: Calls) -> None:
    manifest = await call.image("v1")
    names = [record.operation for record in server.requests]
    assert names == ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"] * 2 + ["PutImage"]
    part, put = server.requests.of("UploadLayerPart")[1], server.requests[-1]
    upload_id = server.requests.of("InitiateLayerUpload")[1].upload_id
    assert part == RequestRecord(
        operation="UploadLayerPart",
        repository="app",
        status=200,
        upload_id=upload_id,
        first_byte=0,
        last_byte=1,
        blob_bytes=2,
    )
    assert (put.digest, put.tag) == (digest_of(manifest.encode()), "v1")


async def test_the_log_has_refused_requests_too(server: Server, call: Calls) -> None:
    with pytest.raises(Refused):
        await call("PutImage", repositoryName="absent", imageManifest="{}", imageTag="v1")
    (record,) = server.requests
    assert (record.status, record.code) == (400, "RepositoryNotFoundException")
    assert (record.repository, record.tag) == ("absent", "v1")
    assert server.requests.count("PutImage", 200) == 0


@pytest.mark.parametrize("abort", [False, True])
async def test_the_log_counts_the_bytes_of_a_client_that_vanished(server: Server, call: Calls, abort: bool) -> None:
    upload_id = await call.start()
    writer = await begin_part(server.url, upload_id, bytes(3 * MIB), promised=5 * MIB)
    await asyncio.sleep(0.2)  # all of it is on the way
    if abort:
        writer.transport.abort()
    else:
        writer.close()
    record = await until_logged(server, "UploadLayerPart")
    assert (record.status, record.upload_id, record.first_byte, record.last_byte) == (499, upload_id, 0, 5 * MIB - 1)
    assert 2 * MIB < record.blob_bytes <= 3 * MIB
    assert await call.part(upload_id, 0, b"from the start") == 14


async def test_a_part_is_never_in_memory(call: Calls) -> None:
    upload_id = await call.start()
    piece = base64.b64encode(bytes(48 * 1024))
    last = 20 * MIB - 1
    members = f'{{"repositoryName":"app","uploadId":"{upload_id}","partFirstByte":0,"partLastByte":{last}'

    async def body() -> AsyncIterator[bytes]:
        yield f'{members},"layerPartBlob":"'.encode()
        for _ in range(20 * MIB // (48 * 1024)):
            yield piece
        yield base64.b64encode(bytes(20 * MIB % (48 * 1024))) + b'"}'

    tracemalloc.start()
    try:
        reply = await call.send("UploadLayerPart", body())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply["lastByteReceived"] == last
    assert peak < 4 * MIB


async def test_a_stalled_part_holds_nobody_up(server: Server, call: Calls) -> None:
    upload_id = await call.start()
    writer = await begin_part(server.url, upload_id, bytes(MIB), promised=5 * MIB)
    async with asyncio.timeout(2):
        assert await call.part(upload_id, 0, b"other") == 5
        assert await call.availability(digest_of(b"x")) == ["UNAVAILABLE"]
    writer.close()
    await writer.wait_closed()


async def test_equal_parts_at_once_are_accepted_once(call: Calls) -> None:
    upload_id = await call.start()
    replies = await asyncio.gather(*(call.part(upload_id, 0, b"same") for _ in range(5)), return_exceptions=True)
    assert sorted(reply.code if isinstance(reply, Refused) else str(reply) for reply in replies) == [
        "4",
        *["InvalidLayerPartException"] * 4,
    ]
    await call.complete(upload_id, digest_of(b"same"))


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("CreateRepository", b"{", "SerializationException"),
        ("CreateRepository", b"", "SerializationException"),
        ("CreateRepository", b'{"repositoryName":5}', "SerializationException"),
        ("CreateRepository", b"{}", "InvalidParameterException"),
        ("CreateRepository", b"[" * 100_000, "SerializationException"),
        ("UploadLayerPart", b'{"layerPartBlob":"!!!!"}', "SerializationException"),
        ("UploadLayerPart", b'{"repositoryName":"app","layerPartBlob":null}', "InvalidParameterException"),
        ("UploadLayerPart", b'{"layerPartBlob":"YWJj"}', "InvalidParameterException"),
        ("Nothing", b"{}", "UnknownOperationException"),
    ],
)
async def test_a_malformed_request_is_refused(call: Calls, operation: str, body: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await call.send(operation, body)
    assert (caught.value.code, caught.value.status) == (code, 400)


async def test_a_body_is_not_unpacked(call: Calls) -> None:
    with pytest.raises(Refused, match="SerializationException"):
        await call.send("CreateRepository", b"\x1f\x8b\x08\x00", **{"Content-Encoding": "gzip"})


async def test_a_body_that_is_too_large_is_refused_before_its_end(call: Calls) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MIB)

    with pytest.raises((Refused, aiohttp.ClientError)) as caught:
        await call.send("PutImage", endless())
    assert not isinstance(caught.value, Refused) or caught.value.status == 413


async def test_answers_have_the_headers_of_the_protocol(server: Server) -> None:
    headers = {"X-Amz-Target": f"{PREFIX}DescribeRepositories"}
    async with aiohttp.ClientSession() as session, session.post(server.url, data=b"{}", headers=headers) as reply:
        assert reply.headers["Content-Type"] == "application/x-amz-json-1.1"
        assert len(reply.headers["x-amzn-RequestId"]) == 36
        assert json.loads(await reply.read()) == {"repositories": []}


async def test_without_a_signature_nothing_is_answered() -> None:
    async with Server() as server, Calls(server.url) as call:
        with pytest.raises(Refused, match="MissingAuthenticationTokenException"):
            await call("CreateRepository")


async def test_smaller_parts_are_enough_where_the_registry_asks_for_them() -> None:
    async with Server(auth=False, part_size=4) as server, Calls(server.url) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        await call.part(upload_id, 0, b"1234")
        await call.part(upload_id, 4, b"5")
        await call.complete(upload_id, digest_of(b"12345"))
        assert server.requests.count("CompleteLayerUpload", 200) == 1


async def test_the_url_leads_to_a_server_that_listens_everywhere() -> None:
    async with Server(host="0.0.0.0", auth=False) as server, Calls(server.url) as call:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.environment["AWS_ENDPOINT_URL_ECR"] == server.url
        assert await call("DescribeRepositories") == {"repositories": []}


async def test_stopping_cuts_off_requests_and_leaves_nothing(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with Server(data=tmp_path, auth=False) as server:
        async with Calls(server.url) as call:
            await call("CreateRepository")
            upload_id = await call.start()
        writer = await begin_part(server.url, upload_id, bytes(MIB), promised=5 * MIB)
        await asyncio.sleep(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    assert asyncio.all_tasks() == before
    assert server.requests.of("UploadLayerPart")[0].status == 499
    assert names_in(tmp_path) == ["blobs", "lock", "registry.sqlite", "uploads"]
    writer.close()


async def test_a_handler_whose_client_is_gone_ends_with_the_server() -> None:
    content = bytes(5 * MIB)
    async with Server(auth=False) as server, Calls(server.url) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        writer = await begin_part(server.url, upload_id, content, promised=5 * MIB)
        writer.write(b'"}')
        await writer.drain()
        writer.close()
    record = server.requests.of("UploadLayerPart")[0]
    assert record.status in (200, 499)


async def test_a_large_part_without_a_signature_gets_its_answer() -> None:
    async with Server() as strict, Calls(strict.url) as call:
        with pytest.raises(Refused, match="MissingAuthenticationTokenException"):
            await call.send("UploadLayerPart", io.BytesIO(bytes(28 * MIB)))


async def test_a_server_without_a_data_folder_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with Server(auth=False) as server, Calls(server.url) as call:
        await call("CreateRepository")
        assert len(names_in(tmp_path)) == 1
    assert names_in(tmp_path) == []
