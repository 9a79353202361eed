"""boto3, as it comes, signs in to the embedded registry and downloads layers from it."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.boto3_ecr import Ecr, digest_of, fetch
from transfer.server import Server


async def test_a_token_is_for_this_registry_and_12_hours(ecr: Ecr, server: Server) -> None:
    (entry,) = (await ecr.get_authorization_token())["authorizationData"]
    user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert password
    assert timedelta(hours=11, minutes=59) < entry["expiresAt"] - datetime.now(UTC) <= timedelta(hours=12)
    assert entry["proxyEndpoint"] == server.url


async def test_a_layer_is_downloaded_whole_and_in_ranges(ecr: Ecr, server: Server) -> None:
    text = await ecr.image("content")
    await ecr.put_image(repositoryName="app", imageManifest=text)
    digest = json.loads(text)["layers"][0]["digest"]
    url = (await ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest))["downloadUrl"]
    status, body, headers = await asyncio.to_thread(fetch, url)
    assert (status, body, headers["Content-Length"], headers["Accept-Ranges"]) == (200, b"content", "7", "bytes")
    assert headers["ETag"]
    status, body, headers = await asyncio.to_thread(fetch, url, Range="bytes=2-4")
    assert (status, body, headers["Content-Range"]) == (206, b"nte", "bytes 2-4/7")
    assert (await asyncio.to_thread(fetch, url, Range="bytes=7-"))[0] == 416
    status, body, _ = await asyncio.to_thread(fetch, url, Authorization="Basic eDp5")
    assert status == 400
    assert b"<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed" in body
    assert (await asyncio.to_thread(fetch, url.replace("Expires=3600", "Expires=9999")))[0] == 403
    records = [(record.status, record.blob_bytes, record.digest) for record in server.requests.of("DownloadLayer")]
    assert records[:2] == [(200, 7, digest), (206, 3, digest)]


async def test_only_layers_of_an_image_have_a_url(ecr: Ecr) -> None:
    layer = await ecr.upload(b"layer")
    ask = {"repositoryName": "app", "layerDigest": layer}
    await ecr.refused("LayerInaccessible", "get_download_url_for_layer", **ask)
    absent = ask | {"layerDigest": digest_of(b"absent")}
    await ecr.refused("LayersNotFound", "get_download_url_for_layer", **absent)


async def test_a_url_expires(session: boto3.Session) -> None:
    async with Server(url_ttl=1) as server:
        ecr = Ecr(session, server)
        await ecr.create_repository(repositoryName="app")
        text = await ecr.image()
        await ecr.put_image(repositoryName="app", imageManifest=text)
        digest = json.loads(text)["config"]["digest"]
        url = (await ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest))["downloadUrl"]
        await asyncio.sleep(2.1)  # a URL counts in whole seconds
        status, body, headers = await asyncio.to_thread(fetch, url)
        ecr.client.close()
    assert status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in body
    assert headers["Content-Type"].startswith("application/xml")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "wrong"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
async def test_wrong_credentials_are_refused(
    connect: Callable[..., Ecr], server: Server, changed: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        await connect(**changed).create_repository(repositoryName="app")
    assert caught.value.response["Error"]["Code"] == code
    (record,) = server.requests
    assert (record.operation, record.status, record.code) == ("CreateRepository", 400, code)


async def test_any_credentials_do_without_authentication(session: boto3.Session) -> None:
    async with Server(auth=False) as server:
        ecr = Ecr(session, server, aws_access_key_id="any", aws_secret_access_key="thing", region_name="eu-west-1")
        await ecr.create_repository(repositoryName="app")
        ecr.client.close()
    assert server.requests.count("CreateRepository", 200) == 1
