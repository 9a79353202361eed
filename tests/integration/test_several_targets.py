"""One image to several targets at once: each blob is read once, and the trouble of one target is not the others'."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.support.relay import relay
from transfer import AwsCredentials, Engine, InvalidConfig, Server, TransferConfig, TransferError
from transfer.endpoints.registry_access import RegistryAccess
from transfer.engine.result import PushResult
from transfer.events import At, BlobFinished, Event
from transfer.job import Destination, Job, Outcome
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
LOGIN = RegistryAccess(login="transfer:transfer")
SIZES = [5 * MIB, 3 * MIB, 1000, 1001]


@dataclass
class Ends:
    """A source with an image, and three registries to copy it to."""

    source: Server
    targets: list[Server]
    image: BuiltImage

    @property
    def origin(self) -> str:
        return f"{host(self.source)}/app:v1"

    def job(self, *references: str) -> Job:
        return Job(self.origin, tuple(Destination(one, LOGIN, create_repository=True) for one in references), (), LOGIN)

    def reads(self) -> Counter[str | None]:
        """How often each blob was read."""
        return Counter(record.digest for record in self.source.requests.of("GetBlob"))


def host(server: Server) -> str:
    return server.url.removeprefix("http://")


def engine(patience: float = 30.0) -> Engine:
    return Engine(TransferConfig(journal=False, backoff_base=0.01, backoff_max=0.05, patience=patience))


@pytest_asyncio.fixture
async def ends(layout: ImageBuilder) -> AsyncIterator[Ends]:
    image = layout.image(SIZES)
    async with AsyncExitStack() as stack:
        source, *targets = [await stack.enter_async_context(Server()) for _ in range(4)]
        ready = Ends(source, targets, image)
        async with engine() as pushing:
            await pushing.copy(image.source, ready.origin, target_access=LOGIN)
        source.requests.clear()
        yield ready


def digests(outcomes: list[Outcome]) -> list[str]:
    assert all(isinstance(one, PushResult) for one in outcomes), outcomes
    return [one.digest for one in outcomes if isinstance(one, PushResult)]


async def test_three_registries_cost_one_read_of_each_blob(ends: Ends) -> None:
    references = [f"{host(server)}/copy/app:v{number}" for number, server in enumerate(ends.targets)]
    async with engine() as copying:
        outcomes = await copying.run(ends.job(*references))
    assert digests(outcomes) == [ends.image.root.digest] * 3
    assert ends.reads() == Counter({blob.digest: 1 for blob in ends.image.blobs})
    assert ends.source.requests.count("GetManifest", 200) == 1
    for server in ends.targets:
        received = sum(record.blob_bytes for record in server.requests if "Upload" in record.operation)
        assert received == sum(blob.size for blob in ends.image.blobs)


async def test_targets_of_every_kind_are_fed_from_one_read(ends: Ends, tmp_path: Path) -> None:
    at_ecr = ends.targets[0]
    credentials = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=at_ecr.url)
    references = [
        f"{at_ecr.registry}/app:v1",
        f"{host(ends.targets[1])}/app:v1",
        f"oci:{tmp_path / 'out'}:v1",
        f"oci-archive:{tmp_path / 'out.tar'}:v1",
    ]
    async with Engine(TransferConfig(journal=False), credentials=credentials) as copying:
        outcomes = await copying.run(ends.job(*references))
    assert digests(outcomes) == [ends.image.root.digest] * 4
    assert ends.reads() == Counter({blob.digest: 1 for blob in ends.image.blobs})


async def test_a_layout_on_disk_goes_to_a_layout_and_a_registry(ends: Ends, tmp_path: Path) -> None:
    job = Job(ends.image.source, (Destination(f"oci:{tmp_path / 'out'}:v1"), ends.job(ends.origin + "2").targets[0]))
    async with engine() as copying:
        assert digests(await copying.run(job)) == [ends.image.root.digest] * 2


async def test_a_target_that_refuses_is_one_outcome_among_others(ends: Ends) -> None:
    good, also_good = (f"{host(server)}/app:v1" for server in ends.targets[:2])
    refused = Destination(f"{host(ends.targets[2])}/app:v1", RegistryAccess(login="transfer:wrong"))
    job = ends.job(good, also_good)
    async with engine() as copying:
        outcomes = await copying.run(Job(job.source, (job.targets[0], refused, job.targets[1]), (), LOGIN))
    assert [type(one).__name__ for one in outcomes] == ["PushResult", "Unauthorized", "PushResult"]
    assert isinstance(outcomes[1], TransferError)
    assert outcomes[1].side == "target"
    assert ends.reads() == Counter({blob.digest: 1 for blob in ends.image.blobs})


@pytest.mark.parametrize("when", ["before it is asked", "in the middle of a layer"])
async def test_a_target_that_stands_still_does_not_hold_up_the_others(ends: Ends, when: str) -> None:
    port = urlsplit(ends.targets[2].url).port
    assert port is not None
    async with relay(port) as link:
        finished = Counter[str]()

        def observe(event: Event) -> None:
            assert isinstance(event, At)
            if isinstance(event.event, BlobFinished):
                finished[event.target] += 1

        stuck = f"127.0.0.1:{link.port}/app:v1"
        references = [f"{host(server)}/app:v1" for server in ends.targets[:2]]
        async with engine(patience=0.3) as copying:
            if when == "before it is asked":
                link.stall()
            running = asyncio.create_task(copying.run(ends.job(*references, stuck), observer=observe))
            while when != "before it is asked" and not ends.targets[2].requests.count("PostUpload"):
                await asyncio.sleep(0.001)
            link.stall()
            async with asyncio.timeout(20):
                while not all(server.requests.count("PutManifest", 201) for server in ends.targets[:2]):
                    await asyncio.sleep(0.01)
            assert not running.done()
            assert [finished[one] for one in references] == [len(ends.image.blobs)] * 2
            link.flow()
            assert digests(await running) == [ends.image.root.digest] * 3


async def test_a_copy_to_several_that_is_cancelled_leaves_nothing(ends: Ends) -> None:
    references = [f"{host(server)}/app:v1" for server in ends.targets]
    async with engine() as copying:
        running = asyncio.create_task(copying.run(ends.job(*references)))
        while not any(server.requests.count("PostUpload") for server in ends.targets):
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert copying.limits.idle
        assert digests(await copying.run(ends.job(*references))) == [ends.image.root.digest] * 3
    assert not any(server.requests.count("PutManifest", 500) for server in ends.targets)


async def test_a_target_named_twice_is_refused_before_anything_is_asked(ends: Ends) -> None:
    reference = f"{host(ends.targets[0])}/app:v1"
    async with engine() as copying:
        with pytest.raises(InvalidConfig, match="named twice"):
            await copying.run(ends.job(reference, reference))
    assert len(ends.source.requests) == 0
