"""Retry-After is honoured, within reason, whatever answer it comes with and whoever gives it."""

import asyncio
import time
from copy import copy
from email.utils import formatdate

import pytest

from tests.support.distribution_ends import CONFIG, opened
from tests.support.scripted import Step, answer, scripted
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.http.settings import RegistrySettings
from transfer.http.transport import Transport
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.source import EcrSource
from transfer.registry.oci.foreign_layers import ForeignLayers
from transfer.testing.memory import MemorySource

PLAIN = RegistrySettings(plain_http=True)
CONTENT = b"content"
TAGS = answer(200, {"name": "app", "tags": ["v1"]})
THROTTLED = {"__type": "ThrottlingException", "message": "Rate exceeded"}
MANY = {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}
# The longest that one wait is, however much a registry asks for.
LONGEST = 120.0


class Sleeps:
    """Sleeps without waiting, and remembers how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("1000000000", LONGEST),
        pytest.param(formatdate(time.time() + 86400, usegmt=True), LONGEST, id="tomorrow"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 408])
@pytest.mark.attack("retry-after")
async def test_a_registry_is_waited_for(status: int, asked: str, waited: float) -> None:
    sleep = Sleeps()
    async with (
        scripted(answer(status, MANY if status == 429 else b"", Retry_After=asked), TAGS) as peer,
        opened(f"127.0.0.1:{peer.port}", settings=PLAIN, sleep=sleep) as registry,
    ):
        assert [tag async for tag in registry.client.tags("app")] == ["v1"]
    assert sleep.slept == pytest.approx([waited], abs=0.01)


async def test_a_token_server_is_waited_for() -> None:
    sleep = Sleeps()
    steps = (answer(429, MANY, Retry_After="9"), answer(200, {"token": "t"}))
    async with scripted(*steps) as issuer:
        realm = f'Bearer realm="{issuer.url}/token",service="registry"'
        refused = answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, WWW_Authenticate=realm)
        async with (
            scripted(refused, TAGS) as peer,
            opened(f"127.0.0.1:{peer.port}", settings=PLAIN, sleep=sleep) as registry,
        ):
            assert [tag async for tag in registry.client.tags("app")] == ["v1"]
    assert sleep.slept == [9.0]


@pytest.mark.parametrize(
    "throttled",
    [
        answer(400, THROTTLED, Retry_After="11"),
        answer(429, b"", Retry_After="11"),
        answer(500, {"__type": "ServerException", "message": "x"}, Retry_After="11"),
        answer(503, b"<html>", Retry_After="11"),
    ],
)
async def test_the_api_of_ecr_is_waited_for(throttled: Step, aws_session: AwsSession) -> None:
    sleep, session = Sleeps(), copy(aws_session)
    async with (
        scripted(throttled, answer(200, {"uploadId": "u", "partSize": 1})) as peer,
        Transport(CONFIG) as transport,
    ):
        session.url = f"{peer.url}/"
        ecr = EcrClient(session, transport=transport, retrier=Retrier(CONFIG, sleep=sleep), limits=Limits(CONFIG))
        assert (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"] == "u"
    assert sleep.slept == [11.0]


@pytest.mark.parametrize("status", [429, 503])
async def test_the_address_of_a_layer_is_waited_for(status: int, aws_session: AwsSession) -> None:
    sleep, session = Sleeps(), copy(aws_session)
    blob = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(CONTENT), size=len(CONTENT))
    steps = (answer(status, b"", Retry_After="12"), answer(200, CONTENT))
    async with scripted(*steps) as storage, Transport(CONFIG) as transport:
        located = {"downloadUrl": f"{storage.url}/layer", "layerDigest": blob.digest}
        async with scripted(answer(200, located)) as peer:
            session.url = f"{peer.url}/"
            retrier = Retrier(CONFIG, sleep=sleep)
            ecr = EcrClient(session, transport=transport, retrier=retrier, limits=Limits(CONFIG))
            source = EcrSource(ecr, transport, retrier, registry_id=None, repository="app")
            async with source.open_blob(blob) as pieces:
                assert b"".join([piece async for piece in pieces]) == CONTENT
    assert sleep.slept == [12.0]


@pytest.mark.parametrize("status", [429, 503])
async def test_the_address_of_a_foreign_layer_is_waited_for(status: int) -> None:
    sleep = Sleeps()
    steps = (answer(status, b"", Retry_After="13"), answer(200, CONTENT))
    async with scripted(*steps) as peer, Transport(CONFIG) as transport:
        blob = Descriptor(
            media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            digest=Digest.of(CONTENT),
            size=len(CONTENT),
            urls=(f"{peer.url}/layer",),
        )
        retrier = Retrier(CONFIG, sleep=sleep)
        source = ForeignLayers(MemorySource(), transport, retrier, registry="127.0.0.1:5000")
        async with source.open_blob(blob) as pieces:
            assert b"".join([piece async for piece in pieces]) == CONTENT
    assert sleep.slept == [13.0]
