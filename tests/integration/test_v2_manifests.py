"""Manifests at `/v2/`: put, get, head and delete, what they may name, and what is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.v2_calls import V2, descriptor, digest_of, image, index
from transfer.model.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from transfer.server import Server

MIB = 1024 * 1024
EXAMPLE = "application/vnd.example.thing.v1+json"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False) as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_manifest_is_read_by_tag_and_by_digest(v2: V2, method: str) -> None:
    document = await v2.image("v1")
    for reference in ("v1", digest_of(document)):
        found = await v2(method, f"app/manifests/{reference}")
        assert (found.status, found.body) == (200, document if method == "GET" else b"")
        assert found.headers["Docker-Content-Digest"] == digest_of(document)
        assert (found.headers["Content-Type"], found.headers["Content-Length"]) == (OCI_MANIFEST, str(len(document)))


async def test_a_put_answers_where_the_manifest_is(v2: V2) -> None:
    await v2.blob(b"{}")
    document = image(b"{}")
    answer = await v2.manifest(document, "v1")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest_of(document))
    assert answer.headers["Location"] == f"/v2/app/manifests/{digest_of(document)}"
    assert "OCI-Subject" not in answer.headers


async def test_a_manifest_of_sha512_names_and_is_named_by_sha512(v2: V2) -> None:
    await v2.blob(b"{}", algorithm="sha512")
    document = image(b"{}", algorithm="sha512")
    digest = digest_of(document, "sha512")
    answer = await v2("PUT", f"app/manifests/{digest}", document, query=[("tag", "v1")], Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert (await v2("HEAD", "app/manifests/v1")).headers["Docker-Content-Digest"] == digest
    assert (await v2("GET", f"app/manifests/{digest_of(document)}")).code == "MANIFEST_UNKNOWN"


async def test_a_put_by_digest_sets_the_tags_of_its_query(server: Server, v2: V2) -> None:
    document = await v2.image("v1")
    tags = [f"t{number}" for number in range(10)]
    query = [("tag", tag) for tag in tags]
    answer = await v2("PUT", f"app/manifests/{digest_of(document)}", document, query=query, Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.headers.getall("OCI-Tag")) == (201, tags)
    assert (await v2("GET", "app/tags/list")).json["tags"] == [*tags, "v1"]


async def test_a_tag_moves_to_what_is_put_under_it(v2: V2) -> None:
    first = await v2.image("v1")
    second = await v2.image("v2")
    assert (await v2.manifest(second, "v1")).status == 201
    assert (await v2("GET", "app/manifests/v1")).body == second
    assert (await v2("GET", f"app/manifests/{digest_of(first)}")).body == first


async def test_an_index_of_an_index_is_taken_children_first(v2: V2) -> None:
    child = await v2.image("child")
    inner = index(child)
    outer = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(inner, OCI_INDEX)]}
    ).encode()
    early = await v2.manifest(outer, "v1", kind=OCI_INDEX)
    assert (early.status, early.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert (await v2.manifest(inner, digest_of(inner), kind=OCI_INDEX)).status == 201
    assert (await v2.manifest(outer, "v1", kind=OCI_INDEX)).status == 201
    assert (await v2.manifest(index(), "empty", kind=OCI_INDEX)).status == 201


async def test_each_blob_that_is_missing_is_an_error_of_its_own(v2: V2) -> None:
    await v2.blob(b"{}")
    refused = await v2.manifest(image(b"{}", b"one", b"two"), "v1")
    assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    missing = [error["detail"]["digest"] for error in refused.json["errors"]]
    assert missing == [digest_of(b"one"), digest_of(b"two")]
    assert (await v2("HEAD", "app/manifests/v1")).status == 404


async def test_a_blob_of_another_repository_is_missing_too(v2: V2) -> None:
    await v2.blob(b"{}", "other")
    assert (await v2.manifest(image(b"{}"), "v1")).code == "MANIFEST_BLOB_UNKNOWN"


async def test_layers_that_live_elsewhere_need_not_be_there(v2: V2) -> None:
    await v2.blob(b"{}")
    away = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    document = image(b"{}", layers=[descriptor(b"away", away) | {"urls": ["https://example.com/away"]}])
    assert (await v2.manifest(document, "v1")).status == 201


@pytest.mark.parametrize(
    "content", [b'{"any":"thing"}', b"not json at all", b"\xc3\xa9", b'{"layers":[{"digest":"x"}]}']
)
async def test_a_manifest_of_an_unknown_type_is_kept_as_it_is(v2: V2, content: bytes) -> None:
    answer = await v2.manifest(content, "v1", kind=f"{EXAMPLE}; charset=utf-8")
    found = await v2("GET", "app/manifests/v1")
    assert (answer.status, found.body, found.headers["Content-Type"]) == (201, content, EXAMPLE)


async def test_unknown_members_travel_untouched(v2: V2) -> None:
    document = await v2.image("v1", extra={"b": 1, "a": [1.0, None]}, annotations={"z": "1", "a": "2"})
    assert (await v2("GET", "app/manifests/v1")).body == document


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "application/json"])
async def test_without_a_telling_type_the_documents_own_counts(v2: V2, kind: str | None) -> None:
    await v2.blob(b"{}")
    document = image(b"{}", mediaType=DOCKER_MANIFEST)
    put = v2("PUT", "app/manifests/v1", document) if kind is None else v2.manifest(document, "v1", kind=kind)
    assert (await put).status == 201
    assert (await v2("HEAD", "app/manifests/v1")).headers["Content-Type"] == DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", OCI_MANIFEST),
        (b"{", OCI_MANIFEST),
        (b"[]", OCI_MANIFEST),
        (b"{}", OCI_MANIFEST),
        (b'{"schemaVersion":1}', OCI_MANIFEST),
        (image(b"{}"), OCI_INDEX),
        (image(b"{}", manifests=[]), OCI_MANIFEST),
        (image(b"{}", mediaType=DOCKER_MANIFEST), OCI_MANIFEST),
        (image(b"{}"), EXAMPLE),
        (b"\xff", EXAMPLE),
        (b"{}", "no/media/type"),
        (b'{"mediaType":"a b/c"}', "application/json"),
    ],
)
async def test_what_is_no_manifest_is_refused(v2: V2, content: bytes, kind: str) -> None:
    await v2.blob(b"{}")
    refused = await v2.manifest(content, "v1", kind=kind)
    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize(("size", "status"), [(4 * MIB, 201), (4 * MIB + 1, 413)])
async def test_a_manifest_has_at_most_4_mib(v2: V2, size: int, status: int) -> None:
    await v2.blob(b"{}")
    small = image(b"{}", annotations={"a": ""})
    document = image(b"{}", annotations={"a": "x" * (size - len(small))})
    assert (len(document), (await v2.manifest(document, "v1")).status) == (size, status)


@pytest.mark.parametrize("reference", ["sha256:baddigest", digest_of(b"other"), "md5:" + "0" * 32])
async def test_a_put_under_another_digest_is_refused(v2: V2, reference: str) -> None:
    await v2.blob(b"{}")
    refused = await v2.manifest(image(b"{}"), reference)
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("tag", [".hidden", "-x", "a" * 129, "a%20b"])
async def test_what_is_no_tag_is_refused(v2: V2, tag: str) -> None:
    await v2.blob(b"{}")
    assert (await v2.manifest(image(b"{}"), tag)).code == "MANIFEST_INVALID"
    assert (await v2("GET", f"app/manifests/{tag}")).code == "MANIFEST_UNKNOWN"


async def test_a_deleted_tag_leaves_the_manifest(server: Server, v2: V2) -> None:
    document = await v2.image("v1")
    assert (await v2("DELETE", "app/manifests/v1")).status == 202
    assert (await v2("HEAD", "app/manifests/v1")).status == 404
    assert (await v2("GET", f"app/manifests/{digest_of(document)}")).body == document
    assert (await v2("DELETE", "app/manifests/v1")).code == "MANIFEST_UNKNOWN"
    assert [record.tag for record in server.requests.of("DeleteTag")] == ["v1", "v1"]


async def test_a_deleted_manifest_takes_its_tags_along(v2: V2) -> None:
    document = await v2.image("v1")
    await v2.manifest(document, "v2")
    assert (await v2("DELETE", f"app/manifests/{digest_of(document)}")).status == 202
    references = ("v1", "v2", digest_of(document))
    assert [(await v2("HEAD", f"app/manifests/{reference}")).status for reference in references] == [404] * 3
    assert (await v2("HEAD", f"app/blobs/{digest_of(b'v1')}")).status == 200


@pytest.mark.parametrize(("name", "code"), [("app", "MANIFEST_UNKNOWN"), ("absent", "NAME_UNKNOWN")])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("reference", ["v9", digest_of(b"x")])
async def test_a_manifest_that_is_not_there_is_404(v2: V2, name: str, code: str, method: str, reference: str) -> None:
    await v2.start("app")
    missing = await v2(method, f"{name}/manifests/{reference}")
    assert (missing.status, missing.code) == (404, code)


async def test_the_log_has_digest_and_tag(server: Server, v2: V2) -> None:
    document = await v2.image("v1")
    await v2("HEAD", "app/manifests/v1")
    reported: list[Any] = [(record.operation, record.tag, record.digest) for record in server.requests][-2:]
    assert reported == [("PutManifest", "v1", digest_of(document)), ("HeadManifest", "v1", digest_of(document))]
