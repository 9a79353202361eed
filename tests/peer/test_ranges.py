"""Reading one large blob in parallel from registries that are slow, break off, send other ranges, or none."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.distribution_ends import ATTEMPTS, CONFIG, Registry, opened
from tests.support.quirky import QuirkyRegistry, on, quirky
from tests.support.scripted import Arrived, Step, answer
from transfer.config import MIB
from transfer.errors import ConnectionFailed, ContentMismatch, RegistryError, TransferError
from transfer.http.ranges import MOST_STREAMS, PIECE, RANGE
from transfer.http.settings import RegistrySettings
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

PLAIN = RegistrySettings(plain_http=True)
CONTENT = random.Random(5).randbytes(9 * RANGE + 12_345)
SIZE = len(CONTENT)
BLOB = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(CONTENT), size=SIZE)

# The ranges of the blob, in order: the last one takes the short rest along.
RANGES = [(at, at + RANGE - 1) for at in range(0, 8 * RANGE, RANGE)] + [(8 * RANGE, SIZE - 1)]


class Storage:
    """
    What the peer answers GETs of the blob with, slowly enough for one stream to be too little.

    Attributes:
        asked: the range of each request, in the order they came; None for none.
        most: how many requests were answered at once.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, int] | None] = []
        self.pause = 0.06
        self.etag = '"one"'
        self.most = 0
        self._now = 0
        self._spoilt: dict[int, list[Step]] = {}

    def spoil(self, number: int, *steps: Step) -> None:
        """Answer the requests that begin in this range of the blob otherwise, one after the other."""
        self._spoilt[number] = list(steps)

    async def __call__(self, request: Arrived) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        self.asked.append((int(match[1]), int(match[2])) if match else None)
        spoilt = self._spoilt.get(int(match[1]) // RANGE if match else 0)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await (spoilt.pop(0) if spoilt else self.send())(request)
        finally:
            self._now -= 1

    def send(self, *, ranged: bool = True, breaks_after: int | None = None, etag: str | None = None) -> Step:
        """The bytes that were asked for, or all; at most so many of them before the connection ends."""

        async def step(request: Arrived) -> None:
            (first, last), status, headers = (0, SIZE - 1), 200, {"ETag": etag or self.etag}
            asked = self.asked[-1]
            if ranged and asked is not None:
                (first, last), status = asked, 206
                headers["Content-Range"] = f"bytes {first}-{last}/{SIZE}"
            body = memoryview(CONTENT)[first : last + 1]
            request.reply(status, bytes(body[:1000]), headers, length=len(body))
            await request.writer.drain()
            await asyncio.sleep(self.pause)
            request.writer.write(bytes(body[1000:breaks_after]))
            await request.writer.drain()
            if breaks_after is not None:
                request.writer.close()

        return step


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest_asyncio.fixture
async def peer(storage: Storage) -> AsyncIterator[QuirkyRegistry]:
    async with quirky(on("GET blob", storage)) as running:
        yield running


@asynccontextmanager
async def reading_from(peer: QuirkyRegistry, *, budget: int = CONFIG.max_read_ahead_bytes) -> AsyncIterator[Registry]:
    """A client, and at the end nothing left that it read ahead."""
    config = replace(CONFIG, max_read_ahead_bytes=budget)
    async with opened(peer.registry, settings=PLAIN, config=config) as registry:
        yield registry
        assert registry.limits.read_ahead.held == 0
        assert [name for name in tasks() if "_Ahead" in name] == []


@pytest_asyncio.fixture
async def registry(peer: QuirkyRegistry) -> AsyncIterator[Registry]:
    async with reading_from(peer) as ready:
        yield ready


def tasks() -> list[str]:
    return [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]


async def read(
    registry: Registry, offset: int = 0, end: int | None = None, *, into: bytearray | None = None
) -> bytearray:
    got = bytearray() if into is None else into
    async with registry.source("app").open_blob(BLOB, offset=offset, end=end) as pieces:
        async for piece in pieces:
            got += piece
    return got


async def test_each_range_is_asked_for_once_and_several_at_a_time(storage: Storage, registry: Registry) -> None:
    assert await read(registry) == CONTENT
    assert sorted(one for one in storage.asked if one) == RANGES
    assert 4 < storage.most <= MOST_STREAMS
    assert len(storage.asked) == len(RANGES)


async def test_a_part_of_a_blob_is_read_in_ranges_of_that_part(storage: Storage, registry: Registry) -> None:
    assert await read(registry, 1000, 1000 + 4 * RANGE) == CONTENT[1000 : 1000 + 4 * RANGE]
    assert sorted(one for one in storage.asked if one) == [(1000 + at, 999 + at + RANGE) for at, _ in RANGES[:4]]


async def test_a_blob_of_less_than_three_ranges_is_read_in_one_stream(storage: Storage, registry: Registry) -> None:
    assert await read(registry, SIZE - 3 * RANGE + 1) == CONTENT[SIZE - 3 * RANGE + 1 :]
    assert storage.asked == [(SIZE - 3 * RANGE + 1, SIZE - 1)]


async def test_a_fast_stream_stays_the_only_one(storage: Storage, registry: Registry) -> None:
    storage.pause = 0.0
    assert await read(registry) == CONTENT
    assert storage.asked == [(0, RANGE - 1), (RANGE, SIZE - 1)]


async def test_a_registry_that_sends_all_is_read_to_the_end_and_not_asked_for_ranges_again(
    storage: Storage, registry: Registry
) -> None:
    storage.spoil(0, storage.send(ranged=False))
    assert await read(registry) == CONTENT
    assert storage.asked == [(0, RANGE - 1)]
    assert await read(registry) == CONTENT
    assert storage.asked == [(0, RANGE - 1), None]


async def test_all_of_a_blob_sent_for_its_rest_is_skipped_as_far_as_need_be(
    storage: Storage, registry: Registry
) -> None:
    storage.spoil(1, storage.send(ranged=False))
    assert await read(registry, RANGE + 1) == CONTENT[RANGE + 1 :]
    assert storage.asked == [(RANGE + 1, 2 * RANGE)]


async def test_a_stream_of_all_that_breaks_is_continued_to_the_end(storage: Storage, registry: Registry) -> None:
    storage.spoil(0, storage.send(ranged=False, breaks_after=RANGE + 77))
    assert await read(registry) == CONTENT
    assert storage.asked == [(0, RANGE - 1), (RANGE + 77, SIZE - 1)]


@pytest.mark.parametrize("number", [0, 1, 4])
async def test_a_range_that_breaks_is_continued_at_its_own_offset(
    storage: Storage, registry: Registry, number: int
) -> None:
    storage.spoil(number, storage.send(breaks_after=50_000), storage.send(breaks_after=1500))
    assert await read(registry) == CONTENT
    first, last = RANGES[number]
    assert [one for one in storage.asked if one and one[1] == last] == [
        (first, last),
        (first + 50_000, last),
        (first + 51_500, last),
    ]
    assert len(storage.asked) == len(RANGES) + 2


@pytest.mark.parametrize("spoil", [lambda s: s.send(ranged=False), lambda s: s.send(etag='"two"')])
@pytest.mark.attack("changed-etag")
async def test_where_a_range_is_all_or_of_another_copy_the_rest_comes_in_one_stream(
    storage: Storage, registry: Registry, spoil: Callable[[Storage], Step]
) -> None:
    storage.spoil(3, spoil(storage))
    assert await read(registry) == CONTENT
    assert storage.asked[-1] == (3 * RANGE, SIZE - 1)
    before = len(storage.asked)
    await read(registry)
    assert storage.asked[before:] == [None], "the next blob is asked for whole"


@pytest.mark.attack("changed-etag")
async def test_a_weak_etag_says_nothing(storage: Storage, registry: Registry) -> None:
    storage.spoil(3, storage.send(etag='W/"two"'))
    assert await read(registry) == CONTENT
    assert len(storage.asked) == len(RANGES)


BROKEN = {
    "another range": (answer(206, bytes(10), Content_Range=f"bytes 0-9/{SIZE}"), RegistryError, "another range"),
    "no range": (answer(206, bytes(10)), RegistryError, "another range"),
    "416": (answer(416, b"", Content_Range="bytes */5"), RegistryError, "416"),
    "404": (answer(404, b""), RegistryError, "404"),
    "another size": (answer(200, bytes(10)), ContentMismatch, "it has 10 bytes"),
}


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_range_that_is_refused_fails_the_blob_in_its_turn(
    storage: Storage, registry: Registry, broken: str, number: int
) -> None:
    step, kind, reason = BROKEN[broken]
    storage.spoil(number, *[step] * 9)
    got = bytearray()
    with pytest.raises(kind, match=reason) as caught:
        await read(registry, into=got)
    assert got == CONTENT[: number * RANGE]
    assert isinstance(caught.value, TransferError)
    assert caught.value.side == "source"


async def test_a_range_that_never_comes_fails_the_blob_after_the_usual_tries(
    storage: Storage, registry: Registry
) -> None:
    async def gone(request: Arrived) -> None:
        request.writer.close()

    storage.spoil(2, *[gone] * 99)
    with pytest.raises(ConnectionFailed):
        await read(registry)
    assert len([one for one in storage.asked if one == RANGES[2]]) == ATTEMPTS


@pytest.mark.parametrize(("budget", "most"), [(0, 1), (RANGE // 2 - 1, 1), (RANGE // 2, 2), (RANGE, 3), (2 * RANGE, 5)])
async def test_no_more_is_read_ahead_than_the_budget_has(
    peer: QuirkyRegistry, storage: Storage, budget: int, most: int
) -> None:
    async with reading_from(peer, budget=budget) as registry:
        assert await read(registry) == CONTENT
    assert storage.most <= most


async def test_who_does_not_read_on_has_no_more_read_ahead_than_that(peer: QuirkyRegistry, storage: Storage) -> None:
    async with reading_from(peer, budget=3 * RANGE) as registry, registry.source("app").open_blob(BLOB) as pieces:
        for _ in range(6):
            await anext(pieces)
        await asyncio.sleep(0.4)
        assert 3 * RANGE - PIECE < registry.limits.read_ahead.held <= 3 * RANGE
        assert len(storage.asked) == 7


async def test_blobs_share_the_streams(storage: Storage, registry: Registry) -> None:
    everything = await asyncio.gather(*(read(registry) for _ in range(4)))
    assert everything == [CONTENT] * 4
    assert storage.most <= MOST_STREAMS


@pytest.mark.parametrize("number", range(1, 10))
async def test_a_reader_cancelled_at_any_request_leaves_nothing(
    peer: QuirkyRegistry, storage: Storage, registry: Registry, number: int
) -> None:
    reader = asyncio.create_task(read(registry))
    while len(storage.asked) < number:
        peer.came.clear()
        await peer.came.wait()
    await cancelled(reader, registry)
    assert await read(registry) == CONTENT


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("moment", ["no answer", "no body", "waiting to try again"])
async def test_a_reader_cancelled_while_a_range_hangs_leaves_nothing(
    storage: Storage, registry: Registry, number: int, moment: str
) -> None:
    hangs = asyncio.Event()

    async def hang(request: Arrived) -> None:
        first, last = RANGES[number]
        if moment == "no body":
            request.reply(206, b"", {"Content-Range": f"bytes {first}-{last}/{SIZE}"}, length=RANGE)
        if moment == "waiting to try again":
            request.reply(503, b"", {"Retry-After": "60"})
        hangs.set()
        await asyncio.Event().wait()

    storage.spoil(number, hang)
    reader = asyncio.create_task(read(registry))
    await hangs.wait()
    await asyncio.sleep(0.1)
    await cancelled(reader, registry)


async def cancelled(reader: asyncio.Task[bytearray], registry: Registry) -> None:
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert registry.limits.read_ahead.held == 0
    assert [name for name in tasks() if "_Ahead" in name] == []


async def test_a_block_may_be_entered_in_one_task_and_left_in_another(storage: Storage, registry: Registry) -> None:
    block = registry.source("app").open_blob(BLOB)
    pieces = await asyncio.create_task(block.__aenter__())

    async def some() -> bytes:
        return await anext(pieces)

    assert CONTENT.startswith(b"".join([await asyncio.create_task(some()) for _ in range(20)]))
    await asyncio.create_task(block.__aexit__(None, None, None))
    assert registry.limits.read_ahead.held == 0


async def test_who_leaves_early_leaves_nothing(storage: Storage, registry: Registry) -> None:
    async with registry.source("app").open_blob(BLOB) as pieces:
        assert len(await anext(pieces)) <= MIB
    async with registry.source("app").open_blob(BLOB):
        pass
    assert registry.limits.read_ahead.held == 0
