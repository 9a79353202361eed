"""The embedded registry refuses what comes too fast, in both protocols, and its log says so."""

import pytest

from tests.support.command import started
from tests.support.server_calls import Calls, Refused
from tests.support.v2_calls import V2
from transfer.server import Server

REFUSED = {"__type": "ThrottlingException", "message": "Rate exceeded"}


async def outcome(call: Calls, operation: str, **parameters: object) -> tuple[int, object]:
    try:
        await call(operation, **parameters)
    except Refused as refused:
        return refused.status, refused.body
    return 200, None


async def test_the_api_answers_400_and_the_log_has_it() -> None:
    async with Server(auth=False, throttle={"InitiateLayerUpload": 0.001}) as server, Calls(server.url) as call:
        await call("CreateRepository")
        served = [await outcome(call, "InitiateLayerUpload") for _ in range(3)]
        assert served == [(200, None), (400, REFUSED), (400, REFUSED)]
        assert [await outcome(call, "DescribeRepositories", repositoryName=None) for _ in range(3)] == [(200, None)] * 3
        log = server.requests.of("InitiateLayerUpload")
        assert [(one.status, one.code, one.repository) for one in log] == [
            (200, None, "app"),
            (400, "ThrottlingException", "app"),
            (400, "ThrottlingException", "app"),
        ]


async def test_a_layer_part_that_comes_too_fast_is_refused_whole() -> None:
    async with Server(auth=False, throttle={"UploadLayerPart": 0.001}) as server, Calls(server.url) as call:
        await call("CreateRepository")
        upload_id = await call.start()
        content = bytes(6 * 1024 * 1024)
        assert await call.part(upload_id, 0, content) == len(content)
        with pytest.raises(Refused, match="ThrottlingException"):
            await call.part(upload_id, len(content), content)
        assert [one.status for one in server.requests.of("UploadLayerPart")] == [200, 400]


async def test_v2_answers_429_and_shares_the_quota_with_the_api() -> None:
    async with Server(auth=False, throttle={"InitiateLayerUpload": 0.001}) as server, V2(server.url) as v2:
        await v2.start()
        refused = await v2("POST", "app/blobs/uploads/")
        assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
        assert refused.json["errors"][0]["message"] == "Rate exceeded"
        async with Calls(server.url) as call:
            assert await outcome(call, "InitiateLayerUpload") == (400, REFUSED)
        assert [(one.status, one.code) for one in server.requests.of("PostUpload")] == [
            (202, None),
            (429, "TOOMANYREQUESTS"),
        ]


async def test_who_is_not_let_in_spends_nobodys_quota() -> None:
    async with Server(throttle={"ListImages": 0.001}) as server:
        async with V2(server.url) as stranger:
            assert [(await stranger("GET", "app/tags/list")).status for _ in range(2)] == [401, 401]
        async with V2(server.url, headers={"Authorization": "Basic dHJhbnNmZXI6dHJhbnNmZXI="}) as v2:
            assert [(await v2("GET", "app/tags/list")).status for _ in range(2)] == [404, 429]


async def test_a_server_saves_up_one_seconds_worth_by_itself() -> None:
    async with Server(auth=False, throttle={"ListImages": 5}) as server, V2(server.url) as v2:
        statuses = [(await v2("GET", "app/tags/list")).status for _ in range(5)]
    assert statuses == [404] * 5


def test_serve_takes_the_quotas_of_ecr_and_others() -> None:
    with started("serve", "--port", "0", "--throttle", "ecr", "--throttle", "PutImage=2") as process:
        assert process.stdout is not None
        assert "AWS_ENDPOINT_URL_ECR" in process.stdout.readline()
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
    with started("serve", "--port", "0", "--throttle", "PutImages=2") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("transfer: throttle PutImages: not an operation; there are BatchCheckLayerAvailability, ")
