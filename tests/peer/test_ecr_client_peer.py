"""The ECR client against a registry that throttles, breaks and lies."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel

from tests.support.scripted import Peer, Step, answer, cut, drop, scripted, slow
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.config import TransferConfig
from transfer.errors import (
    ConnectionFailed,
    InvalidConfig,
    NotFound,
    RateLimited,
    RegistryError,
    TransferError,
    UploadLost,
)
from transfer.events import Event, Requested, Retrying
from transfer.http.bodies import RequestBody
from transfer.http.transport import Transport
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient, open_ecr
from transfer.registry.ecr.credentials import AwsCredentials

MIB = 1024 * 1024
MODEL = botocore.session.Session().get_service_model("ecr")
THROTTLED = answer(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
FAST = TransferConfig(max_attempts=4, backoff_base=0.001)


@pytest.fixture(scope="module")
def aws() -> AwsSession:
    """What botocore resolves, once for all tests: only the address of the peer differs."""
    keys = AwsCredentials(
        access_key_id="AKIAEXAMPLE", secret_access_key="canary-7d1f", session_token="canary-70ce", region="us-east-1"
    )
    return asyncio.run(AwsSession.load(keys))


@asynccontextmanager
async def client_of(aws: AwsSession, *steps: Step) -> AsyncIterator[tuple[EcrClient, Peer]]:
    here = copy(aws)
    async with scripted(*steps) as peer, Transport(FAST) as transport:
        here.url = f"{peer.url}/"
        yield EcrClient(here, transport=transport, retrier=Retrier(FAST), limits=Limits(FAST)), peer


SCALARS: dict[str, Any] = {"blob": b"bytes", "boolean": True, "timestamp": 0, "map": {}}


def example(shape: Any) -> Any:
    """The smallest value that a shape of the model takes."""
    if shape.type_name == "structure":
        return {name: example(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [example(shape.member)]
    if shape.type_name == "string":
        return (shape.enum or ["a" * shape.metadata.get("min", 1)])[0]
    return SCALARS.get(shape.type_name, 1)


def request_of(operation: OperationModel) -> dict[str, Any]:
    params: dict[str, Any] = example(operation.input_shape) if operation.input_shape else {}
    return params


async def test_every_operation_of_the_model_can_be_called(aws: AwsSession) -> None:
    async with client_of(aws, answer()) as (client, peer):
        for name in MODEL.operation_names:
            reply = await client.call(name, **request_of(MODEL.operation_model(name)))
            assert reply["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(MODEL.operation_names) >= 58
    assert peer.operations == MODEL.operation_names
    assert all(isinstance(request.json(), dict) for request in peer.requests)


async def test_a_request_is_what_boto3_sends(aws: AwsSession) -> None:
    async with client_of(aws, answer(200, {"uploadId": "u", "partSize": 10485760})) as (client, peer):
        reply = await client.initiate_layer_upload(repositoryName="app")
    assert (reply["uploadId"], reply["partSize"]) == ("u", 10485760)
    (request,) = peer.requests
    assert request.line == "POST / HTTP/1.1"
    assert request.headers["x-amz-target"] == "AmazonEC2ContainerRegistry_V20150921.InitiateLayerUpload"
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert (
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
        in request.headers["authorization"]
    )
    assert request.json() == {"repositoryName": "app"}


async def test_bytes_travel_as_base64(aws: AwsSession) -> None:
    async with client_of(aws, answer(200, {"lastByteReceived": 2})) as (client, peer):
        await client.upload_layer_part(
            repositoryName="app", uploadId="u", partFirstByte=0, partLastByte=2, layerPartBlob=b"abc"
        )
    assert peer.requests[0].json()["layerPartBlob"] == "YWJj"


async def test_a_layer_part_that_is_already_built_is_sent_as_it_is(aws: AwsSession) -> None:
    content = b'{"layerPartBlob":"' + b"A" * (3 * MIB) + b'"}'
    body = RequestBody.of(content)
    async with client_of(aws, answer(200, {"lastByteReceived": 9})) as (client, peer):
        assert (await client.send_layer_part(body))["lastByteReceived"] == 9
    assert peer.operations == ["UploadLayerPart"]
    assert peer.requests[0].body == content


async def test_throttling_and_faults_are_tried_again_until_one_answers(aws: AwsSession) -> None:
    reported: list[Event] = []
    steps = (THROTTLED, answer(500, b""), drop, answer(200, {"uploadId": "u", "partSize": 1}))
    async with client_of(aws, *steps) as (client, peer):
        reply = await client.reporting(reported.append).initiate_layer_upload(repositoryName="app")
    assert reply["uploadId"] == "u"
    assert len(peer.requests) == 4
    retries = [event for event in reported if isinstance(event, Retrying)]
    assert [(event.action, event.attempt) for event in retries] == [("InitiateLayerUpload app", n) for n in (1, 2, 3)]
    assert "Rate exceeded" in retries[0].reason
    assert reported.count(Requested("InitiateLayerUpload")) == 4


async def test_each_try_is_signed_afresh(aws: AwsSession) -> None:
    async with client_of(aws, drop, answer()) as (client, peer):
        await client.call("DescribeRegistry")
    assert all("authorization" in request.headers for request in peer.requests)


async def test_reporting_leaves_the_client_it_came_from_silent(aws: AwsSession) -> None:
    reported: list[Event] = []
    async with client_of(aws, THROTTLED, answer()) as (client, _):
        client.reporting(reported.append)
        await client.call("DescribeRegistry")
    assert reported == []


async def test_tries_end_with_the_last_error(aws: AwsSession) -> None:
    async with client_of(aws, THROTTLED) as (client, peer):
        with pytest.raises(RateLimited, match=r"^PutImage app: Rate exceeded; try again later") as caught:
            await client.put_image(repositoryName="app", imageManifest="{}")
    assert len(peer.requests) == 4
    assert caught.value.__notes__ == ["PutImage app: gave up after 4 tries in 0 s"]


async def test_a_429_waits_as_long_as_it_asks(aws: AwsSession) -> None:
    reported: list[Event] = []
    async with client_of(aws, answer(429, b"slow down", Retry_After="0.25"), answer()) as (client, _):
        await client.reporting(reported.append).call("DescribeRegistry")
    assert [event.delay for event in reported if isinstance(event, Retrying)] == [0.25]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RepositoryNotFoundException", NotFound),
        ("UploadNotFoundException", UploadLost),
        ("LimitExceededException", RegistryError),
        ("InvalidLayerPartException", RegistryError),
    ],
)
async def test_a_refusal_is_not_tried_again(aws: AwsSession, code: str, kind: type[RegistryError]) -> None:
    async with client_of(aws, answer(400, {"__type": code, "message": "No", "lastValidByteReceived": 7})) as (
        client,
        peer,
    ):
        with pytest.raises(kind) as caught:
            await client.initiate_layer_upload(repositoryName="app")
    assert (len(peer.requests), caught.value.details["lastValidByteReceived"]) == (1, 7)


@pytest.mark.parametrize(
    "content",
    [b"<html>Welcome to this hotel</html>", b"", b'{"uploadId": "u"', b"[]", b'{"createdAt": 1, "uploadId": {}'],
)
async def test_a_success_that_is_not_the_apis_is_an_error(aws: AwsSession, content: bytes) -> None:
    async with client_of(aws, answer(200, content)) as (client, peer):
        with pytest.raises(RegistryError, match="check that AWS_ENDPOINT_URL is the address of an ECR API"):
            await client.initiate_layer_upload(repositoryName="app")
    assert len(peer.requests) == 1


async def test_a_member_of_the_wrong_type_is_an_error(aws: AwsSession) -> None:
    async with client_of(aws, answer(200, {"repositories": [{"createdAt": "whenever"}]})) as (client, _):
        with pytest.raises(RegistryError, match="DescribeRepositories: the response is not one of the ECR API"):
            await client.call("DescribeRepositories")


@pytest.mark.parametrize(
    ("operation", "params", "output"),
    [
        ("Nonsense", {}, "'Nonsense' is not an operation of the ECR API"),
        ("CreateRepository", {}, 'Missing required parameter in input: "repositoryName"'),
        ("CreateRepository", {"repositoryName": 5}, "Invalid type for parameter repositoryName"),
        ("CreateRepository", {"repositoryName": "app", "color": 1}, 'Unknown parameter in input: "color"'),
    ],
)
async def test_parameters_that_do_not_fit_are_refused_before_anything_is_sent(
    aws: AwsSession, operation: str, params: dict[str, Any], output: str
) -> None:
    async with client_of(aws, answer()) as (client, peer):
        with pytest.raises(InvalidConfig, match=output) as caught:
            await client.call(operation, **params)
    assert peer.requests == []
    assert "\n" not in str(caught.value)


async def test_a_list_goes_over_all_pages(aws: AwsSession) -> None:
    pages = (
        answer(200, {"imageIds": [{"imageTag": "a"}, {"imageTag": "b"}], "nextToken": "2"}),
        answer(200, {"imageIds": [], "nextToken": "3"}),
        answer(200, {"imageIds": [{"imageTag": "c"}]}),
    )
    async with client_of(aws, *pages) as (client, peer):
        tags = [image["imageTag"] async for image in client.list_images(repositoryName="app", maxResults=2)]
    assert tags == ["a", "b", "c"]
    assert [request.json().get("nextToken") for request in peer.requests] == [None, "2", "3"]
    assert {request.json()["maxResults"] for request in peer.requests} == {2}


async def test_a_list_that_is_left_early_asks_for_no_further_page(aws: AwsSession) -> None:
    async with client_of(aws, answer(200, {"repositories": [{"repositoryName": "a"}], "nextToken": "2"})) as (
        client,
        peer,
    ):
        repositories = client.describe_repositories()
        assert (await anext(repositories))["repositoryName"] == "a"
    assert len(peer.requests) == 1


async def test_pages_come_whole_for_every_operation_that_has_them(aws: AwsSession) -> None:
    pages = (answer(200, {"registryId": "1", "nextToken": "2"}), answer(200, {"registryId": "1"}))
    async with client_of(aws, *pages) as (client, _):
        seen = [page async for page in client.paginate("DescribeRepositoryCreationTemplates")]
    assert [page["registryId"] for page in seen] == ["1", "1"]


async def test_an_operation_without_pages_says_so(aws: AwsSession) -> None:
    async with client_of(aws, answer()) as (client, _):
        with pytest.raises(InvalidConfig, match=r"DescribeRegistry has no pages: use call\(\)"):
            client.paginate("DescribeRegistry")


async def test_pages_that_go_in_circles_end(aws: AwsSession) -> None:
    pages = (answer(200, {"nextToken": "a"}), answer(200, {"nextToken": "b"}), answer(200, {"nextToken": "a"}))
    async with client_of(aws, *pages) as (client, peer):
        with pytest.raises(RegistryError, match="DescribeImages app: the registry repeats a page token"):
            assert [image async for image in client.describe_images(repositoryName="app")] == []
    assert len(peer.requests) == 3


async def test_cancelling_a_layer_part_stops_it_and_gives_its_slot_back(aws: AwsSession) -> None:
    async with client_of(aws, slow, answer()) as (client, peer):
        sending = asyncio.create_task(client.send_layer_part(RequestBody.of(bytes(64 * MIB))))
        await peer.cut_short(sending)
        await asyncio.wait_for(asyncio.gather(*(client.call("DescribeRegistry") for _ in range(40))), 5)
    assert len(peer.requests[0].body) < 32 * MIB


@pytest.mark.attack("secrets-in-logs")
async def test_secrets_are_in_no_message_note_or_log(aws: AwsSession, caplog: pytest.LogCaptureFixture) -> None:
    output = "It does not match. The Canonical String was 'x-amz-security-token:canary-70ce'"
    steps = (cut, drop, answer(500, b"<html>"), answer(400, {"__type": "InvalidSignatureException", "message": output}))
    reported: list[Event] = []
    caplog.set_level(logging.INFO)
    async with client_of(aws, *steps) as (client, _):
        with pytest.raises(TransferError) as caught:
            await client.reporting(reported.append).send_layer_part(RequestBody.of(bytes(4 * MIB)))
    assert len([event for event in reported if isinstance(event, Retrying)]) == 3
    assert "canary" not in f"{caught.value!r} {reported!r} {client!r} {caplog.text}"


async def test_an_endpoint_that_cannot_be_reached_is_named(aws: AwsSession) -> None:
    async with client_of(aws, answer()) as (_, peer):
        url = peer.url
    keys = AwsCredentials(access_key_id="a", secret_access_key="b", region="us-east-1", endpoint_url=url)
    async with open_ecr(credentials=keys, config=FAST) as client:
        with pytest.raises(ConnectionFailed, match=f"^CreateRepository app: {url[7:]}: no connection"):
            await client.create_repository(repositoryName="app")


@pytest.mark.parametrize("members", [{}, {"uploadId": "u"}, {"uploadId": "u", "partRize": 1}])
async def test_an_answer_without_what_it_is_for_is_an_error_of_the_registry(
    aws: AwsSession, members: dict[str, object]
) -> None:
    async with client_of(aws, answer(200, members)) as (client, _):
        with pytest.raises(RegistryError, match="is not one of the ECR API") as caught:
            await client.initiate_layer_upload(repositoryName="app")
    assert caught.value.code == "UnreadableAnswer"
