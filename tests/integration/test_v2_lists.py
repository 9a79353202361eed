"""Content discovery at `/v2/`: tags and referrers, their pages and their filter."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.v2_calls import V2, Answer, descriptor, digest_of, image, index
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from transfer.server import Server

SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(auth=False) as running:
        yield running


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2]:
    async with V2(server.url) as calls:
        yield calls


def following(answer: Answer) -> str:
    """Where the next page is."""
    place, _, relation = answer.headers["Link"].partition(">; ")
    assert relation == 'rel="next"'
    return place.removeprefix("<")


async def tag_many(v2: V2, *tags: str) -> None:
    document = await v2.image(tags[0])
    for tag in tags[1:]:
        await v2.manifest(document, tag)


async def test_tags_are_listed_in_the_order_of_their_bytes(v2: V2) -> None:
    tags = ["b", "a", "B", "A", "10", "9", "_x", "a.b", "a-b"]
    random.Random(3).shuffle(tags)
    await tag_many(v2, *tags)
    listed = await v2("GET", "app/tags/list")
    assert (listed.status, listed.json) == (200, {"name": "app", "tags": sorted(tags)})
    assert "Link" not in listed.headers


async def test_pages_of_tags_are_linked(server: Server, v2: V2) -> None:
    await tag_many(v2, "a", "b", "c", "d", "e")
    first = await v2("GET", "app/tags/list", query=[("n", "2")])
    second = await v2("GET", following(first))
    third = await v2("GET", following(second))
    assert [page.json["tags"] for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert "Link" not in third.headers
    assert server.requests.count("ListTags", 200) == 3


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ({"last": "b"}, ["c", "d"]),
        ({"last": "bb"}, ["c", "d"]),
        ({"last": "b", "n": "1"}, ["c"]),
        ({"last": "z"}, []),
        ({"n": "0"}, []),
        ({"n": "4"}, ["a", "b", "c", "d"]),
        ({"n": "999999"}, ["a", "b", "c", "d"]),
    ],
)
async def test_a_list_begins_behind_last_and_has_n_tags(v2: V2, query: dict[str, str], tags: list[str]) -> None:
    await tag_many(v2, "a", "b", "c", "d")
    listed = await v2("GET", "app/tags/list", query=list(query.items()))
    assert (listed.status, listed.json["tags"]) == (200, tags)
    assert ("Link" in listed.headers) == (query.get("n") == "1")


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "", "9" * 30, "\u0663"])
async def test_an_n_that_is_no_number_is_refused(v2: V2, count: str) -> None:
    await v2.start()
    refused = await v2("GET", "app/tags/list", query=[("n", count)])
    assert (refused.status, refused.code) == (400, "UNSUPPORTED")


async def test_a_repository_without_tags_has_an_empty_list(v2: V2) -> None:
    await v2.start()
    assert (await v2("GET", "app/tags/list")).json == {"name": "app", "tags": []}
    assert (await v2("GET", "absent/tags/list")).code == "NAME_UNKNOWN"


async def attach(v2: V2, subject: bytes, name: str, **members: Any) -> bytes:
    """Push a manifest whose subject is another one; returns it."""
    await v2.blob(b"{}")
    document = image(b"{}", subject=descriptor(subject, OCI_MANIFEST), annotations={"name": name}, **members)
    answer = await v2.manifest(document, digest_of(document))
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, digest_of(subject))
    return document


def shown(document: bytes, artifact_type: str, name: str) -> dict[str, Any]:
    return descriptor(document, OCI_MANIFEST) | {"artifactType": artifact_type, "annotations": {"name": name}}


async def test_referrers_are_shown_with_type_and_annotations(v2: V2) -> None:
    subject = await v2.image("v1")
    signature = await attach(v2, subject, "one", artifactType=SIGNATURE)
    plain = await attach(v2, subject, "two")
    listed = await v2("GET", f"app/referrers/{digest_of(subject)}")
    assert (listed.status, listed.headers["Content-Type"]) == (200, OCI_INDEX)
    assert (listed.json["schemaVersion"], listed.json["mediaType"]) == (2, OCI_INDEX)
    expected = [shown(signature, SIGNATURE, "one"), shown(plain, OCI_CONFIG, "two")]
    assert sorted(listed.json["manifests"], key=str) == sorted(expected, key=str)
    assert "OCI-Filters-Applied" not in listed.headers


async def test_referrers_are_filtered_by_artifact_type(v2: V2) -> None:
    subject = await v2.image("v1")
    await attach(v2, subject, "one", artifactType=SIGNATURE)
    sbom = await attach(v2, subject, "two", artifactType=SBOM)
    listed = await v2("GET", f"app/referrers/{digest_of(subject)}", query=[("artifactType", SBOM)])
    assert listed.headers["OCI-Filters-Applied"] == "artifactType"
    assert listed.json["manifests"] == [shown(sbom, SBOM, "two")]


async def test_a_subject_may_come_later_and_go_first(v2: V2) -> None:
    await v2.blob(b"{}")
    subject = image(b"{}")
    referrer = await attach(v2, subject, "early")
    assert (await v2.manifest(subject, "v1")).status == 201
    await v2("DELETE", f"app/manifests/{digest_of(subject)}")
    place = f"app/referrers/{digest_of(subject)}"
    assert [found["digest"] for found in (await v2("GET", place)).json["manifests"]] == [digest_of(referrer)]
    await v2("DELETE", f"app/manifests/{digest_of(referrer)}")
    assert (await v2("GET", place)).json["manifests"] == []


async def test_an_index_refers_too_and_has_no_type_of_its_own(v2: V2) -> None:
    subject = await v2.image("v1")
    document = index(subject, subject=descriptor(subject, OCI_MANIFEST))
    answer = await v2.manifest(document, "listed", kind=OCI_INDEX)
    assert answer.headers["OCI-Subject"] == digest_of(subject)
    (found,) = (await v2("GET", f"app/referrers/{digest_of(subject)}")).json["manifests"]
    assert found == descriptor(document, OCI_INDEX)


@pytest.mark.parametrize("name", ["app", "absent"])
async def test_what_has_no_referrers_has_an_empty_index(v2: V2, name: str) -> None:
    await v2.start("app")
    listed = await v2("GET", f"{name}/referrers/{digest_of(b'x')}")
    assert (listed.status, listed.json["manifests"]) == (200, [])


async def test_referrers_of_what_is_no_digest_are_refused(v2: V2) -> None:
    assert (await v2("GET", "app/referrers/v1")).code == "DIGEST_INVALID"


async def test_a_page_of_referrers_fits_into_a_manifest(v2: V2) -> None:
    subject = await v2.image("v1")
    large = {"note": "x" * 1_500_000}
    await v2.blob(b"{}")
    for number in range(5):
        notes = large | {"n": str(number)}
        document = image(b"{}", subject=descriptor(subject, OCI_MANIFEST), artifactType=SBOM, annotations=notes)
        assert (await v2.manifest(document, digest_of(document))).status == 201
    pages = [await v2("GET", f"app/referrers/{digest_of(subject)}", query=[("artifactType", SBOM)])]
    while "Link" in pages[-1].headers:
        pages.append(await v2("GET", following(pages[-1])))
    assert [len(page.json["manifests"]) for page in pages] == [2, 2, 1]
    assert all(len(page.body) <= 4 * 1024 * 1024 for page in pages)
    assert len({entry["digest"] for page in pages for entry in page.json["manifests"]}) == 5


async def test_repositories_are_listed_in_linked_pages(v2: V2) -> None:
    for name in ("c/d", "a", "b"):
        await v2.image("v1", name=name)
    first = await v2("GET", "/v2/_catalog", query=[("n", "2")])
    second = await v2("GET", following(first))
    assert [page.json["repositories"] for page in (first, second)] == [["a", "b"], ["c/d"]]
    assert "Link" not in second.headers
