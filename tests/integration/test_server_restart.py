"""What the embedded registry keeps when it stops, in peace or by SIGKILL."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.server_calls import Calls, Refused, begin_part, digest_of
from transfer.errors import InvalidConfig
from transfer.server import Server

MIB = 1024 * 1024
PROGRAM = """
import asyncio, pathlib, sys
from transfer.server import Server
async def main():
    async with Server(data=pathlib.Path(sys.argv[1]), auth=False) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def serving(data: Path, upload_ttl: float = 3600) -> AsyncIterator[Calls]:
    async with Server(data=data, auth=False, upload_ttl=upload_ttl) as server, Calls(server.url) as call:
        yield call


@asynccontextmanager
async def killed(data: Path) -> AsyncIterator[tuple[str, Calls]]:
    """A server in a process of its own that is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(data), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with Calls(url) as call:
            yield url, call
    finally:
        process.kill()
        await process.communicate()


async def test_a_restart_keeps_repositories_layers_images_tags_and_policies(tmp_path: Path) -> None:
    async with serving(tmp_path) as call:
        await call("CreateRepository", imageTagMutability="IMMUTABLE")
        manifest = await call.image("v1")
        await call("SetRepositoryPolicy", policyText='{"Statement":[{}]}')
        before = [await call(name) for name in ("DescribeImages", "GetRepositoryPolicy")]
    async with serving(tmp_path) as call:
        assert [await call(name) for name in ("DescribeImages", "GetRepositoryPolicy")] == before
        got = await call("BatchGetImage", imageIds=[{"imageTag": "v1"}])
        assert got["images"][0]["imageManifest"] == manifest
        assert await call.availability(digest_of(b"{}"), digest_of(b"v1")) == ["AVAILABLE", "AVAILABLE"]


async def test_an_upload_goes_on_after_sigkill_in_the_middle_of_a_part(tmp_path: Path) -> None:
    content = os.urandom(10 * MIB + 5)
    async with killed(tmp_path) as (url, call):
        await call("CreateRepository")
        upload_id = await call.start()
        assert await call.part(upload_id, 0, content[: 5 * MIB]) == 5 * MIB
        writer = await begin_part(url, upload_id, content[5 * MIB : 6 * MIB], promised=5 * MIB)
    writer.close()
    async with serving(tmp_path) as call:
        with pytest.raises(Refused) as caught:
            await call.part(upload_id, 0, b"again")
        first = caught.value.body["lastValidByteReceived"] + 1
        assert first == 5 * MIB
        first = await call.part(upload_id, first, content[first : first + 5 * MIB])
        await call.part(upload_id, first, content[first:])
        assert (await call.complete(upload_id, digest_of(content)))["layerDigest"] == digest_of(content)


async def test_a_completed_layer_outlives_sigkill(tmp_path: Path) -> None:
    async with killed(tmp_path) as (_, call):
        await call("CreateRepository")
        await call.image("v1")
    async with serving(tmp_path) as call:
        url = (await call("GetDownloadUrlForLayer", layerDigest=digest_of(b"v1")))["downloadUrl"]
        async with call._session.get(url) as reply:
            assert (reply.status, await reply.read()) == (200, b"v1")


async def test_bytes_behind_the_last_answered_part_do_not_count(tmp_path: Path) -> None:
    async with serving(tmp_path) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        await call.part(upload_id, 0, b"answered")
    with (tmp_path / "uploads" / upload_id).open("ab") as file:
        file.write(b"written, but killed before it was recorded")
    async with serving(tmp_path) as call:
        assert (await call.complete(upload_id, digest_of(b"answered")))["layerDigest"] == digest_of(b"answered")


async def test_a_kill_between_keeping_a_layer_and_recording_it_is_harmless(tmp_path: Path) -> None:
    async with serving(tmp_path) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        await call.part(upload_id, 0, b"layer")
    upload, encoded = tmp_path / "uploads" / upload_id, digest_of(b"layer").partition(":")[2]
    blob = tmp_path / "blobs" / "sha256" / encoded[:2] / encoded
    blob.parent.mkdir(parents=True)
    blob.hardlink_to(upload)
    async with serving(tmp_path) as call:
        assert await call.availability(digest_of(b"layer")) == ["UNAVAILABLE"]
        await call.complete(upload_id, digest_of(b"layer"))
    assert blob.read_bytes() == b"layer"
    assert [path.name for path in blob.parent.iterdir()] == [encoded]


async def test_an_expired_upload_is_gone_and_swept(tmp_path: Path) -> None:
    async with serving(tmp_path) as call:
        await call("CreateRepository")
        upload_ids = [await call.start(), await call.start()]
        for upload_id in upload_ids:
            await call.part(upload_id, 0, b"part")
    async with serving(tmp_path, upload_ttl=0.001) as call:
        with pytest.raises(Refused, match="UploadNotFoundException"):
            await call.part(upload_ids[0], 4, b"more")
        assert list((tmp_path / "uploads").iterdir()) == []


async def test_an_upload_expires_while_the_server_runs(tmp_path: Path) -> None:
    async with serving(tmp_path, upload_ttl=0.2) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        await call.part(upload_id, 0, b"part")
        await asyncio.sleep(0.25)
        with pytest.raises(Refused, match="UploadNotFoundException"):
            await call.part(upload_id, 4, b"more")
        await call.start()
        assert list((tmp_path / "uploads").iterdir()) == []


async def test_deleting_the_last_repository_with_a_layer_deletes_its_file(tmp_path: Path) -> None:
    async with serving(tmp_path) as call:
        for name in ("app", "other"):
            await call("CreateRepository", repositoryName=name)
        digest = await call.upload(b"shared")
        upload_id = (await call("InitiateLayerUpload", repositoryName="other"))["uploadId"]
        part = {"partFirstByte": 0, "partLastByte": 5, "layerPartBlob": "c2hhcmVk"}
        await call("UploadLayerPart", repositoryName="other", uploadId=upload_id, **part)
        await call("CompleteLayerUpload", repositoryName="other", uploadId=upload_id, layerDigests=[digest])
        await call("DeleteRepository", repositoryName="other")
        assert await call.availability(digest) == ["AVAILABLE"]
        assert [path.is_file() for path in (tmp_path / "blobs").glob("*/*/*")] == [True]
        await call("DeleteRepository", force=True)
        assert list((tmp_path / "blobs").glob("*/*/*")) == []


async def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(InvalidConfig, match="another server is using it"):
            await Server(data=tmp_path).__aenter__()


@pytest.mark.parametrize("content", ["not a database, but long enough to be read as one" * 10, None])
async def test_a_data_folder_of_something_else_is_refused(tmp_path: Path, content: str | None) -> None:
    database = tmp_path / "registry.sqlite"
    if content is None:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA user_version=99")
        connection.close()
    else:
        database.write_text(content)
    with pytest.raises(InvalidConfig, match=r"registry\.sqlite"):
        await Server(data=tmp_path).__aenter__()
