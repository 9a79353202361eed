"""Several copies of one engine: what each of them reads and writes, and what the others notice of its troubles."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.copying import ignore, new_sharing
from transfer.concurrency.limits import Limits
from transfer.config import TransferConfig
from transfer.engine.deduplication import BlobDeduplicator, BlobRequest
from transfer.engine.protocols import BlobContext, BlobSent, BlobSource
from transfer.errors import ConnectionFailed, NotFound, RegistryError
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.testing.memory import MemorySource, MemoryTarget

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * (4 * MIB // 256)


class Refusing(MemoryTarget):
    """A target that takes a mebibyte of a blob and then has no more room."""

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        async with source.open_blob(blob.descriptor) as pieces:
            await anext(aiter(pieces))
            raise RegistryError(f"{self.key} is full", status=507, code="FULL", side="target")


class Stalled(MemoryTarget):
    """A target that takes a mebibyte of a blob, and the rest when the test lets it."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.go_on = asyncio.Event()
        self.pushes = 0

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        self.pushes += 1
        if not self.go_on.is_set():
            async with source.open_blob(blob.descriptor) as pieces:
                await anext(aiter(pieces))
                await self.go_on.wait()
        return await super().push_blob(blob, source)


def wants(
    source: MemorySource, blob: Descriptor, targets: Sequence[MemoryTarget], origin: str = "here"
) -> list[BlobRequest]:
    return [BlobRequest(BlobContext(blob, ignore), source, target, origin) for target in targets]


async def deliver(sharing: BlobDeduplicator, every: Sequence[BlobRequest]) -> list[BlobSent | BaseException]:
    async with sharing.announced(every):
        return await asyncio.gather(*(sharing.deliver(want) for want in every), return_exceptions=True)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
def blob(source: MemorySource) -> Descriptor:
    return source.add_blob(CONTENT, OCI_LAYER_GZIP)


async def test_three_repositories_are_fed_from_one_read(source: MemorySource, blob: Descriptor) -> None:
    targets = [MemoryTarget(name) for name in "abc"]
    sent = await deliver(new_sharing(), wants(source, blob, targets))
    assert sent == [BlobSent(sent=blob.size)] * 3
    assert [target.blobs for target in targets] == [source.blobs] * 3
    assert source.calls["open_blob"] == 1


async def test_what_is_wanted_twice_in_one_repository_is_written_once(source: MemorySource, blob: Descriptor) -> None:
    twice, once = MemoryTarget("a"), MemoryTarget("b")
    sent = await deliver(new_sharing(), wants(source, blob, [twice, twice, once]))
    assert sorted(one.sent for one in sent if isinstance(one, BlobSent)) == [0, blob.size, blob.size]
    assert (twice.calls["push_blob"], once.calls["push_blob"], source.calls["open_blob"]) == (1, 1, 1)


async def test_other_origins_are_read_separately(source: MemorySource, blob: Descriptor) -> None:
    here, there = MemoryTarget("a"), MemoryTarget("b")
    await deliver(new_sharing(), [*wants(source, blob, [here]), *wants(source, blob, [there], origin="elsewhere")])
    assert source.calls["open_blob"] == 2


@pytest.mark.parametrize("order", ["the leader", "one of the others"])
async def test_a_target_that_fails_stops_no_other_one(source: MemorySource, blob: Descriptor, order: str) -> None:
    broken, others = Refusing("broken"), [MemoryTarget("a"), MemoryTarget("b")]
    targets = [broken, *others] if order == "the leader" else [others[0], broken, others[1]]
    outcomes = await deliver(new_sharing(), wants(source, blob, targets))
    failed = [str(outcome) for outcome in outcomes if not isinstance(outcome, BlobSent)]
    assert failed == ["broken is full"]
    assert [target.blobs for target in others] == [source.blobs] * 2
    assert source.calls["open_blob"] == 1


@pytest.mark.parametrize("order", ["the leader", "one of the others"])
async def test_a_target_that_stalls_is_left_to_itself(source: MemorySource, blob: Descriptor, order: str) -> None:
    stalled, others = Stalled("stalled"), [MemoryTarget("a"), MemoryTarget("b")]
    targets = [stalled, *others] if order == "the leader" else [others[0], stalled, others[1]]
    sharing = new_sharing(patience=0.05)
    delivering = asyncio.create_task(deliver(sharing, wants(source, blob, targets)))
    while len(others[0].blobs) + len(others[1].blobs) < 2:
        await asyncio.sleep(0.005)
    assert not delivering.done()
    stalled.go_on.set()
    assert await delivering == [BlobSent(sent=blob.size)] * 3
    assert stalled.blobs == source.blobs


async def test_a_target_that_stalled_once_is_not_waited_for_again(source: MemorySource, blob: Descriptor) -> None:
    stalled, steady = Stalled("stalled"), MemoryTarget("steady")
    sharing = new_sharing(patience=0.05)
    first = asyncio.create_task(deliver(sharing, wants(source, blob, [steady, stalled])))
    while not steady.blobs:
        await asyncio.sleep(0.005)
    second = source.add_blob(CONTENT[:-1], OCI_LAYER_GZIP)
    both = wants(source, second, [steady, stalled])
    async with sharing.announced(both):
        await sharing.deliver(both[0])
    assert both[1].fed_by is None
    stalled.go_on.set()
    assert await first == [BlobSent(sent=blob.size)] * 2


class Silent(MemoryTarget):
    """A target that takes all of a blob, and answers when the test lets it."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.go_on = asyncio.Event()

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        sent = await super().push_blob(blob, source)
        await self.go_on.wait()
        return sent


async def test_a_target_that_falls_silent_after_the_last_byte_holds_up_nobody(
    source: MemorySource, blob: Descriptor
) -> None:
    silent, leader = Silent("silent"), MemoryTarget("leader")
    sharing, every = new_sharing(), wants(source, blob, [leader, silent])
    async with sharing.announced(every):
        assert await sharing.deliver(every[0]) == BlobSent(sent=blob.size)
        following = asyncio.create_task(sharing.deliver(every[1]))
        await asyncio.sleep(0)
        assert not following.done()
        silent.go_on.set()
        assert await following == BlobSent(sent=blob.size)
    assert source.calls["open_blob"] == 1


async def test_an_error_of_the_source_is_that_of_all_who_read_it(source: MemorySource, blob: Descriptor) -> None:
    source.blobs.clear()
    outcomes = await deliver(new_sharing(), wants(source, blob, [MemoryTarget("a"), MemoryTarget("b")]))
    assert [type(outcome) for outcome in outcomes] == [NotFound, NotFound]
    assert source.calls["open_blob"] == 1


async def test_an_error_of_anothers_source_leaves_one_to_read_its_own(source: MemorySource, blob: Descriptor) -> None:
    broken = MemorySource()
    leader, other = wants(broken, blob, [MemoryTarget("a")]), wants(source, blob, [MemoryTarget("b")])
    outcomes = await deliver(new_sharing(), [*leader, *other])
    assert [type(outcome) for outcome in outcomes] == [NotFound, BlobSent]


async def test_a_leader_that_is_cancelled_leaves_the_work_to_the_others(source: MemorySource, blob: Descriptor) -> None:
    stalled, other = Stalled("leader"), MemoryTarget("other")
    sharing, every = new_sharing(), wants(source, blob, [stalled, other])
    async with sharing.announced(every):
        leading = asyncio.create_task(sharing.deliver(every[0]))
        following = asyncio.create_task(sharing.deliver(every[1]))
        while not stalled.pushes:
            await asyncio.sleep(0)
        leading.cancel()
        assert await following == BlobSent(sent=blob.size)
    assert leading.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_that_is_fed_and_cancelled_stops_at_once_and_alone(source: MemorySource, blob: Descriptor) -> None:
    leader, stalled = MemoryTarget("leader"), Stalled("fed")
    sharing, (first, second) = new_sharing(), wants(source, blob, [leader, stalled])

    async def copy(want: BlobRequest) -> BlobSent:
        async with sharing.announced([want]):
            await asyncio.sleep(0)
            return await sharing.deliver(want)

    leading, following = asyncio.create_task(copy(first)), asyncio.create_task(copy(second))
    while not stalled.pushes:
        await asyncio.sleep(0)
    following.cancel()
    assert await leading == BlobSent(sent=blob.size)
    assert following.cancelled()
    assert stalled.blobs == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_more_are_fed_at_once_than_have_room_together(source: MemorySource, blob: Descriptor) -> None:
    limits = Limits(TransferConfig(max_bytes_in_flight=2 * MIB))
    targets = [MemoryTarget(name) for name in "abcd"]
    await deliver(new_sharing(limits), wants(source, blob, targets))
    assert source.calls["open_blob"] == 2
    assert (limits.fed.held, [target.blobs for target in targets]) == (0, [source.blobs] * 4)


async def test_a_blob_another_repository_has_is_mounted_and_not_read(source: MemorySource, blob: Descriptor) -> None:
    near, far = MemoryTarget("near"), MemoryTarget("far")
    near.neighbours["app"] = dict(source.blobs)
    every = [
        BlobRequest(BlobContext(blob, ignore), source, near, "here", mount_from="app"),
        *wants(source, blob, [far]),
    ]
    assert await deliver(new_sharing(), every) == [BlobSent(sent=0, mounted=True), BlobSent(sent=blob.size)]
    assert source.calls["open_blob"] == 1


async def test_popularity_counts_what_one_read_could_serve(source: MemorySource, blob: Descriptor) -> None:
    sharing, every = new_sharing(), wants(source, blob, [MemoryTarget("a"), MemoryTarget("b")])
    async with sharing.announced(every):
        assert sharing.popularity(every[0]) == 2
        await sharing.deliver(every[0])
        assert sharing.popularity(every[0]) == 0
    assert sharing.popularity(every[1]) == 0


async def test_an_error_without_an_answer_is_not_shared() -> None:
    source = MemorySource()
    blob = source.add_blob(b"content", OCI_LAYER_GZIP)

    class Unreachable(MemoryTarget):
        async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
            raise ConnectionFailed(f"{self.key}: no connection", side="target")

    outcomes = await deliver(new_sharing(), wants(source, blob, [Unreachable("a"), Unreachable("b")]))
    assert sorted(map(str, outcomes)) == ["a: no connection", "b: no connection"]
