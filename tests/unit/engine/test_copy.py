"""The algorithm over two ends in memory: what is asked, what is sent, in which order."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.support.copying import copy_image, new_sharing
from transfer.engine.copy import Copied, CountingObserver
from transfer.engine.protocols import BlobContext, BlobSent, BlobSource, Source
from transfer.errors import BlobUnknown, InvalidManifest, TagImmutable
from transfer.events import Event, ManifestPushed, Planned
from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.testing.memory import MemorySource, MemoryTarget


def described(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def add_image(source: MemorySource, layers: Sequence[bytes], *, tag: str | None = None) -> Descriptor:
    config = source.add_blob(json.dumps({"layers": [str(Digest.of(layer)) for layer in layers]}).encode(), OCI_CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(config),
        "layers": [described(source.add_blob(layer, OCI_LAYER_GZIP)) for layer in layers],
    }
    return source.add_manifest(json.dumps(document).encode(), tag=tag)


def add_index(source: MemorySource, children: Sequence[Descriptor], *, tag: str | None = None) -> Descriptor:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described(child) for child in children]}
    return source.add_manifest(json.dumps(document).encode(), tag=tag)


class Copier:
    """Copies as one engine would, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._sharing = new_sharing()

    async def copy(self, source: Source, root: Descriptor, target: MemoryTarget, tag: str | None = "v1") -> Copied:
        notify = CountingObserver(self.events.append)
        return await copy_image(source, root, target, tag=tag, sharing=self._sharing, notify=notify)


async def test_an_image_arrives_whole_and_each_blob_is_reported() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    root = add_image(source, [b"one", b"two", b"one"])
    copied = await copier.copy(source, root, target)
    assert target.tags == {"v1": root.digest}
    assert target.blobs == source.blobs
    assert [(blob.status, blob.sent) for blob in copied.blobs][1:] == [("uploaded", 3), ("uploaded", 3)]
    assert target.calls == {"present": 1, "missing": 1, "push_blob": 3, "push_manifest": 1}
    assert isinstance(copier.events[0], Planned)
    assert copier.events[-1] == ManifestPushed(root.digest, "v1")


async def test_children_go_before_their_index_and_the_tag_goes_last() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    shared = b"shared by both"
    children = [add_image(source, [shared, b"amd64"]), add_image(source, [shared, b"arm64"])]
    inner = add_index(source, children)
    root = add_index(source, [children[0], inner])
    await copier.copy(source, root, target)
    pushed = [event for event in copier.events if isinstance(event, ManifestPushed)]
    assert {event.digest for event in pushed[:2]} == {child.digest for child in children}
    assert pushed[2:] == [ManifestPushed(inner.digest, None), ManifestPushed(root.digest, "v1")]
    assert target.calls["push_blob"] == 5


async def test_the_same_digest_under_the_tag_is_done_after_one_question() -> None:
    source, target, copier = MemorySource(), MemoryTarget(immutable=True), Copier()
    root = add_image(source, [b"one"])
    await copier.copy(source, root, target)
    target.calls.clear()
    again = await copier.copy(source, root, target)
    assert target.calls == {"present": 1}
    assert {blob.status for blob in again.blobs} == {"present"}


async def test_a_known_image_under_a_new_tag_costs_one_manifest() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    root = add_index(source, [add_image(source, [b"one"])])
    await copier.copy(source, root, target)
    target.calls.clear()
    await copier.copy(source, root, target, tag="v2")
    assert target.calls == {"present": 1, "push_manifest": 1}
    assert target.tags == {"v1": root.digest, "v2": root.digest}


async def test_blobs_of_a_present_child_are_not_asked_for() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    old = add_image(source, [b"base", b"old"])
    await copier.copy(source, old, target, tag="old")
    target.calls.clear()
    root = add_index(source, [old, add_image(source, [b"base", b"new"])])
    copied = await copier.copy(source, root, target)
    assert target.calls == {"present": 1, "missing": 1, "push_blob": 2, "push_manifest": 2}
    assert sorted(blob.status for blob in copied.blobs) == ["present"] * 3 + ["uploaded"] * 2


async def test_a_tag_that_cannot_move_is_refused_before_anything_is_sent() -> None:
    source, target, copier = MemorySource(), MemoryTarget(immutable=True), Copier()
    first, second = add_image(source, [b"one"]), add_image(source, [b"two"])
    await copier.copy(source, first, target)
    target.calls.clear()
    with pytest.raises(TagImmutable, match=str(first.digest)):
        await copier.copy(source, second, target)
    assert target.calls == {"present": 1, "check_tag": 1}
    assert target.tags == {"v1": first.digest}


async def test_two_copies_at_once_send_a_shared_blob_once() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    shared = bytes(3_000_000)
    roots = [add_image(source, [shared, name]) for name in (b"one", b"two", b"three")]
    copies = await asyncio.gather(*(copier.copy(source, root, target, tag=f"v{n}") for n, root in enumerate(roots)))
    sent = [blob.sent for copied in copies for blob in copied.blobs if blob.digest == Digest.of(shared)]
    assert sorted(sent) == [0, 0, len(shared)]
    assert len(target.tags) == 3


class Forgetful(MemoryTarget):
    """A target that says blobs and manifests are there until it is asked to say it again."""

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:
        return await super().missing(blobs, fresh=fresh) if fresh else set()


async def test_a_target_that_was_wrong_about_what_it_has_is_asked_anew_once() -> None:
    source, target, copier = MemorySource(), Forgetful(), Copier()
    root = add_image(source, [b"one", b"two"])
    copied = await copier.copy(source, root, target)
    assert target.tags == {"v1": root.digest}
    assert [blob.status for blob in copied.blobs] == ["uploaded"] * 3
    assert target.calls["push_manifest"] == 2


class Refusing(MemoryTarget):
    """A target that never believes it has what a manifest names."""

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        self.calls["push_manifest"] += 1
        raise BlobUnknown("refused", status=400, code="X")


async def test_a_manifest_refused_twice_is_an_error() -> None:
    source, target = MemorySource(), Refusing()
    with pytest.raises(BlobUnknown):
        await Copier().copy(source, add_image(source, [b"one"]), target)
    assert target.calls["push_manifest"] == 2


class Broken(MemoryTarget):
    """A target whose layers fail, all with their own error."""

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        await asyncio.sleep(0)
        raise BlobUnknown(f"no {blob.descriptor.size}", status=500, code="X")


async def test_several_failures_are_raised_as_one_with_the_others_as_notes() -> None:
    source, target = MemorySource(), Broken()
    with pytest.raises(BlobUnknown, match="no") as caught:
        await Copier().copy(source, add_image(source, [b"one", b"four"]), target)
    assert "also: no 4" in [str(caught.value), *caught.value.__notes__] or "also: no 3" in caught.value.__notes__
    assert target.tags == {}


@pytest.mark.attack("index-bombs")
async def test_an_index_nested_too_deep_is_refused() -> None:
    source = MemorySource()
    root = add_image(source, [b"one"])
    for _ in range(9):
        root = add_index(source, [root])
    with pytest.raises(InvalidManifest, match="nested deeper than 8"):
        await Copier().copy(source, root, MemoryTarget())


@pytest.mark.attack("index-bombs")
async def test_an_index_of_too_many_manifests_is_refused_before_they_are_read() -> None:
    source = MemorySource()
    image = add_image(source, [b"one"])
    names = [Digest.of(str(number).encode()) for number in range(2_001)]
    children = [Descriptor(media_type=OCI_MANIFEST, digest=name, size=image.size) for name in names]
    with pytest.raises(InvalidManifest, match="more than 2000 manifests"):
        await Copier().copy(source, add_index(source, children), MemoryTarget())
    assert source.calls["manifest"] == 1


async def test_a_child_named_many_times_is_read_once() -> None:
    source, target = MemorySource(), MemoryTarget()
    image = add_image(source, [b"one"])
    await Copier().copy(source, add_index(source, [image] * 500), target)
    assert source.calls["manifest"] == 2
    assert target.calls["push_manifest"] == 2


async def test_a_cancelled_copy_leaves_no_task_and_no_tag() -> None:
    source, target, copier = MemorySource(), MemoryTarget(), Copier()
    root = add_image(source, [bytes(5_000_000 + number) for number in range(4)])
    task = asyncio.create_task(copier.copy(source, root, target))
    while not target.calls["push_blob"]:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert target.tags == {}
    assert target.calls["push_manifest"] == 0
