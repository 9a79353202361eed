"""What belongs to an image is found, in order, once, with few questions, and hostile lists end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from transfer.engine import referrers
from transfer.engine.graph import read_graph
from transfer.engine.protocols import Source
from transfer.engine.referrers import MAX_DEPTH, Attached, attached, inspect
from transfer.errors import InvalidManifest, NotFound, RegistryError, TransferError, Unauthorized
from transfer.events import Event, Notice
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import as_referrer, parse_manifest
from transfer.testing.memory import MemorySource

GONE = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"gone"), size=4)


def described(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


class Images(MemorySource):
    """Images of one config each, named by a text, and what `lists` says beyond the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[Digest, list[Descriptor]] = {}

    def image(self, name: str, subject: Descriptor | None = None, *, tag: str | None = None) -> Descriptor:
        members = {} if subject is None else {"subject": described(subject)}
        config = described(self.add_blob(name.encode(), OCI_CONFIG))
        return self._add({"mediaType": OCI_MANIFEST, "config": config, "layers": [], **members}, tag)

    def index(self, *children: Descriptor, tag: str | None = None) -> Descriptor:
        return self._add({"mediaType": OCI_INDEX, "manifests": [described(child) for child in children]}, tag)

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        return await super().referrers(descriptor) + self.lists.get(descriptor.digest, [])

    def _add(self, members: dict[str, Any], tag: str | None) -> Descriptor:
        return self.add_manifest(json.dumps({"schemaVersion": 2, **members}).encode(), tag=tag)


class Silent(Images):
    """A source that does not list its tags."""

    def __init__(self, refusal: RegistryError) -> None:
        super().__init__()
        self._refusal = refusal

    async def tags(self) -> AsyncGenerator[str]:
        self.calls["tags"] += 1
        if self.calls["tags"]:
            raise self._refusal
        yield ""


def nothing(event: Event) -> None:
    pytest.fail(f"told of {event}")


async def found(source: Source, root: Descriptor, reported: list[Event] | None = None) -> list[Attached]:
    events: list[Event] = [] if reported is None else reported
    everything = await attached(source, await read_graph(source, root), notify=events.append)
    assert reported is not None or not events
    return everything


def names(everything: list[Attached]) -> list[tuple[Digest, str | None]]:
    return [(one.graph.root.digest, one.tag) for one in everything]


async def test_an_image_that_nothing_belongs_to_costs_one_question_a_manifest_and_one_for_all_tags() -> None:
    source = Images()
    root = source.index(source.image("amd64"), source.image("arm64"), tag="v1")
    graph = await read_graph(source, root)
    source.calls.clear()

    assert await attached(source, graph, notify=nothing) == []

    assert source.calls == {"tags": 1, "referrers": 3}


async def test_referrers_of_every_manifest_are_found_after_what_they_refer_to() -> None:
    source = Images()
    child = source.image("amd64")
    root = source.index(child, tag="v1")
    sbom = source.image("sbom", child)
    signature = source.image("signature", root)
    seal = source.image("seal of the sbom", sbom)
    source.image("of another", source.image("another"))

    everything = names(await found(source, root))

    assert set(everything[:2]) == {(sbom.digest, None), (signature.digest, None)}
    assert everything[2:] == [(seal.digest, None)]


async def test_what_is_under_tags_made_of_a_digest_comes_with_those_tags() -> None:
    source = Images()
    child = source.image("amd64")
    root = source.index(child, tag="v1")
    prefix = root.digest.as_tag
    signature = source.image("signature", tag=f"{prefix}.sig")
    sbom = source.image("sbom", tag=f"{child.digest.as_tag}.sbom")
    of_sbom = source.image("signature of the sbom", tag=f"{sbom.digest.as_tag}.sig")
    other = source.image("of another kind", tag=f"{prefix}.some.thing")
    source.index(signature, tag=prefix)
    for tag in (f"{prefix}-sig", f"{prefix}.", "sha256-abc.sig", f"{Digest.of(b'x').as_tag}.sig"):
        source.image(f"not {tag}", tag=tag)
    source.calls.clear()

    everything = await found(source, root)

    assert names(everything) == [
        (signature.digest, f"{prefix}.sig"),
        (sbom.digest, f"{child.digest.as_tag}.sbom"),
        (other.digest, f"{prefix}.some.thing"),
        (of_sbom.digest, f"{sbom.digest.as_tag}.sig"),
    ]
    assert (source.calls["tags"], source.calls["resolve"]) == (1, 4)


async def test_a_referrer_under_a_tag_too_is_one_thing_with_that_tag() -> None:
    source = Images()
    root = source.image("image", tag="v1")
    tag = f"{root.digest.as_tag}.sig"
    signature = source.image("signature", root, tag=tag)

    assert names(await found(source, root)) == [(signature.digest, tag)]


async def test_one_thing_under_two_tags_comes_with_both() -> None:
    source = Images()
    root = source.image("image", tag="v1")
    tags = [f"{root.digest.as_tag}.{suffix}" for suffix in ("att", "sig")]
    both = {source.image("both", tag=tag).digest for tag in tags}

    assert names(await found(source, root)) == [(digest, tag) for digest in both for tag in tags]


async def test_a_referrer_that_is_an_index_comes_with_its_images() -> None:
    source = Images()
    root = source.image("image", tag="v1")
    child = source.image("child")
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described(child)], "subject": described(root)}
    listed = source.add_manifest(json.dumps(document).encode())
    of_child = source.image("of the child", child)

    everything = await found(source, root)

    assert names(everything) == [(listed.digest, None), (of_child.digest, None)]
    assert set(everything[0].graph.manifests) == {listed.digest, child.digest}


@pytest.mark.parametrize(
    "refusal",
    [
        Unauthorized("tags: denied", status=401, code="UNAUTHORIZED"),
        NotFound("tags: no such list", status=404, code="404"),
        RegistryError("tags: not here", status=405, code="UNSUPPORTED"),
    ],
)
async def test_a_source_that_does_not_list_tags_is_asked_for_those_that_are_known(refusal: RegistryError) -> None:
    source = Silent(refusal)
    root = source.image("image", tag="v1")
    wanted = [f"{root.digest.as_tag}.{suffix}" for suffix in ("sig", "att", "sbom", "other")]
    digests = [source.image(tag, tag=tag).digest for tag in wanted[1:]]
    source.calls.clear()

    assert names(await found(source, root)) == [(digests[0], wanted[1]), (digests[1], wanted[2])]

    # Three for the image, and three for each of the two that belong to it.
    assert (source.calls["tags"], source.calls["resolve"]) == (1, 9)


async def test_a_registry_in_trouble_is_not_taken_for_one_without_tags() -> None:
    source = Silent(RegistryError("tags: broken", status=503, code="503"))
    root = source.image("image", tag="v1")

    with pytest.raises(RegistryError, match="tags: broken"):
        await found(source, root)


async def test_what_is_listed_and_cannot_be_taken_is_told_and_left_out() -> None:
    source = Images()
    root, other = source.image("image", tag="v1"), source.image("another")
    unknown = Descriptor(media_type="application/vnd.oci.artifact.manifest.v1+json", digest=Digest.of(b"x"), size=1)
    good = source.image("good", root)
    source.lists[root.digest] = [GONE, unknown, other]
    reported: list[Event] = []

    assert names(await found(source, root, reported)) == [(good.digest, None)]

    messages = [event.message for event in reported if isinstance(event, Notice)]
    assert {message.partition(" ")[0] for message in messages} == {GONE.digest, unknown.digest, other.digest}
    assert all(f"is left out of what belongs to {root.digest}" in message for message in messages)


async def test_references_in_a_circle_end() -> None:
    source = Images()
    first = source.image("first", tag="v1")
    second = source.image("second", first, tag=f"{first.digest.as_tag}.sig")
    source.tagged[f"{second.digest.as_tag}.sig"] = first
    source.lists[second.digest] = [as_referrer(parse_manifest(source.manifests[first.digest]))]

    everything = names(await found(source, first))

    assert everything == [
        (second.digest, f"{first.digest.as_tag}.sig"),
        (first.digest, f"{second.digest.as_tag}.sig"),
    ]


async def test_a_chain_without_end_is_refused() -> None:
    source = Images()
    root = source.image("image", tag="v1")
    last = root
    for number in range(MAX_DEPTH):
        last = source.image(str(number), last)

    with pytest.raises(InvalidManifest, match=f"nested deeper than {MAX_DEPTH} levels") as caught:
        await found(source, root)

    assert caught.value.side == "source"


@pytest.mark.parametrize("kind", ["listed", "tagged"])
async def test_more_than_anybody_attaches_is_refused_before_it_is_read(kind: str) -> None:
    source = Images()
    root = source.image("image", tag="v1")
    many = range(referrers.MAX_ATTACHED + 1)
    if kind == "listed":
        source.lists[root.digest] = [
            Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(str(number).encode()), size=1) for number in many
        ]
    else:
        source.tagged |= {f"{root.digest.as_tag}.{number}": root for number in many}
    graph = await read_graph(source, root)
    source.calls.clear()

    with pytest.raises(InvalidManifest, match="more than 2000 manifests belong to it"):
        await attached(source, graph, notify=nothing)

    assert (source.calls["manifest"], source.calls["resolve"]) == (0, 0)


class Stalling(Images):
    """A source that never says what refers to a manifest."""

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        self.calls["referrers"] += 1
        await asyncio.Event().wait()
        return []


async def test_a_search_that_is_cancelled_ends_at_once() -> None:
    source = Stalling()
    root = source.index(source.image("amd64"), source.image("arm64"), tag="v1")
    search = asyncio.create_task(found(source, root))
    while source.calls["referrers"] < 3:
        await asyncio.sleep(0)

    search.cancel()

    with pytest.raises(asyncio.CancelledError):
        await search


@pytest.mark.parametrize(
    "refusal",
    [
        Unauthorized("referrers: denied", status=403, code="DENIED"),
        RegistryError("referrers: broken", status=500, code="500"),
        InvalidManifest("referrers: the list is no index"),
    ],
)
async def test_a_source_that_cannot_tell_what_refers_to_an_image_can_still_be_looked_at(
    refusal: TransferError,
) -> None:
    source = Refusing(refusal)
    root = source.image("image", tag="v1")

    found = await inspect(source, root, referrers=True)

    assert (found.graph.root.digest, found.referrers) == (root.digest, None)


class Refusing(Images):
    """A source that refuses to say what refers to a manifest."""

    def __init__(self, refusal: TransferError) -> None:
        super().__init__()
        self._refusal = refusal

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:
        raise self._refusal


async def test_referrers_are_told_in_one_question_and_only_when_asked_for() -> None:
    source = Images()
    root = source.index(source.image("amd64"), tag="v1")
    signature = source.image("signature", root)
    source.calls.clear()

    assert (await inspect(source, root, referrers=False)).referrers is None
    assert source.calls["referrers"] == 0

    found = (await inspect(source, root, referrers=True)).referrers
    assert [one.digest for one in found or ()] == [signature.digest]
    assert source.calls["referrers"] == 1
