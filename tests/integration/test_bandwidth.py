"""The bytes of blobs keep to the bandwidth, each counted once each way, by a clock that moves while somebody sleeps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

import pytest

from tests.support.clock import Time
from tests.support.command import Command
from tests.support.copying import copy_image, new_sharing
from tests.support.distribution_ends import SERVER_LOGIN, Registry, opened
from transfer import Engine, Server, TransferConfig
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import UNPACED, Pace
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.protocols import Source, Target
from transfer.http.settings import RegistrySettings
from transfer.http.transport import Transport
from transfer.local.layout.source import LayoutSource
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.create_repository import RepositoryCreation, RepositorySettings
from transfer.registry.ecr.source import EcrSource
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.state.journal import NoState
from transfer.testing.images import BuiltImage, ImageBuilder
from transfer.testing.memory import MemoryTarget

MIB = 1024 * 1024
PLAIN = RegistrySettings(plain_http=True)
RATE = 100_000
SLOWLY = TransferConfig(max_bandwidth=RATE)


def seconds(content: int) -> float:
    """How long so many bytes take, half a second's worth of them being saved up at first."""
    return content / RATE - 0.5


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image((MIB + 7, 500_000, 3))


def size(image: BuiltImage) -> int:
    return sum(blob.size for blob in image.blobs)


@asynccontextmanager
async def distribution(
    server: Server, clock: Time, config: TransferConfig = SLOWLY, pace: Pace = UNPACED
) -> AsyncIterator[Registry]:
    place = server.url.removeprefix("http://")
    ends = opened(place, logins=SERVER_LOGIN, settings=PLAIN, config=config, pace=pace, sleep=clock.sleep, clock=clock)
    async with ends as registry:
        yield registry


@asynccontextmanager
async def ecr(server: Server, session: AwsSession, clock: Time) -> AsyncIterator[tuple[Source, Target, Limits]]:
    """Two repositories of the embedded registry by the ECR API."""
    limits, here, retrier = Limits(SLOWLY, sleep=clock.sleep, clock=clock), copy(session), Retrier(SLOWLY)
    here.url = server.url
    async with Transport(SLOWLY) as transport:
        client = EcrClient(here, transport=transport, retrier=retrier, limits=limits)
        site = UploadSite("bb", client, "123456789012", "bb", NoState(), limits.bytes, limits.steps)
        source = EcrSource(client, transport, retrier, registry_id="123456789012", repository="aa")
        creation = RepositoryCreation(client, site.names, RepositorySettings())
        yield source, EcrTarget(site, known=set(), creation=creation), limits


async def move(image: BuiltImage, source: Source, target: Target, limits: Limits) -> None:
    copied = await copy_image(source, image.root, target, tag="v1", sharing=new_sharing(limits))
    assert [blob.status for blob in copied.blobs] == ["uploaded"] * len(image.blobs)


async def test_what_is_sent_to_and_read_from_a_registry_is_counted(server: Server, image: BuiltImage) -> None:
    clock = Time(running=True)
    async with distribution(server, clock) as registry:
        await move(
            image, LayoutSource(image.path), registry.target("aa", chunk=300_000, threshold=400_000), registry.limits
        )
        assert clock.now == pytest.approx(seconds(size(image)))
        await move(image, registry.source("aa"), MemoryTarget(), registry.limits)
        assert clock.now == pytest.approx(seconds(2 * size(image)))
        registry.client.habits.mounts = False
        await move(image, registry.source("aa"), registry.target("bb"), registry.limits)
        assert clock.now == pytest.approx(seconds(4 * size(image))), "each byte comes from there, and goes there"
    assert server.requests.count("PatchUpload") > 3


async def test_what_goes_to_ecr_by_its_api_is_counted_without_base64(
    server: Server, aws_session: AwsSession, image: BuiltImage
) -> None:
    clock = Time(running=True)
    async with ecr(server, aws_session, clock) as (_, target, limits):
        await move(image, LayoutSource(image.path), target, limits)
    assert clock.now == pytest.approx(seconds(size(image)))


async def test_what_ecr_sends_from_elsewhere_is_counted(
    server: Server, aws_session: AwsSession, image: BuiltImage
) -> None:
    clock = Time(running=True)
    async with distribution(server, clock, TransferConfig()) as registry:
        await move(image, LayoutSource(image.path), registry.target("aa"), registry.limits)
    assert clock.slept == [], "nothing waits where there is no limit"
    async with ecr(server, aws_session, clock) as (source, _, limits):
        await move(image, source, MemoryTarget(), limits)
    assert clock.now == pytest.approx(seconds(size(image)))


async def test_a_registry_has_a_bandwidth_of_its_own(server: Server, image: BuiltImage) -> None:
    clock = Time(running=True)
    async with distribution(server, clock, TransferConfig(), Pace(max_bandwidth=RATE)) as registry:
        await move(image, LayoutSource(image.path), registry.target("aa"), registry.limits)
    assert clock.now == pytest.approx(seconds(size(image)))


async def test_many_blobs_at_once_keep_to_it_together(server: Server, layout: ImageBuilder) -> None:
    image, clock = layout.image([100_000 + number for number in range(20)]), Time(running=True)
    async with distribution(server, clock) as registry:
        await move(image, LayoutSource(image.path), registry.target("aa"), registry.limits)
    assert clock.now == pytest.approx(seconds(size(image)))


async def test_a_copy_that_waits_for_its_bandwidth_can_be_cancelled(server: Server, image: BuiltImage) -> None:
    slow = RegistryAccess(login="transfer:transfer", max_bandwidth=1000)
    place = server.url.removeprefix("http://")
    async with Engine(TransferConfig(journal=False)) as engine:
        copying = asyncio.create_task(engine.push(image.source, f"{place}/app:v1", target_access=slow))
        while not server.requests.count("PostUpload"):
            await asyncio.sleep(0.01)
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(copying, 5)
    assert server.requests.count("PutManifest") == 0


def test_the_command_line_takes_a_bandwidth(registry: Server, app: str, image: BuiltImage, command: Command) -> None:
    command.ok("push", image.source, f"{app}:v1", "--max-bandwidth", "64MiB")
    assert registry.requests.count("PutImage", 200) == 1
    refused = command("push", image.source, f"{app}:v1", "--max-bandwidth", "fast")
    assert refused.code == 2
    assert "'fast' is not a size such as 64MiB" in refused.err
