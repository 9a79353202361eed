"""Blobs at `/v2/`: each way to push them, mounts, reads of a range, and deletion; cases of the conformance suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.v2_calls import V2, digest_of
from transfer.server import Server

CONTENT = bytes(range(256)) * 8


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(auth=False, data=tmp_path / "data") as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("content", [CONTENT, b"{}", b""])
async def test_a_blob_is_pushed_by_post_and_put(v2: V2, algorithm: str, content: bytes) -> None:
    digest = digest_of(content, algorithm)
    answer = await v2.finish(await v2.start(), digest, content)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    found = await v2("GET", answer.headers["Location"])
    assert (found.status, found.body, found.headers["Docker-Content-Digest"]) == (200, content, digest)
    assert found.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_blob_is_pushed_by_one_post(server: Server, v2: V2, algorithm: str) -> None:
    digest = digest_of(CONTENT, algorithm)
    answer = await v2("POST", "app/blobs/uploads/", CONTENT, query=[("digest", digest)])
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/app/blobs/{digest}")
    assert (await v2("HEAD", f"app/blobs/{digest}")).headers["Content-Length"] == "2048"
    assert server.requests.count("PostBlob", 201) == len(server.requests.of("PostBlob")) == 1


async def test_another_algorithm_than_announced_is_taken_too(v2: V2) -> None:
    location = await v2.start(**{"digest-algorithm": "sha512"})
    assert (await v2("PATCH", location, CONTENT)).status == 202
    assert (await v2.finish(location, digest_of(CONTENT))).status == 201


@pytest.mark.parametrize("digest", ["sha256:abc", "md5:" + "0" * 32, "", "x"])
async def test_a_digest_that_is_none_is_refused(v2: V2, digest: str) -> None:
    location = await v2.start()
    answers = [
        await v2.finish(location, digest, CONTENT),
        await v2("POST", "app/blobs/uploads/", CONTENT, query=[("digest", digest)]),
        await v2("POST", "app/blobs/uploads/", query=[("mount", digest)]),
        await v2("POST", "app/blobs/uploads/", query=[("digest-algorithm", digest)]),
    ]
    assert [(answer.status, answer.code) for answer in answers] == [(400, "DIGEST_INVALID")] * 4


async def test_content_with_another_digest_is_refused_and_dropped(server: Server, v2: V2, tmp_path: Path) -> None:
    other, location = digest_of(b"other"), await v2.start()
    posted = await v2("POST", "app/blobs/uploads/", CONTENT, query=[("digest", other)])
    put = await v2.finish(location, other, CONTENT)
    assert [(answer.status, answer.code) for answer in (posted, put)] == [(400, "DIGEST_INVALID")] * 2
    assert (await v2("GET", f"app/blobs/{other}")).code == "BLOB_UNKNOWN"
    assert (await v2("GET", location)).code == "BLOB_UPLOAD_UNKNOWN"
    assert list((tmp_path / "data" / "uploads").iterdir()) == []


async def test_head_tells_the_size_without_a_body(v2: V2) -> None:
    digest = await v2.blob(CONTENT)
    head = await v2("HEAD", f"app/blobs/{digest}", Range="bytes=0-1")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "2048")
    assert head.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("500-1499", 500, 1499), ("500-", 500, 2047), ("-500", 1548, 2047), ("2000-9999", 2000, 2047)],
)
async def test_a_range_is_sent_as_206(server: Server, v2: V2, asked: str, first: int, last: int) -> None:
    digest = await v2.blob(CONTENT)
    found = await v2("GET", f"app/blobs/{digest}", Range=f"bytes={asked}")
    assert (found.status, found.body) == (206, CONTENT[first : last + 1])
    assert found.headers["Content-Range"] == f"bytes {first}-{last}/2048"
    (record,) = server.requests.of("GetBlob")
    assert (record.status, record.digest) == (206, digest)
    assert (record.first_byte, record.last_byte, record.blob_bytes) == (first, last, last - first + 1)


@pytest.mark.parametrize("asked", ["500-0", "5000-10000", "2048-"])
async def test_a_range_outside_of_the_blob_is_416(v2: V2, asked: str) -> None:
    digest = await v2.blob(CONTENT)
    found = await v2("GET", f"app/blobs/{digest}", Range=f"bytes={asked}")
    assert (found.status, found.headers["Content-Range"]) == (416, "bytes */2048")


async def test_a_blob_is_mounted_from_the_repository_that_is_named(server: Server, v2: V2) -> None:
    digest = await v2.blob(CONTENT, "one")
    answer = await v2("POST", "two/blobs/uploads/", query=[("mount", digest), ("from", "one")])
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/two/blobs/{digest}")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert (await v2("GET", f"two/blobs/{digest}")).body == CONTENT
    assert sum(record.blob_bytes for record in server.requests.of("MountBlob")) == 0


async def test_a_blob_is_mounted_from_any_repository_where_none_is_named(v2: V2) -> None:
    digest = await v2.blob(CONTENT, "one")
    assert (await v2("POST", "two/blobs/uploads/", query=[("mount", digest)])).status == 201
    assert (await v2("HEAD", f"two/blobs/{digest}")).status == 200


@pytest.mark.parametrize("source", ["one", "empty", "absent", "NO NAME"])
async def test_what_cannot_be_mounted_is_an_upload(server: Server, v2: V2, source: str) -> None:
    await v2.blob(b"other", "one")
    await v2.blob(CONTENT, "elsewhere")
    await v2.start("empty")
    answer = await v2("POST", "two/blobs/uploads/", query=[("mount", digest_of(CONTENT)), ("from", source)])
    assert answer.status == 202
    assert (await v2("HEAD", f"two/blobs/{digest_of(CONTENT)}")).status == 404
    assert (await v2.finish(answer.headers["Location"], digest_of(CONTENT), CONTENT)).status == 201
    assert server.requests.count("MountBlob", 202) == 1


async def test_a_deleted_blob_is_gone_from_its_repository_alone(v2: V2, tmp_path: Path) -> None:
    digest = await v2.blob(CONTENT, "one")
    assert await v2.blob(CONTENT, "two") == digest
    assert (await v2("DELETE", f"one/blobs/{digest}")).status == 202
    assert [(await v2("HEAD", f"{name}/blobs/{digest}")).status for name in ("one", "two")] == [404, 200]
    assert (await v2("DELETE", f"one/blobs/{digest}")).code == "BLOB_UNKNOWN"
    assert (await v2("DELETE", f"two/blobs/{digest}")).status == 202
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []


async def test_a_blob_that_the_repository_has_may_be_pushed_again(v2: V2) -> None:
    assert await v2.blob(CONTENT) == await v2.blob(CONTENT)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_blob_that_is_not_there_is_404(v2: V2, method: str) -> None:
    await v2.start()
    assert (await v2(method, f"app/blobs/{digest_of(b'absent')}")).status == 404
    assert (await v2(method, f"nowhere/blobs/{digest_of(b'absent')}")).status == 404
