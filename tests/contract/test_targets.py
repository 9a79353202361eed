"""What every Target does, whatever registry it writes into."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from tests.support.distribution_ends import SERVER_LOGIN, opened
from transfer import AwsCredentials, Server, TransferConfig, open_ecr
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.engine.protocols import BlobContext, Source, Target
from transfer.errors import BlobUnknown, ContentMismatch, TagImmutable
from transfer.events import BlobProgress, BlobStarted, Event
from transfer.http.transport import Transport
from transfer.local.archive.oci_source import OciArchiveSource
from transfer.local.archive.target import OciArchiveTarget
from transfer.local.layout.reader import blob_names
from transfer.local.layout.source import LayoutSource
from transfer.local.layout.target import LayoutTarget
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import parse_manifest
from transfer.registry.ecr.source import EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.registry.oci.target import DistributionTarget
from transfer.state.journal import NoState
from transfer.testing.images import ARTIFACT, BuiltImage, ImageBuilder, blob_file
from transfer.testing.memory import MemorySource, MemoryTarget

if TYPE_CHECKING:
    from mypy_boto3_ecr.literals import ImageTagMutabilityType

ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class Ends:
    """
    One kind of target.

    Attributes:
        target: an empty repository.
        immutable: an empty repository whose tags do not move, where there are such.
        read_blob: a blob of an image as the repository holds it, read past the target.
        opened: the target read as a source, with what was shown to readers so far.
    """

    target: Target
    immutable: Target | None
    read_blob: Callable[[Target, Descriptor], Awaitable[bytes]]
    opened: Callable[[], AbstractAsyncContextManager[Source]]


@pytest.fixture
def memory() -> Ends:
    async def read_blob(target: Target, blob: Descriptor) -> bytes:
        assert isinstance(target, MemoryTarget)
        return target.blobs[blob.digest]

    target = MemoryTarget("one")

    def opened() -> AbstractAsyncContextManager[Source]:
        source = MemorySource()
        source.blobs = target.blobs
        source.manifests = {digest: manifest.raw for digest, manifest in target.manifests.items()}
        return nullcontext(source)

    return Ends(target, MemoryTarget("two", immutable=True), read_blob, opened)


@pytest.fixture
def folder(tmp_path: Path) -> Ends:
    """A layout in a folder; its tags always move."""

    async def read_blob(target: Target, blob: Descriptor) -> bytes:
        assert isinstance(target, LayoutTarget)
        return blob_file(target.path, blob.digest).read_bytes()

    path = tmp_path / "one" / "layout"
    return Ends(LayoutTarget(path), None, read_blob, lambda: nullcontext(LayoutSource(path)))


@pytest_asyncio.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Ends]:
    """A layout in a tar; its tags always move, and what is not tagged is behind its end."""

    async def read_blob(target: Target, blob: Descriptor) -> bytes:
        assert isinstance(target, OciArchiveTarget)
        member = target._writer.appender.members["/".join(blob_names(blob.digest))]
        with (tmp_path / ".one.tar.part").open("rb") as file:
            file.seek(member.start)
            return file.read(member.size)

    async with OciArchiveTarget(tmp_path / "one.tar") as target:
        yield Ends(target, None, read_blob, lambda: OciArchiveSource(tmp_path / "one.tar"))


@pytest_asyncio.fixture
async def ecr(server: Server) -> AsyncIterator[Ends]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            open_ecr(
                region="us-east-1",
                credentials=AwsCredentials(
                    access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url
                ),
            )
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def repository(name: str, mutability: "ImageTagMutabilityType") -> Target:
            await client.create_repository(repositoryName=name, imageTagMutability=mutability)
            limits = Limits(TransferConfig())
            return EcrTarget(
                UploadSite(name, client, ACCOUNT, name, NoState(), limits.bytes, limits.steps), known=set()
            )

        async def read_blob(target: Target, blob: Descriptor) -> bytes:
            reply = await client.get_download_url_for_layer(repositoryName=target.key, layerDigest=blob.digest)
            async with http.get(reply["downloadUrl"]) as response:
                return await response.read()

        transport, retrier = await stack.enter_async_context(Transport()), Retrier(TransferConfig())
        source = EcrSource(client, transport, retrier, registry_id=ACCOUNT, repository="one")
        mutable, immutable = await repository("one", "MUTABLE"), await repository("two", "IMMUTABLE")
        yield Ends(mutable, immutable, read_blob, lambda: nullcontext(source))


@pytest_asyncio.fixture
async def registry(server: Server) -> AsyncIterator[Ends]:
    """A Distribution registry; that tags do not move is said by its other API."""
    keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
    async with open_ecr(region="us-east-1", credentials=keys) as client:
        await client.create_repository(repositoryName="two", imageTagMutability="IMMUTABLE")
    async with opened(server.url.removeprefix("http://"), logins=SERVER_LOGIN) as ready:

        async def read_blob(target: Target, blob: Descriptor) -> bytes:
            assert isinstance(target, DistributionTarget)
            async with ready.source("one").open_blob(blob) as pieces:
                return b"".join([piece async for piece in pieces])

        yield Ends(ready.target("one"), ready.target("two"), read_blob, lambda: nullcontext(ready.source("one")))


@pytest.fixture(params=["memory", "folder", "archive", "ecr", "registry"])
def ends(request: pytest.FixtureRequest) -> Ends:
    """The end under test: a fixture of this name that gives `Ends`. A new kind of target is one more param."""
    found: Ends = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def target(ends: Ends) -> Target:
    return ends.target


@pytest.fixture(params=["memory", "ecr", "registry"])
def immutable(request: pytest.FixtureRequest) -> Target:
    """A repository whose tags do not move, of every kind of target that has such."""
    found: Ends = request.getfixturevalue(request.param)
    assert found.immutable is not None
    return found.immutable


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image(sizes=(1, 1024 * 1024 + 1))


async def push_blobs(image: BuiltImage, target: Target) -> list[Event]:
    events: list[Event] = []
    for blob in image.blobs:
        await target.push_blob(BlobContext(blob, events.append), LayoutSource(image.path))
    return events


async def push(image: BuiltImage, target: Target, *, tag: str | None) -> None:
    await push_blobs(image, target)
    source = LayoutSource(image.path)
    for descriptor in image.manifests:
        await target.push_manifest(await source.manifest(descriptor), tag=tag if descriptor == image.root else None)


async def test_an_empty_repository_lacks_everything(target: Target, image: BuiltImage) -> None:
    presence = await target.present(image.manifests, tag="v1")

    assert (presence.tagged, presence.manifests) == (None, frozenset())
    assert await target.missing(image.blobs) == {blob.digest for blob in image.blobs}


async def test_a_blob_that_was_pushed_is_not_missing_any_more(target: Target, image: BuiltImage) -> None:
    first, *others = image.blobs

    sent = await target.push_blob(BlobContext(first, lambda _: None), LayoutSource(image.path))

    assert (sent.sent, sent.resumed, sent.already_there) == (first.size, 0, False)
    assert await target.missing(image.blobs, fresh=True) == {blob.digest for blob in others}


async def test_every_blob_of_an_image_arrives_byte_for_byte(ends: Ends, image: BuiltImage) -> None:
    await push(image, ends.target, tag=None)

    for blob in image.blobs:
        assert await ends.read_blob(ends.target, blob) == image.content(blob)


async def test_blobs_arrive_from_a_stream_as_from_a_file(ends: Ends, image: BuiltImage) -> None:
    source = MemorySource()
    for blob in image.blobs:
        source.add_blob(image.content(blob), blob.media_type)
        await ends.target.push_blob(BlobContext(blob, lambda _: None), source)
    await ends.target.push_manifest(parse_manifest(image.content(image.root)), tag=None)

    assert source.calls["open_blob"] >= len(image.blobs)
    for blob in image.blobs:
        assert await ends.read_blob(ends.target, blob) == image.content(blob)


async def test_a_blob_that_is_there_is_not_sent_again(target: Target, image: BuiltImage) -> None:
    await push_blobs(image, target)

    sent = await target.push_blob(BlobContext(image.blobs[0], lambda _: None), LayoutSource(image.path))

    assert (sent.sent, sent.already_there) == (0, True)


async def test_observers_hear_of_a_blob_from_its_start_to_its_last_byte(target: Target, image: BuiltImage) -> None:
    events = await push_blobs(image, target)

    assert [event.descriptor for event in events if isinstance(event, BlobStarted)] == list(image.blobs)
    for blob in image.blobs:
        offsets = [event.offset for event in events if isinstance(event, BlobProgress) and event.digest == blob.digest]
        assert offsets == sorted(offsets)
        assert offsets[-1] == blob.size


async def test_a_blob_whose_content_changed_is_refused_and_stays_missing(target: Target, image: BuiltImage) -> None:
    large = max(image.blobs, key=lambda blob: blob.size)
    file = image.file(large)
    file.write_bytes(b"\0" * large.size)

    with pytest.raises(ContentMismatch) as caught:
        await target.push_blob(BlobContext(large, lambda _: None), LayoutSource(image.path))

    assert caught.value.side == "source"
    assert str(file) in str(caught.value)
    assert await target.missing([large], fresh=True) == {large.digest}


@pytest.mark.parametrize("tag", ["v1", None])
async def test_a_pushed_image_is_present_under_its_digest_and_its_tag(
    target: Target, image: BuiltImage, tag: str | None
) -> None:
    await push(image, target, tag=tag)

    presence = await target.present([image.root], tag=tag)
    assert presence.tagged == (image.root.digest if tag else None)
    assert presence.manifests == {image.root.digest}


async def test_an_index_is_taken_after_its_images(target: Target, layout: ImageBuilder) -> None:
    index = layout.index()

    await push(index, target, tag="multi")

    assert (await target.present(index.manifests, tag="multi")).tagged == index.root.digest
    presence = await target.present(index.manifests, tag=None)
    assert presence.manifests == {manifest.digest for manifest in index.manifests}


async def test_a_manifest_whose_blobs_are_missing_is_refused_and_not_tagged(target: Target, image: BuiltImage) -> None:
    manifest = await LayoutSource(image.path).manifest(image.root)

    with pytest.raises(BlobUnknown) as caught:
        await target.push_manifest(manifest, tag="v1")

    assert caught.value.side == "target"
    presence = await target.present([image.root], tag="v1")
    assert (presence.tagged, presence.manifests) == (None, frozenset())


async def test_an_index_whose_images_are_missing_is_refused_and_not_tagged(
    target: Target, layout: ImageBuilder
) -> None:
    index = layout.index()
    await push_blobs(index, target)

    with pytest.raises(BlobUnknown):
        await target.push_manifest(await LayoutSource(index.path).manifest(index.root), tag="v1")

    assert (await target.present([], tag="v1")).tagged is None


async def test_pushing_an_image_twice_changes_nothing(target: Target, image: BuiltImage) -> None:
    await push(image, target, tag="v1")
    await push(image, target, tag="v1")

    assert (await target.present([image.root], tag="v1")).tagged == image.root.digest
    assert await target.missing(image.blobs, fresh=True) == set()


async def test_a_tag_moves_to_another_image(target: Target, layout: ImageBuilder) -> None:
    old, new = layout.image(seed=1, tag="old"), layout.image(seed=2, tag="new")
    await push(old, target, tag="v1")

    await target.check_tag("v1", new.root.digest, old.root.digest)
    await push(new, target, tag="v1")

    presence = await target.present([old.root, new.root], tag="v1")
    assert (presence.tagged, new.root.digest in presence.manifests) == (new.root.digest, True)


async def test_an_immutable_tag_does_not_move(immutable: Target, layout: ImageBuilder) -> None:
    old, new = layout.image(seed=1, tag="old"), layout.image(seed=2, tag="new")
    await push(old, immutable, tag="v1")
    await push_blobs(new, immutable)

    with pytest.raises(TagImmutable, match="v1") as caught:
        await push(new, immutable, tag="v1")

    assert caught.value.side == "target"
    assert (await immutable.present([], tag="v1")).tagged == old.root.digest


async def test_an_immutable_tag_takes_the_image_it_holds(immutable: Target, image: BuiltImage) -> None:
    await push(image, immutable, tag="v1")

    await push(image, immutable, tag="v1")

    assert (await immutable.present([], tag="v1")).tagged == image.root.digest


async def test_one_image_may_have_two_tags(target: Target, image: BuiltImage) -> None:
    await push(image, target, tag="v1")
    await push(image, target, tag="latest")

    tags = [(await target.present([], tag=tag)).tagged for tag in ("v1", "latest")]
    assert tags == [image.root.digest, image.root.digest]


async def test_a_layer_named_twice_is_one_blob(target: Target, layout: ImageBuilder) -> None:
    layer = layout.layer(10)
    image = layout.image((), layers=(layer, layer))

    await push(image, target, tag="v1")

    assert (await target.present([], tag="v1")).tagged == image.root.digest


async def test_a_foreign_layer_need_not_be_there(target: Target, layout: ImageBuilder) -> None:
    foreign = msgspec.structs.replace(
        Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"elsewhere"), size=9),
        media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        urls=("https://example.invalid/layer",),
    )
    image = layout.image(layers=(foreign,))
    stored = parse_manifest(image.content(image.root)).blobs
    for blob in stored:
        await target.push_blob(BlobContext(blob, lambda _: None), LayoutSource(image.path))

    await target.push_manifest(await LayoutSource(image.path).manifest(image.root), tag="v1")

    assert foreign.digest not in {blob.digest for blob in stored}
    assert (await target.present([], tag="v1")).tagged == image.root.digest


@pytest.mark.parametrize("by_tag", [False, True])
async def test_what_refers_to_an_image_is_found_from_it(
    ends: Ends, image: BuiltImage, layout: ImageBuilder, by_tag: bool
) -> None:
    referrer = layout.referrer(image.root, annotations={"by": "me"})
    await push(referrer, ends.target, tag="signature" if by_tag else None)
    await push(image, ends.target, tag="v1")
    await ends.target.list_referrer(parse_manifest(referrer.content(referrer.root)))
    await ends.target.list_referrer(parse_manifest(image.content(image.root)))

    async with ends.opened() as source:
        found = await source.referrers(image.root)
        raw = [(await source.manifest(one)).raw for one in found]

    assert raw == [referrer.content(referrer.root)]
    assert (found[0].artifact_type, found[0].annotations) == (ARTIFACT, {"by": "me"})


async def test_what_refers_to_a_referrer_is_found_too(ends: Ends, image: BuiltImage, layout: ImageBuilder) -> None:
    signature = layout.referrer(image.root)
    seal = layout.referrer(signature.root, seed=1)
    for one in (image, signature, seal):
        await push(one, ends.target, tag=None)
    await push(image, ends.target, tag="v1")

    async with ends.opened() as source:
        assert [one.digest for one in await source.referrers(image.root)] == [signature.root.digest]
        assert [one.digest for one in await source.referrers(signature.root)] == [seal.root.digest]
