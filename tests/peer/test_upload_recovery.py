"""Upload sessions that expire, are taken over or forget: recovered, and the content is right."""

import pytest

from tests.support.behind_peer import PART, Site, starting
from tests.support.interposer import Members, refusal
from tests.support.scripted import Arrived
from transfer import RegistryError, UploadLost
from transfer.events import BlobProgress, BlobStarted, Event, Notice, Retrying
from transfer.testing.images import ImageBuilder

SIZE = 4 * PART + 7
ALL_PARTS = [(0, 200), (PART, 200), (2 * PART, 200), (3 * PART, 200), (4 * PART, 200)]


async def test_a_stopped_push_continues_inside_its_layer(site: Site, layout: ImageBuilder) -> None:
    image, events = layout.image([SIZE]), list[Event]()
    await site.add_config(image)
    await site.push_stopped(image, at=3 * PART)
    result = await site.push(image, observer=events.append)
    assert site.parts() == ALL_PARTS[3:]
    assert site.server.requests.count("InitiateLayerUpload") == 0
    layer = result.blobs[1]
    assert (layer.status, layer.resumed, layer.sent) == ("resumed", 3 * PART, PART + 7)
    assert BlobStarted(image.blobs[1], 3 * PART) in events
    assert site.journal_rows() == 0
    await site.assert_whole(image)


async def test_a_push_stopped_before_complete_sends_nothing_more(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    site.between.on("CompleteLayerUpload", refusal("AccessDeniedException"))
    with pytest.raises(RegistryError):
        await site.push(image)
    site.server.requests.clear()
    result = await site.push(image)
    assert site.parts() == []
    assert (result.blobs[1].resumed, result.blobs[1].sent) == (2 * PART, 0)
    await site.assert_whole(image)


async def test_an_upload_that_expired_between_the_runs_starts_over(site: Site, layout: ImageBuilder) -> None:
    image, events = layout.image([SIZE]), list[Event]()
    await site.add_config(image)
    await site.push_stopped(image, at=3 * PART)
    await site.stop()
    await site.start(upload_ttl=0.000_001)
    await site.restart()
    result = await site.push(image, observer=events.append)
    assert site.parts() == [(3 * PART, 400), *ALL_PARTS]
    assert site.server.requests.count("InitiateLayerUpload") == 1
    assert (result.blobs[1].status, result.blobs[1].resumed, result.blobs[1].sent) == ("uploaded", 0, SIZE)
    (notice,) = (event.message for event in events if isinstance(event, Notice))
    assert notice.startswith(f"blob {image.blobs[1].digest} starts over: UploadLayerPart: ")
    await site.assert_whole(image)


async def test_an_upload_lost_in_mid_push_starts_that_layer_over_and_no_other(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([SIZE, 2 * PART])
    await site.add_config(image)
    site.between.on("UploadLayerPart", refusal("UploadNotFoundException"), when=starting(2 * PART))
    result = await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 3
    assert sorted(site.parts()) == sorted([*ALL_PARTS[:2], *ALL_PARTS, *ALL_PARTS[:2]])
    assert [blob.sent for blob in result.blobs[1:]] == [SIZE + 2 * PART, 2 * PART]
    await site.assert_whole(image)


# Another byte of base64 belies the signature, and one that is none the encoding.
@pytest.mark.parametrize("character", [b"\x00", b"!", b'"'])
async def test_a_part_that_was_damaged_on_its_way_is_sent_once_more(
    site: Site, layout: ImageBuilder, character: bytes
) -> None:
    image, events = layout.image([SIZE]), list[Event]()
    await site.add_config(image)
    site.between.on("UploadLayerPart", site.between.damaging(character), when=starting(2 * PART))
    result = await site.push(image, observer=events.append)
    assert result.blobs[1].sent == SIZE
    (again,) = (event for event in events if isinstance(event, Retrying))
    assert "damaged on its way" in again.reason
    await site.assert_whole(image)


async def test_a_part_that_is_damaged_each_time_is_refused_in_the_registry_s_words(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    site.between.on("UploadLayerPart", site.between.damaging(b"!"), when=starting(2 * PART), for_ever=True)
    with pytest.raises(RegistryError, match="UploadLayerPart"):
        await site.push(image)
    assert await site.tags() == {}


async def test_an_upload_that_is_lost_each_time_ends_in_that_error(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    site.between.on("UploadLayerPart", refusal("UploadNotFoundException"), when=starting(PART), for_ever=True)
    with pytest.raises(UploadLost, match="said the peer"):
        await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 4
    assert await site.tags() == {}


@pytest.mark.parametrize(
    ("length", "right", "sessions"),
    [
        pytest.param(PART, True, 0, id="the same part, which is as good as ours"),
        pytest.param(PART, False, 1, id="other bytes of the same length, which Complete finds out"),
        pytest.param(PART // 2, True, 1, id="half of the part"),
        pytest.param(2 * PART, True, 1, id="two parts"),
    ],
)
async def test_an_upload_that_somebody_else_went_on_with_between_the_runs_is_recovered(
    site: Site, layout: ImageBuilder, length: int, right: bool, sessions: int
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    upload_id = await site.push_stopped(image, at=2 * PART)
    content = image.content(image.blobs[1])[2 * PART : 2 * PART + length]
    await site.add_part(upload_id, 2 * PART, content if right else bytes(length))
    site.server.requests.clear()
    await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == sessions
    assert len(site.parts()) <= 3 + 5 * sessions
    await site.assert_whole(image)


@pytest.mark.parametrize("length", [PART, PART // 2, 2 * PART])
async def test_an_upload_that_somebody_else_writes_to_in_mid_push_is_recovered(
    site: Site, layout: ImageBuilder, length: int
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)

    async def take_over() -> None:
        await site.add_part(site.last_upload(), 2 * PART, bytes(length))

    site.between.on("UploadLayerPart", site.between.after(take_over), when=starting(2 * PART))
    await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 2
    assert site.parts()[-5:] == ALL_PARTS
    await site.assert_whole(image)


async def test_a_registry_that_lost_confirmed_parts_between_the_runs_gets_them_again(
    site: Site, layout: ImageBuilder
) -> None:
    image, events = layout.image([SIZE]), list[Event]()
    await site.add_config(image)
    await site.push_stopped(image, at=PART)
    await site.save()
    await site.push_stopped(image, at=3 * PART)
    await site.roll_back()
    result = await site.push(image, observer=events.append)
    assert site.parts() == [(3 * PART, 400), *ALL_PARTS[1:]]
    assert (result.blobs[1].resumed, result.blobs[1].sent) == (PART, SIZE - PART)
    offsets = [event.offset for event in events if isinstance(event, BlobProgress)]
    assert offsets == [PART, 2 * PART, 3 * PART, 4 * PART, SIZE]
    await site.assert_whole(image)


async def test_a_registry_that_loses_confirmed_parts_in_mid_push_gets_them_again(
    site: Site, layout: ImageBuilder
) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    site.between.on("UploadLayerPart", site.between.after(site.save), when=starting(PART))
    site.between.on("UploadLayerPart", site.between.after(site.roll_back), when=starting(3 * PART))
    # Room for one part: the one that was read in vain must give its bytes back.
    await site.push(image, max_bytes_in_flight=PART)
    assert site.parts() == [(3 * PART, 400), *ALL_PARTS[1:]]
    await site.assert_whole(image)


async def test_a_stop_after_the_registry_moved_back_is_resumed(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)
    await site.push_stopped(image, at=PART)
    await site.save()
    await site.push_stopped(image, at=3 * PART)
    await site.roll_back()
    await site.push_stopped(image, at=2 * PART)
    result = await site.push(image)
    assert site.parts() == [(3 * PART, 400), *ALL_PARTS[2:]]
    assert result.blobs[1].resumed == 2 * PART
    await site.assert_whole(image)


async def test_a_registry_that_keeps_moving_back_ends_in_an_error(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([SIZE])
    await site.add_config(image)

    async def move_back(request: Arrived) -> None:
        last = request.json()["partFirstByte"] - 10
        await refusal("InvalidLayerPartException", lastValidByteReceived=last)(request)

    site.between.on("UploadLayerPart", move_back, when=lambda part: part["partFirstByte"] > 0, for_ever=True)
    with pytest.raises(UploadLost, match=f"{image.blobs[1].digest}.*keeps moving back"):
        await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 4
    assert site.between.operations.count("UploadLayerPart") == 4 * (1 + 5)
    assert await site.tags() == {}


@pytest.mark.parametrize("first", [0, PART])
async def test_a_refused_part_without_a_last_byte_starts_the_layer_over(
    site: Site, layout: ImageBuilder, first: int
) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)

    def silent(_: Members, reply: Members) -> Members:
        reply.pop("lastValidByteReceived")
        return reply

    # The answer is lost, and what the registry then says to the same part does not tell how far it is.
    steps = (site.between.lose, site.between.rewriting(silent))
    site.between.on("UploadLayerPart", *steps, when=starting(first))
    await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 2
    assert site.parts()[-2:] == ALL_PARTS[:2]
    await site.assert_whole(image)


@pytest.mark.parametrize("first", [0, PART])
async def test_parts_that_are_always_refused_without_a_last_byte_end_in_an_error(
    site: Site, layout: ImageBuilder, first: int
) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    refused = refusal("InvalidLayerPartException")
    site.between.on("UploadLayerPart", refused, when=starting(first), for_ever=True)
    with pytest.raises(UploadLost, match="said the peer"):
        await site.push(image)
    assert site.server.requests.count("InitiateLayerUpload") == 4


async def test_a_part_of_the_wrong_size_is_an_error_at_once(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    refused = refusal("InvalidLayerPartException", lastValidByteReceived=PART - 1)
    site.between.on("UploadLayerPart", refused, when=starting(PART), for_ever=True)
    with pytest.raises(RegistryError, match="said the peer") as caught:
        await site.push(image)
    assert caught.value.code == "InvalidLayerPartException"
    assert site.server.requests.count("InitiateLayerUpload") == 1


@pytest.mark.parametrize("code", ["InvalidLayerException", "LayerPartTooSmallException", "EmptyUploadException"])
async def test_a_resumed_upload_that_cannot_be_completed_starts_over(
    site: Site, layout: ImageBuilder, code: str
) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    await site.push_stopped(image, at=PART)
    site.between.on("CompleteLayerUpload", refusal(code))
    await site.push(image)
    assert site.parts() == [ALL_PARTS[1], *ALL_PARTS[:2]]
    await site.assert_whole(image)


async def test_a_layer_that_appears_meanwhile_is_success(site: Site, layout: ImageBuilder) -> None:
    image = layout.image([PART])
    await site.add_config(image)
    other = image.content(image.blobs[1])
    site.between.on("CompleteLayerUpload", site.between.after(lambda: site.add(other)))
    await site.push(image)
    assert [one.code for one in site.server.requests.of("CompleteLayerUpload")] == [None, "LayerAlreadyExistsException"]
    await site.assert_whole(image)
