"""Pushes keep to the quotas of ECR, so that a registry that throttles has next to nothing to refuse."""

import asyncio
from collections.abc import AsyncIterator
from copy import copy

import pytest

from transfer import AwsCredentials, Engine, Server, TransferConfig
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.http.transport import Transport
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.testing.images import ImageBuilder

QUOTAS = {"PutImage": 10, "InitiateLayerUpload": 100}


@pytest.fixture
async def throttling() -> AsyncIterator[Server]:
    async with Server(throttle=QUOTAS, dialect="ecr") as running:
        yield running


def engine(server: Server) -> Engine:
    keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
    return Engine(TransferConfig(journal=False), credentials=keys)


def throttled(server: Server) -> int:
    return sum(one.code in {"ThrottlingException", "TOOMANYREQUESTS"} for one in server.requests)


async def test_a_hundred_images_at_once_are_put_without_being_throttled(
    throttling: Server, layout: ImageBuilder
) -> None:
    images = [layout.image((5, 50), seed=seed, tag=f"v{seed}") for seed in range(50)]
    app = f"{throttling.registry}/app"
    async with engine(throttling) as moving:
        await moving.push(images[0].source, f"{app}:first", create_repository=True)
        throttling.requests.clear()
        pushes = [
            moving.push(image.source, f"{app}:{tag}{number}")
            for number, image in enumerate(images)
            for tag in ("v", "again")
        ]
        results = await asyncio.gather(*pushes)
    assert len({result.digest for result in results}) == 50
    assert throttling.requests.count("PutImage", 200) == 100
    assert throttling.requests.count("InitiateLayerUpload", 200) > 50
    assert throttled(throttling) < len(throttling.requests) / 100


async def test_the_docker_endpoint_has_the_same_quotas(throttling: Server, layout: ImageBuilder) -> None:
    image = layout.image((5, 50))
    app = f"{throttling.registry}/app"
    async with engine(throttling) as moving:
        await moving.push(image.source, f"{app}:first", create_repository=True)
        await asyncio.sleep(0.2)  # the put above was counted apart, by the API's name
        tags = [f"{app}:v{number}" for number in range(25)]
        await asyncio.gather(*(moving.push(image.source, tag, ecr_protocol="registry") for tag in tags))
    assert throttling.requests.count("PutManifest", 201) == 25
    assert throttled(throttling) == 0


async def test_an_operation_whose_quota_is_not_known_is_slowed_down_until_it_fits(aws_session: AwsSession) -> None:
    patient = TransferConfig(max_attempts=20, backoff_base=0.05, backoff_max=0.5)
    session, limits = copy(aws_session), Limits(patient)
    async with Server(throttle={"DescribeRepositories": 50}) as server, Transport(patient) as transport:
        session.url = server.url
        ecr = EcrClient(session, transport=transport, retrier=Retrier(patient), limits=limits)

        async def ask() -> list[object]:
            return [one async for one in ecr.describe_repositories()]

        assert await asyncio.gather(*(ask() for _ in range(150))) == [[]] * 150
        throttled_calls = server.requests.count("DescribeRepositories", 400)
        assert server.requests.count("DescribeRepositories", 200) == 150
    assert throttled_calls > 0
    (window,) = limits.windows.values()
    assert (window.gate.capacity < 32, window.gate.held) == (True, 0)
