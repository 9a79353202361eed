"""A registry that throttles or fails: waited for, counted, and given up with nothing half-done."""

import asyncio

import pytest

from tests.support.behind_peer import PART, Site, starting
from tests.support.interposer import refusal
from tests.support.scripted import Arrived, Step, answer
from transfer import RateLimited, RegistryError
from transfer.events import Event, Retrying
from transfer.testing.images import ImageBuilder

OPERATIONS = [
    "BatchGetImage",
    "BatchCheckLayerAvailability",
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "PutImage",
]
FAULTS = {
    "throttled": refusal("ThrottlingException"),
    "too many requests": refusal("429", 429, headers={"Retry-After": "0.06"}),
    "a fault": refusal("ServerException", 500),
    "a fault without a word": answer(503, b""),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_registry_that_fails_each_call_three_times_is_asked_a_fourth_time(
    site: Site, layout: ImageBuilder, fault: str
) -> None:
    image, events = layout.image([PART]), list[Event]()
    await site.add_config(image)
    for operation in OPERATIONS:
        site.between.on(operation, *[FAULTS[fault]] * 3)
    result = await site.push(image, observer=events.append)
    reported = [event for event in events if isinstance(event, Retrying)]
    assert [event.action.split()[0] for event in reported] == [name for name in OPERATIONS for _ in range(3)]
    assert [event.attempt for event in reported] == [1, 2, 3] * len(OPERATIONS)
    assert min(event.delay for event in reported) >= (0.06 if fault == "too many requests" else 0)
    assert (result.retries, result.blobs[1].retries) == (18, 9)
    assert site.parts() == [(0, 200)]
    await site.assert_whole(image)


async def test_throttling_halves_how_many_requests_are_on_their_way(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([10 + number for number in range(63)])
    full, throttled, here, most = asyncio.Event(), asyncio.Event(), 0, 0

    def first(wait_for: asyncio.Event, onward: Step) -> Step:
        async def step(request: Arrived) -> None:
            nonlocal here
            here += 1
            if here == 32:
                full.set()
            await wait_for.wait()
            await onward(request)
            here -= 1

        return step

    async def later(request: Arrived) -> None:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await site.between.forward(request)
        here -= 1

    def watch(event: Event) -> None:
        if isinstance(event, Retrying):
            throttled.set()

    site.between.on("InitiateLayerUpload", first(full, refusal("ThrottlingException")))
    site.between.on("InitiateLayerUpload", *[first(throttled, site.between.forward)] * 31)
    site.between.on("InitiateLayerUpload", later, for_ever=True)
    result = await site.push(image, observer=watch, max_concurrent_blobs=64)
    assert result.retries == 1
    # 16, and one more for each 16 or so that succeeded since then.
    assert 2 <= most <= 20


async def test_a_registry_that_fails_for_good_is_one_error_and_no_tag(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([3 * PART, 3 * PART + 1])
    await site.add_config(image)
    fault = refusal("ServerException", 500)
    site.between.on("UploadLayerPart", fault, when=starting(2 * PART), for_ever=True)
    with pytest.raises(RegistryError, match="said the peer") as caught:
        await site.push(image, max_attempts=3)
    assert (caught.value.status, caught.value.code) == (500, "ServerException")
    assert "UploadLayerPart: gave up after 3 tries in 0 s" in caught.value.__notes__
    assert any("this was about blob sha256:" in note for note in caught.value.__notes__)
    assert await site.tags() == {}
    assert site.server.requests.count("PutImage") == 0


async def test_what_was_confirmed_before_a_registry_failed_is_not_sent_again(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([3 * PART])
    await site.add_config(image)
    site.between.on("UploadLayerPart", refusal("ServerException", 500), when=starting(2 * PART), for_ever=True)
    with pytest.raises(RegistryError):
        await site.push(image, max_attempts=2)
    site.between.relent()
    result = await site.push(image)
    assert site.parts() == [(0, 200), (PART, 200), (2 * PART, 200)]
    assert (result.blobs[1].status, result.blobs[1].resumed) == ("resumed", 2 * PART)
    await site.assert_whole(image)


@pytest.mark.parametrize("operation", ["BatchGetImage", "UploadLayerPart"])
async def test_a_registry_that_throttles_for_good_is_that_error(
    site: Site, layout: ImageBuilder, operation: str
) -> None:
    image = layout.image([PART])
    site.between.on(operation, refusal("ThrottlingException"), for_ever=True)
    with pytest.raises(RateLimited, match=f"{operation}.*said the peer"):
        await site.push(image, max_attempts=2)
    assert await site.tags() == {}


async def test_a_registry_that_restarts_in_mid_push_is_ridden_out(site: Site, layout: ImageBuilder) -> None:
    image, failed = layout.image([4 * PART]), asyncio.Event()
    await site.add_config(image)

    def watch(event: Event) -> None:
        if isinstance(event, Retrying):
            failed.set()

    before = site.server.requests
    site.between.on("UploadLayerPart", site.between.after(site.stop), when=starting(2 * PART))
    push = asyncio.create_task(site.push(image, observer=watch, max_attempts=100))
    await failed.wait()
    await site.restart()
    result = await push
    assert [part.first_byte for part in before.of("UploadLayerPart")] == [0, PART]
    assert site.parts() == [(2 * PART, 200), (3 * PART, 200)]
    assert result.blobs[1].retries == result.retries >= 1
    await site.assert_whole(image)
