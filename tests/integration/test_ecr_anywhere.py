"""The ECR API at hosts that are not AWS's: `ecr://HOST/REPOSITORY`."""

from collections import Counter

import pytest

from tests.support.scripted import answer, scripted
from transfer import AwsCredentials, Engine, Server, TransferConfig, TransferError
from transfer.endpoints.registry_access import RegistryAccess
from transfer.testing.images import ImageBuilder

KEYS = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", region="us-east-1")
ABSENT = answer(400, {"__type": "RepositoryNotFoundException", "message": "no"})
ONCE = TransferConfig(max_attempts=1, journal=False)


def place(server: Server) -> str:
    return f"ecr://{server.url.partition('//')[2]}"


async def test_what_a_push_prints_can_be_read_from(server: Server, layout: ImageBuilder) -> None:
    image, app = layout.image([1000]), f"{place(server)}/team/app"
    async with Engine(credentials=KEYS) as engine:
        pushed = await engine.push(image.source, f"{app}:v1", create_repository=True)
        copied = await engine.copy(pushed.reference, f"{app}:v2")
        assert [tag async for tag in engine.tags(app)] == ["v1", "v2"]
        await engine.delete(f"{app}:v1")
        graph = (await engine.inspect(copied.reference)).graph
    assert pushed.reference == copied.reference == f"{app}@{image.root.digest}"
    assert graph.root.digest == image.root.digest
    asked = Counter(record.operation for record in server.requests)
    assert (asked["UploadLayerPart"], asked["PutImage"], asked["BatchDeleteImage"]) == (2, 2, 1)


async def test_the_host_that_is_spelled_out_comes_before_the_endpoint_of_the_environment(
    server: Server, layout: ImageBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1")
    async with Engine(ONCE, credentials=KEYS) as engine:
        pushed = await engine.push(layout.image([10]).source, f"{place(server)}/app", create_repository=True)
    assert server.requests.count("PutImage", 200) == 1
    assert pushed.uploaded.count == 2


async def test_an_account_that_is_not_known_is_not_named(layout: ImageBuilder) -> None:
    async with scripted(ABSENT) as peer, Engine(ONCE, credentials=KEYS) as engine:
        with pytest.raises(TransferError, match="BatchGetImage app: no"):
            await engine.inspect(f"ecr://127.0.0.1:{peer.port}/app:v1")
    assert peer.requests[0].json().keys() == {"repositoryName", "imageIds", "acceptedMediaTypes"}


async def test_another_host_than_this_one_is_spoken_to_by_tls_unless_told_otherwise(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(ABSENT) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with Engine(ONCE, credentials=KEYS) as engine:
            for access in (RegistryAccess(plain_http=True), RegistryAccess()):
                with pytest.raises(TransferError):
                    await engine.inspect("ecr://ecr.example:8080/app:v1", access=access)
    assert [request.line.split()[:2] for request in proxy.requests] == [
        ["POST", "http://ecr.example:8080/"],
        ["CONNECT", "ecr.example:8080"],
    ]


async def test_blobs_are_mounted_by_its_docker_endpoint(server: Server, layout: ImageBuilder) -> None:
    image, root = layout.image([1000]), place(server)
    async with Engine(credentials=KEYS) as engine:
        await engine.push(image.source, f"{root}/first:v1", create_repository=True)
        copied = await engine.copy(f"{root}/first:v1", f"{root}/second:v1", ecr_protocol="registry")
    assert (copied.mounted.count, copied.sent) == (2, 0)


async def test_a_side_has_an_endpoint_of_its_own(server: Server, layout: ImageBuilder) -> None:
    image, elsewhere = layout.image([10]), RegistryAccess(endpoint_url=server.url)
    environment = AwsCredentials(
        access_key_id="transfer", secret_access_key="transfer", region="us-east-1", endpoint_url="http://127.0.0.1:1"
    )
    for app in (f"{server.registry}/app", "ecr://ecr.example/app"):
        async with Engine(ONCE, credentials=environment) as engine:
            pushed = await engine.push(
                image.source, f"{app}:v1", target_access=elsewhere, create_repository=True, ecr_protocol="registry"
            )
            assert pushed.digest == image.root.digest
