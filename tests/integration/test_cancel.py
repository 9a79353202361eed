"""A push that is cancelled, wherever it is: nothing of it is left, and the next one continues."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.behind_peer import PART, Site, starting
from tests.support.interposer import Members, refusal
from transfer import Engine
from transfer.events import Event, Retrying
from transfer.testing.images import ImageBuilder

SIZE = 3 * PART
LAYER_PARTS = [(0, 200), (PART, 200), (2 * PART, 200)]

# What is held, and how many bytes of the layer are confirmed by then.
MOMENTS = [
    pytest.param("BatchGetImage", None, 0, id="BatchGetImage"),
    pytest.param("BatchCheckLayerAvailability", None, 0, id="BatchCheckLayerAvailability"),
    pytest.param("InitiateLayerUpload", None, 0, id="InitiateLayerUpload"),
    pytest.param("UploadLayerPart", starting(0), 0, id="first part"),
    pytest.param("UploadLayerPart", starting(PART), PART, id="second part"),
    pytest.param("UploadLayerPart", starting(2 * PART), 2 * PART, id="last part"),
    pytest.param("CompleteLayerUpload", None, SIZE, id="CompleteLayerUpload"),
    pytest.param("PutImage", None, SIZE, id="PutImage"),
]


OTHERS = ("Peer.", "RequestHandler.", "BaseSelectorEventLoop._accept_connection")


def tasks_of_the_client() -> set[str]:
    """All tasks but the test's own, those of the peer and those of the registry."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    names = {getattr(task.get_coro(), "__qualname__", repr(task)) for task in others}
    return {name for name in names if not name.startswith(OTHERS)}


def open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # the one that reads the folder
            continue
        found.append(target.partition(":")[0] if target.startswith("socket") else target)
    return sorted(found)


@asynccontextmanager
async def nothing_stays_open(site: Site) -> AsyncIterator[None]:
    """All files and sockets that the block opened are closed soon after it: worker threads finish their read first."""
    before = open_files()
    yield
    async with asyncio.timeout(10):
        await site.between.deserted()
        while (after := open_files()) != before:
            await asyncio.sleep(0.005)
    assert after == before


async def cancel(push: asyncio.Task[object]) -> None:
    push.cancel()
    with pytest.raises(asyncio.CancelledError):
        await push
    assert tasks_of_the_client() == set()


def assert_idle(engine: Engine) -> None:
    """Nothing is held of what pushes share."""
    assert engine.limits.idle


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("answered", [False, True], ids=["before the registry", "after the registry"])
@pytest.mark.parametrize(("operation", "when", "confirmed"), MOMENTS)
async def test_a_push_that_is_cancelled_leaves_nothing_and_the_next_one_in_its_engine_continues(
    site: Site,
    layout: ImageBuilder,
    operation: str,
    when: Callable[[Members], bool] | None,
    confirmed: int,
    answered: bool,
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    held = site.between.held_back() if answered else site.between.held()
    site.between.on(operation, held, when=when or (lambda _: True))
    async with nothing_stays_open(site), site.engine() as engine:
        push = asyncio.create_task(engine.push(image.source, site.name()))
        await held.came.wait()
        await cancel(push)
        assert_idle(engine)
        result = await engine.push(image.source, site.name())
        assert_idle(engine)
        held.released.set()
    # An upload is in the journal from its first part on.
    begun_anew = operation == "UploadLayerPart" and confirmed == 0
    assert sorted(part for part in site.parts() if part[1] == 200) == [*LAYER_PARTS[:begun_anew], *LAYER_PARTS]
    layer, there = result.blobs[1], operation == "PutImage" or (operation == "CompleteLayerUpload" and answered)
    assert (layer.sent, layer.resumed) == ((0, 0) if there else (SIZE - confirmed, confirmed))
    await site.assert_whole(image)


async def test_a_cancelled_push_lets_go_of_its_rows_for_the_next_engine(site: Site, layout: ImageBuilder) -> None:
    image, held = layout.image([SIZE]), site.between.held()
    await site.add_config(image)
    site.between.on("UploadLayerPart", held, when=starting(2 * PART))
    push = asyncio.create_task(site.push(image))
    await held.came.wait()
    await cancel(push)
    held.released.set()
    await site.between.deserted()
    result = await site.push(image)
    assert (result.blobs[1].status, result.blobs[1].resumed) == ("resumed", 2 * PART)
    assert list(site.state.parent.glob("*.lock")) == []


async def test_a_push_that_is_cancelled_at_each_of_its_requests_in_turn_arrives_whole_in_the_end(
    site: Site, layout: ImageBuilder
) -> None:
    image, cancelled = layout.image([SIZE, 2 * PART, 10, 11, 12]), 0
    async with nothing_stays_open(site), site.engine() as engine:
        for number in range(1, 100):
            push = asyncio.create_task(engine.push(image.source, site.name()))
            await arrived(site, len(site.between.requests) + number, push)
            if push.done():
                await push
                break
            cancelled += 1
            await cancel(push)
            assert_idle(engine)
    assert cancelled > 3
    await site.assert_whole(image)


async def arrived(site: Site, count: int, push: asyncio.Task[object]) -> None:
    """Wait until so many requests have come, or the push is over."""
    while len(site.between.requests) < count and not push.done():
        site.between.came.clear()
        coming = asyncio.ensure_future(site.between.came.wait())
        await asyncio.wait([coming, push], return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()


async def test_a_push_that_is_cancelled_while_it_waits_to_try_again_ends_at_once(
    site: Site, layout: ImageBuilder
) -> None:
    image, waiting = layout.image([SIZE]), asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, Retrying):
            waiting.set()

    patient = refusal("ServerException", 503, headers={"Retry-After": "60"})
    site.between.on("UploadLayerPart", patient, for_ever=True)
    async with nothing_stays_open(site), site.engine() as engine:
        push = asyncio.create_task(engine.push(image.source, site.name(), observer=watch))
        await waiting.wait()
        await cancel(push)
        assert_idle(engine)


async def test_pushes_that_are_cancelled_while_they_wait_for_bytes_give_them_back(
    site: Site, layout: ImageBuilder
) -> None:
    image, held = layout.image([SIZE, SIZE + 1, SIZE + 2, SIZE + 3]), site.between.held()
    site.between.on("UploadLayerPart", held, for_ever=True)
    async with nothing_stays_open(site), site.engine(max_bytes_in_flight=PART + PART // 2) as engine:
        push = asyncio.create_task(engine.push(image.source, site.name()))
        await held.came.wait()
        await cancel(push)
        assert_idle(engine)
        held.released.set()
        await engine.push(image.source, site.name())
        assert_idle(engine)
    await site.assert_whole(image)


async def test_a_push_that_joined_a_cancelled_one_does_the_work_itself(site: Site, layout: ImageBuilder) -> None:
    image, held = layout.image([SIZE]), site.between.held()
    await site.add_config(image)
    site.between.on("UploadLayerPart", held, when=starting(PART))
    async with nothing_stays_open(site), site.engine() as engine:
        first = asyncio.create_task(engine.push(image.source, site.name("first")))
        await held.came.wait()
        second = asyncio.create_task(engine.push(image.source, site.name("second")))
        while site.between.operations.count("BatchCheckLayerAvailability") < 2:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        held.released.set()
        result = await second
    assert result.blobs[1].resumed == PART
    assert (await site.tags()) == {"second": image.root.digest}
    await site.assert_whole(image, "second")
