"""The `ecr` dialect of `/v2/`: what ECR's Docker endpoint does its own way, as users saw it."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.v2_calls import V2, descriptor, digest_of, image, index
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transfer.server import Server

MIB = 1024 * 1024
CONTENT = random.Random(5).randbytes(3_000)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False, dialect="ecr", create_on_push=True, part_size=1000) as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


async def test_chunks_are_answered_201_with_a_stale_range(server: Server, v2: V2) -> None:
    location = await v2.start()
    assert location.startswith(f"{server.url}/v2/app/blobs/uploads/")
    for first in (0, 1000, 2000):
        chunk = await v2("PATCH", location, CONTENT[first : first + 1000], Content_Range=f"{first}-{first + 999}")
        assert (chunk.status, chunk.headers["Range"], chunk.headers["Location"]) == (201, "0-999", location)
        assert "Docker-Upload-UUID" not in chunk.headers
    assert (await v2.finish(location, digest_of(CONTENT))).status == 201


async def test_a_restart_on_a_used_session_is_416_in_ecrs_words(v2: V2) -> None:
    location = await v2.start()
    await v2("PATCH", location, CONTENT, Content_Range="0-2999")
    refused = await v2("PATCH", location, CONTENT, Content_Range="0-2999")
    assert (refused.status, refused.code) == (416, "BLOB_UPLOAD_INVALID")
    assert refused.json["errors"][0]["message"] == "First byte of the layer part is 0 instead of 3000"
    assert refused.body.endswith(b"\n")
    assert "Range" not in refused.headers


@pytest.mark.parametrize(("sizes", "status"), [((999, 2001), 400), ((1000, 2000), 201), ((2999, 1), 201)])
async def test_small_chunks_are_found_out_at_the_end(v2: V2, sizes: tuple[int, int], status: int) -> None:
    location = await v2.start()
    assert (await v2("PATCH", location, CONTENT[: sizes[0]])).status == 201
    assert (await v2("PATCH", location, CONTENT[sizes[0] :])).status == 201
    answer = await v2.finish(location, digest_of(CONTENT))
    assert answer.status == status
    if status == 400:
        message = "All layer parts except the last part should be at least 5MB"
        assert answer.json["errors"] == [{"code": "BLOB_UPLOAD_INVALID", "message": message}]


async def test_a_large_chunk_is_one_part_however_it_arrives(v2: V2) -> None:
    content = random.Random(6).randbytes(3 * MIB + 10)
    location = await v2.start()
    assert (await v2("PATCH", location, content)).headers["Range"] == f"0-{3 * MIB + 9}"
    assert (await v2.finish(location, digest_of(content))).status == 201


async def test_other_content_than_named_is_invalid(v2: V2) -> None:
    refused = await v2.finish(await v2.start(), digest_of(b"other"), CONTENT)
    message = "None of the provided layer digests match the calculated layer digest"
    assert (refused.status, refused.json["errors"]) == (400, [{"code": "BLOB_UPLOAD_INVALID", "message": message}])


async def test_a_blob_of_no_bytes_is_accepted_and_not_there(v2: V2) -> None:
    assert (await v2.finish(await v2.start(), digest_of(b""))).status == 201
    await v2.blob(b"{}")
    refused = await v2.manifest(image(b"{}", b""), "v1")
    assert (refused.status, refused.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert refused.json["errors"][0]["message"].startswith(f"Layers with digests '[{digest_of(b'')}]' required")


async def test_a_post_takes_no_blob_and_an_upload_tells_no_status(v2: V2) -> None:
    posted = await v2("POST", "app/blobs/uploads/", CONTENT, query=[("digest", digest_of(CONTENT))])
    assert posted.status == 202
    assert (await v2("GET", posted.headers["Location"])).code == "BLOB_UPLOAD_UNKNOWN"
    assert (await v2.finish(posted.headers["Location"], digest_of(CONTENT), CONTENT)).status == 201


async def test_a_blob_is_read_behind_a_redirect_to_another_host(server: Server, v2: V2) -> None:
    await v2.image("v1")
    digest = digest_of(b"v1")
    moved = await v2("GET", f"app/blobs/{digest}")
    location = moved.headers["Location"]
    assert (moved.status, moved.body) == (307, b"")
    assert location.startswith(server.url.replace("127.0.0.1", "localhost") + "/layers/app/sha256/")
    assert "X-Amz-Signature=" in location
    assert (await v2("HEAD", f"app/blobs/{digest}")).status == 200


@pytest.mark.parametrize("authorization", [None, "Basic eDp5"])
async def test_what_follows_the_redirect_must_leave_its_credentials_behind(v2: V2, authorization: str | None) -> None:
    await v2.image("v1")
    location = (await v2("GET", f"app/blobs/{digest_of(b'v1')}")).headers["Location"]
    headers = {"Authorization": authorization} if authorization else {}
    async with v2.session.get(location, headers=headers) as reply:
        content = await reply.read()
    assert reply.status == (400 if authorization else 200)
    assert (b"Only one auth mechanism allowed" if authorization else b"v1") in content


async def test_a_blob_that_no_image_names_has_no_url(v2: V2) -> None:
    digest = await v2.blob(CONTENT)
    assert (await v2("GET", f"app/blobs/{digest}")).code == "BLOB_UNKNOWN"


async def test_without_another_name_the_content_is_sent_itself(v2: V2) -> None:
    await v2.image("v1")
    found = await v2("GET", f"app/blobs/{digest_of(b'v1')}", Host="registry.test:5000")
    assert (found.status, found.body) == (200, b"v1")


async def test_a_manifest_is_got_without_its_digest(v2: V2) -> None:
    document = await v2.image("v1")
    assert "Docker-Content-Digest" not in (await v2("GET", "app/manifests/v1")).headers
    assert (await v2("HEAD", "app/manifests/v1")).headers["Docker-Content-Digest"] == digest_of(document)


@pytest.mark.parametrize(
    "members",
    [
        {"artifactType": "application/x;version=1"},
        {"layers": [descriptor(b"l", "application/x;version=1")]},
        {"layers": [descriptor(b"l", OCI_LAYER_GZIP) | {"data": "bA=="}]},
        {"config": descriptor(b"{}", OCI_CONFIG) | {"annotations": {"a": "b"}}},
        {"schemaVersion": 1},
    ],
)
async def test_manifests_that_it_dislikes_are_405(v2: V2, members: dict[str, Any]) -> None:
    for content in (b"{}", b"l"):
        await v2.blob(content)
    refused = await v2.manifest(image(b"{}", b"l", **members), "v1")
    message = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
    assert (refused.status, refused.json["errors"]) == (405, [{"code": "UNSUPPORTED", "message": message}])


async def test_a_platform_with_features_is_disliked_too(v2: V2) -> None:
    child = await v2.image("v1")
    entry = descriptor(child, OCI_MANIFEST) | {"platform": {"architecture": "x", "os": "y", "features": ["z"]}}
    assert (await v2.manifest(index(manifests=[entry]), "all", kind=OCI_INDEX)).status == 405
    assert (await v2.manifest(b'{"any":"thing"}', "all", kind="application/vnd.example+json")).status == 405


async def test_an_image_that_is_there_is_pushed_with_success(v2: V2) -> None:
    document = await v2.image("v1")
    for reference in ("v1", digest_of(document)):
        assert (await v2.manifest(document, reference)).status == 201


async def test_an_index_needs_its_images(v2: V2) -> None:
    await v2.start()
    refused = await v2.manifest(index(b"absent"), "v1", kind=OCI_INDEX)
    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")


async def test_what_is_not_there_is_named_in_ecrs_words(v2: V2) -> None:
    await v2.start()
    image_ = (await v2("GET", "app/manifests/v1")).json["errors"][0]
    name = (await v2("GET", "absent/manifests/v1")).json["errors"][0]
    assert (image_["code"], image_["message"]) == ("MANIFEST_UNKNOWN", "Requested image not found")
    absent = "The repository with name 'absent' does not exist in the registry with id '123456789012'"
    assert (name["code"], name["message"]) == ("NAME_UNKNOWN", absent)
    assert (await v2("GET", f"absent/referrers/{digest_of(b'x')}")).status == 404


async def test_an_image_goes_with_its_last_tag_and_not_before_its_index(v2: V2) -> None:
    child = await v2.image("v1")
    await v2.manifest(child, "v2")
    root = index(child)
    await v2.manifest(root, "all", kind=OCI_INDEX)
    assert (await v2("DELETE", "app/manifests/v1")).status == 202
    refused = await v2("DELETE", f"app/manifests/{digest_of(child)}")
    assert (refused.status, refused.code) == (403, "DENIED")
    assert (await v2("DELETE", "app/manifests/all")).status == 202
    assert (await v2("DELETE", "app/manifests/v2")).status == 202
    assert (await v2("DELETE", f"app/manifests/{digest_of(child)}")).code == "MANIFEST_UNKNOWN"
    assert (await v2("DELETE", f"app/blobs/{digest_of(b'v1')}")).status == 405


async def test_tags_come_in_pages_of_100_behind_opaque_tokens(v2: V2) -> None:
    document = await v2.image("t000")
    for number in range(1, 102):
        await v2.manifest(document, f"t{number:03}")
    first = await v2("GET", "app/tags/list")
    assert first.headers["Content-Type"] == "text/plain; charset=utf-8"
    place = first.headers["Link"].removeprefix("<").partition(">")[0]
    assert place.startswith(str(v2.url))
    assert "t099" not in place
    second = await v2("GET", place)
    assert [len(page.json["tags"]) for page in (first, second)] == [100, 2]
    assert "Link" not in second.headers
    assert (await v2("GET", "app/tags/list", query=[("last", "t050")])).code == "UNSUPPORTED"


@pytest.mark.parametrize(
    ("count", "bound"), [("1001", "less than or equal to 1000"), ("0", "greater than or equal to 1")]
)
async def test_a_page_of_tags_has_bounds(v2: V2, count: str, bound: str) -> None:
    await v2.start()
    refused = await v2("GET", "app/tags/list", query=[("n", count)])
    message = f"Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value {bound}'"
    assert (refused.status, refused.json["errors"]) == (405, [{"code": "UNSUPPORTED", "message": message}])


@pytest.mark.parametrize(
    ("enabled", "query", "status"),
    [
        (False, {"from": "one"}, 202),
        (True, {"from": "one"}, 201),
        (True, {}, 202),
        (True, {"from": "bare"}, 202),
        (True, {"from": "absent"}, 202),
    ],
)
async def test_a_blob_is_mounted_only_where_that_is_on_and_an_image_names_it(
    enabled: bool, query: dict[str, str], status: int
) -> None:
    async with (
        Server(auth=False, dialect="ecr", create_on_push=True, blob_mounting=enabled) as server,
        V2(server.url) as v2,
    ):
        await v2.image("v1", "one")
        digest = await v2.blob(b"v1", "bare")
        asked = [("mount", digest), *query.items()]
        assert (await v2("POST", "two/blobs/uploads/", query=asked)).status == status
        assert (await v2("HEAD", f"two/blobs/{digest}")).status == (200 if status == 201 else 404)
