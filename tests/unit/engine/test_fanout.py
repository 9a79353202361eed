"""One read for several readers: which bytes each gets, and how long they wait for each other."""

import asyncio

import pytest

from transfer.engine.fanout import WINDOW_BYTES, Fanout, FanoutReader, is_lagging
from transfer.errors import NotFound
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.testing.memory import MemorySource

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * (8 * MIB // 256)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
def blob(source: MemorySource) -> Descriptor:
    return source.add_blob(CONTENT, OCI_LAYER_GZIP)


async def read(reader: FanoutReader, blob: Descriptor, offset: int = 0) -> bytes:
    content = bytearray()
    async with reader.open_blob(blob, offset=offset) as pieces:
        async for piece in pieces:
            content += piece
    return bytes(content)


async def read_slowly(reader: FanoutReader, blob: Descriptor, go_on: asyncio.Event) -> bytes:
    """Take one piece, and the rest when told to."""
    content = bytearray()
    async with reader.open_blob(blob) as pieces:
        async for piece in pieces:
            content += piece
            await go_on.wait()
    return bytes(content)


async def test_all_readers_get_every_byte_from_one_read(source: MemorySource, blob: Descriptor) -> None:
    cast = Fanout(source, blob, readers=3, patience=5)
    *contents, _ = await asyncio.gather(*(read(reader, blob) for reader in cast.readers), cast.run())
    assert contents == [CONTENT] * 3
    assert source.calls["open_blob"] == 1


async def test_readers_that_resume_get_the_bytes_from_their_offsets_on(source: MemorySource, blob: Descriptor) -> None:
    cast = Fanout(source, blob, readers=3, patience=5)
    offsets = [3 * MIB + 1, 7 * MIB, blob.size - 1]
    *contents, _ = await asyncio.gather(*map(read, cast.readers, [blob] * 3, offsets), cast.run())
    assert contents == [CONTENT[offset:] for offset in offsets]
    assert source.calls["open_blob"] == 1


async def test_reading_begins_when_the_last_one_has_come(source: MemorySource, blob: Descriptor) -> None:
    first, second = (cast := Fanout(source, blob, readers=2, patience=5)).readers
    reading = asyncio.gather(read(first, blob), cast.run())
    await asyncio.sleep(0.01)
    assert source.calls["open_blob"] == 0
    assert await read(second, blob) == CONTENT
    await reading
    assert source.calls["open_blob"] == 1


async def test_one_that_needs_no_bytes_is_not_waited_for(source: MemorySource, blob: Descriptor) -> None:
    first, second = (cast := Fanout(source, blob, readers=2, patience=60)).readers
    second.withdraw()
    content, _ = await asyncio.gather(read(first, blob), cast.run())
    assert content == CONTENT


async def test_nothing_is_read_when_nobody_wants_it(source: MemorySource, blob: Descriptor) -> None:
    cast = Fanout(source, blob, readers=2, patience=60)
    for reader in cast.readers:
        reader.withdraw()
    await cast.run()
    assert source.calls["open_blob"] == 0


async def test_the_fast_are_never_further_ahead_than_the_window(source: MemorySource, blob: Descriptor) -> None:
    fast, slow = (cast := Fanout(source, blob, readers=2, patience=60)).readers
    go_on = asyncio.Event()
    reading = asyncio.gather(read(fast, blob), read_slowly(slow, blob, go_on), cast.run())
    await asyncio.sleep(0.05)
    assert fast.position == slow.position <= WINDOW_BYTES + 2 * MIB
    go_on.set()
    first, second, _ = await reading
    assert (first, second) == (CONTENT, CONTENT)
    assert source.calls["open_blob"] == 1


async def test_one_that_stands_still_is_let_go_of_and_reads_on_by_itself(
    source: MemorySource, blob: Descriptor
) -> None:
    fast, slow = (cast := Fanout(source, blob, readers=2, patience=0.05)).readers
    go_on, reported = asyncio.Event(), list[str]()
    slow.on_lag = lambda: reported.append("slow")
    late = asyncio.create_task(read_slowly(slow, blob, go_on))
    content, _ = await asyncio.gather(read(fast, blob), cast.run())
    assert (content, reported) == (CONTENT, ["slow"])
    go_on.set()
    assert await late == CONTENT
    assert source.calls["open_blob"] == 2


async def test_one_that_never_comes_is_let_go_of_once_others_wait(source: MemorySource, blob: Descriptor) -> None:
    first, late = (cast := Fanout(source, blob, readers=2, patience=0.05)).readers
    content, _ = await asyncio.gather(read(first, blob), cast.run())
    assert content == CONTENT
    assert await read(late, blob) == CONTENT
    assert source.calls["open_blob"] == 2


async def test_one_that_is_alone_is_waited_for_without_end(source: MemorySource, blob: Descriptor) -> None:
    slow, gone = (cast := Fanout(source, blob, readers=2, patience=0.01)).readers
    gone.withdraw()
    go_on = asyncio.Event()
    reading = asyncio.gather(read_slowly(slow, blob, go_on), cast.run())
    await asyncio.sleep(0.05)
    go_on.set()
    assert (await reading)[0] == CONTENT
    assert source.calls["open_blob"] == 1


async def test_one_that_opens_again_reads_by_itself(source: MemorySource, blob: Descriptor) -> None:
    steady, again = (cast := Fanout(source, blob, readers=2, patience=5)).readers

    async def read_twice() -> bytes:
        async with again.open_blob(blob) as pieces:
            await anext(pieces)
        return await read(again, blob, offset=100)

    content, rest, _ = await asyncio.gather(read(steady, blob), read_twice(), cast.run())
    assert (content, rest) == (CONTENT, CONTENT[100:])
    assert source.calls["open_blob"] == 2


async def test_an_error_of_the_source_reaches_every_reader(source: MemorySource) -> None:
    absent = Descriptor(media_type=OCI_LAYER_GZIP, digest=MemorySource().add_blob(b"x", "").digest, size=1)
    cast = Fanout(source, absent, readers=2, patience=5)
    results = await asyncio.gather(*(read(one, absent) for one in cast.readers), cast.run(), return_exceptions=True)
    assert [type(result) for result in results] == [NotFound, NotFound, type(None)]


async def test_a_read_that_is_cancelled_lets_the_readers_finish_by_themselves(
    source: MemorySource, blob: Descriptor
) -> None:
    cast = Fanout(source, blob, readers=1, patience=5)
    running = asyncio.create_task(cast.run())
    async with cast.readers[0].open_blob(blob) as pieces:
        first = await anext(aiter(pieces))
        running.cancel()
        await asyncio.wait({running})
        rest = b"".join([piece async for piece in pieces])
    assert first + rest == CONTENT
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("wait", "waits", "elapsed", "lagging"),
    [
        (0, 0, 1000, False),
        (9.9, 9.9, 9.9, False),
        (10, 10, 10, True),
        (10, 10, 1000, True),
        (1, 100, 1000, False),
        (1, 500, 1000, True),
        (1, 9, 10, False),
    ],
)
def test_who_stands_still_or_halves_the_speed_of_the_others_is_lagging(
    wait: float, waits: float, elapsed: float, lagging: bool
) -> None:
    assert is_lagging(wait, waits, elapsed, 10) is lagging
