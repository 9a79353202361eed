"""Lists of referrers, kept by the client where the registry keeps none."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.distribution_ends import Registry, opened
from tests.support.quirky import QuirkyRegistry, on, refuse
from tests.support.scripted import answer, stall
from transfer.engine.referrers import inspect
from transfer.errors import InvalidManifest, TagImmutable
from transfer.http.settings import RegistrySettings
from transfer.model.descriptor import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES
from transfer.model.manifest import Manifest, as_referrer, parse_manifest
from transfer.registry.oci.referrers_tag import with_referrer
from transfer.testing.images import ARTIFACT, OCI_EMPTY, encode

SUBJECT = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"subject"), size=7)
TAG = SUBJECT.digest.as_tag
EMPTY = Descriptor(media_type=OCI_EMPTY, digest=Digest.of(b"{}"), size=2)


def referrer(number: int = 0, **members: Any) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": EMPTY,
        "layers": [],
        "subject": SUBJECT,
        "annotations": {"n": str(number)},
    }
    return parse_manifest(encode(document | members))


@pytest_asyncio.fixture
async def registry(peer: QuirkyRegistry) -> AsyncIterator[Registry]:
    async with opened(peer.registry, settings=RegistrySettings(plain_http=True)) as ready:
        yield ready


def listed(peer: QuirkyRegistry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(peer.manifests[TAG])["manifests"]
    return found


async def test_a_referrer_is_listed_under_the_tag_of_its_subject(peer: QuirkyRegistry, registry: Registry) -> None:
    one = referrer()

    await registry.target("app").push_manifest(one, tag=None)

    paths = [request.line.split()[:2] for request in peer.requests]
    where = "/v2/app/manifests/"
    assert paths == [["PUT", where + one.digest], ["GET", where + TAG], ["PUT", where + TAG]]
    assert peer.requests[-1].headers["content-type"] == OCI_INDEX
    assert listed(peer) == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": one.digest,
            "size": len(one.raw),
            "artifactType": ARTIFACT,
            "annotations": {"n": "0"},
        }
    ]
    assert await registry.source("app").referrers(SUBJECT) == [as_referrer(one)]


async def test_a_registry_that_answers_with_the_image_itself_lists_no_referrer(
    peer: QuirkyRegistry, registry: Registry
) -> None:
    # GitLab takes `sha256-<hex>` for the digest.
    index = parse_manifest(encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [SUBJECT]}))
    peer.manifests[index.digest] = peer.manifests[index.digest.as_tag] = index.raw

    assert await registry.source("app").referrers(index.descriptor) == []
    assert await registry.source("app").resolve(index.digest) == index.descriptor


async def test_what_does_not_name_the_subject_is_not_its_referrer(peer: QuirkyRegistry, registry: Registry) -> None:
    subject = parse_manifest(encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}))
    named = Descriptor(media_type=OCI_INDEX, digest=subject.digest, size=len(subject.raw))
    one, other = referrer(1, subject=named), referrer(2)
    entries = [Descriptor(media_type=OCI_MANIFEST, digest=two.digest, size=len(two.raw)) for two in (one, other)]
    listing = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*entries, SUBJECT]}
    peer.manifests |= {two.digest: two.raw for two in (subject, one, other)}
    peer.manifests[subject.digest.as_tag] = encode(listing)

    found = await inspect(registry.source("app"), subject.descriptor, referrers=True)

    assert found.referrers == (entries[0],)


async def test_many_at_once_are_all_listed(peer: QuirkyRegistry, registry: Registry) -> None:
    ones = [referrer(number) for number in range(12)]

    async with asyncio.TaskGroup() as group:
        for one in ones:
            # Each copy of an engine has a target of its own, and all share a client.
            group.create_task(registry.target("app").push_manifest(one, tag=None))

    assert {entry["digest"] for entry in listed(peer)} == {one.digest for one in ones}
    assert peer.lines.count("GET manifest") == 12


async def test_one_that_is_listed_already_changes_nothing(peer: QuirkyRegistry, registry: Registry) -> None:
    target = registry.target("app")
    await target.push_manifest(referrer(), tag=None)
    before = peer.manifests[TAG]
    peer.requests.clear()

    await target.push_manifest(referrer(), tag="signature")

    assert peer.lines == ["PUT manifest", "GET manifest"]
    assert peer.manifests[TAG] == before


async def test_one_that_was_pushed_by_a_run_that_was_killed_then_is_listed_later(
    peer: QuirkyRegistry, registry: Registry
) -> None:
    one, other, target = referrer(), referrer(1), registry.target("app")
    peer.quirk = on("GET manifest", stall, times=1)
    killed = asyncio.create_task(target.push_manifest(one, tag=None))
    while "GET manifest" not in peer.lines:
        await asyncio.sleep(0)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    assert TAG not in peer.manifests

    for each in (one, other, one):
        await target.list_referrer(each)

    assert [entry["digest"] for entry in listed(peer)] == [one.digest, other.digest]
    # The API is asked for once, and its absence remembered.
    assert peer.lines.count("GET other") == 1


async def test_nothing_is_listed_later_where_the_registry_has_the_api(peer: QuirkyRegistry, registry: Registry) -> None:
    peer.quirk = on("GET other", answer(200, b'{"manifests": []}'))

    for _ in range(2):
        await registry.target("app").list_referrer(referrer())

    assert peer.lines == ["GET other"]


@pytest.mark.parametrize("subject", [SUBJECT, None])
async def test_nothing_is_listed_where_the_registry_does_it_nor_without_a_subject(
    peer: QuirkyRegistry, registry: Registry, subject: Descriptor | None
) -> None:
    if subject is not None:
        peer.quirk = on("PUT manifest", answer(201, b"", OCI_Subject=str(subject.digest)))

    await registry.target("app").push_manifest(referrer(subject=subject), tag=None)

    assert peer.lines == ["PUT manifest"]


@pytest.mark.parametrize("held", [b"{}", b"nonsense", referrer().raw, encode({"schemaVersion": 2, "manifests": 1})])
async def test_what_is_under_the_tag_and_is_no_list_stays(
    peer: QuirkyRegistry, registry: Registry, held: bytes
) -> None:
    peer.manifests[TAG] = held

    with pytest.raises(InvalidManifest, match=f"referrers under {TAG} of app") as caught:
        await registry.target("app").push_manifest(referrer(), tag=None)

    assert caught.value.side == "target"
    assert peer.manifests[TAG] == held


async def test_a_registry_whose_tags_do_not_move_says_so(peer: QuirkyRegistry, registry: Registry) -> None:
    peer.quirk = on("PUT manifest", refuse(412, "PRECONDITION"), after=1)

    with pytest.raises(TagImmutable, match=TAG):
        await registry.target("app").push_manifest(referrer(), tag=None)


async def test_who_waits_for_a_turn_may_leave_and_another_is_not_held_up(
    peer: QuirkyRegistry, registry: Registry
) -> None:
    peer.quirk = on("GET manifest", stall, times=1)
    first, second = (
        asyncio.create_task(registry.target("app").push_manifest(referrer(number), tag=None)) for number in (1, 2)
    )
    while peer.lines.count("GET manifest") < 1 or peer.lines.count("PUT manifest") < 2:
        await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    assert [type(one) for one in await asyncio.gather(first, second, return_exceptions=True)] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
    ]

    await registry.target("app").push_manifest(referrer(3), tag=None)

    assert [entry["digest"] for entry in listed(peer)] == [referrer(3).digest]


def test_everything_else_in_a_list_stays_as_it_was() -> None:
    other = {"mediaType": OCI_MANIFEST, "digest": Digest.of(b"x"), "size": 1, "data": "eA==", "new": {"x": [1]}}
    before = {"schemaVersion": 2, "manifests": [other], "annotations": {"x": "y"}, "new": True}

    found = json.loads(with_referrer(encode(before), as_referrer(referrer()), what="list"))

    assert found["manifests"].pop()["digest"] == referrer().digest
    assert found == json.loads(encode(before))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (
            encode({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": []}),
            "expected a list, .*delete that tag",
        ),
        (encode({"schemaVersion": 2, "manifests": [], "x": "x" * (MAX_DOCUMENT_BYTES - 100)}), "with 1 entries"),
    ],
)
def test_a_list_that_cannot_take_one_more_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        with_referrer(raw, as_referrer(referrer()), what="list")
