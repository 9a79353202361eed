"""boto3, as it comes, uploads layers by hand into the embedded registry, and reads what it refuses."""

import os
from typing import Any

import pytest

from tests.support.boto3_ecr import ACCOUNT, MIB, Ecr, digest_of
from transfer.server import Server


async def test_a_layer_of_three_parts_is_uploaded_by_hand(ecr: Ecr, server: Server) -> None:
    content = os.urandom(10 * MIB + 12345)
    started = await ecr.initiate_layer_upload(repositoryName="app")
    assert started["partSize"] == 10 * MIB
    for first in range(0, len(content), 5 * MIB):
        piece = content[first : first + 5 * MIB]
        reply = await ecr.part(started["uploadId"], first, piece)
        assert reply["lastByteReceived"] == first + len(piece) - 1
        assert (reply["registryId"], reply["repositoryName"]) == (ACCOUNT, "app")
    upload = {"repositoryName": "app", "uploadId": started["uploadId"]}
    digests = [f"sha256:{'0' * 64}", digest_of(content)]
    assert (await ecr.complete_layer_upload(**upload, layerDigests=digests))["layerDigest"] == digest_of(content)
    found = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[digest_of(content)])
    assert found["layers"][0]["layerSize"] == len(content)
    assert sum(record.blob_bytes for record in server.requests.of("UploadLayerPart")) == len(content)
    await ecr.refused("UploadNotFound", "complete_layer_upload", **upload, layerDigests=digests)


async def test_a_part_out_of_step_is_told_the_last_valid_byte(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        await ecr.part(upload_id, 3, b"abc")
    assert "lastValidByteReceived" not in caught.value.response
    await ecr.part(upload_id, 0, b"abc")
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        await ecr.part(upload_id, 0, b"abc")
    response: Any = caught.value.response
    assert response["Error"]["Message"] == "First byte of the layer part is 0 instead of 3"
    assert response["lastValidByteReceived"] == 2
    assert (response["registryId"], response["repositoryName"], response["uploadId"]) == (ACCOUNT, "app", upload_id)


async def test_complete_refuses_what_cannot_be_a_layer(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    complete = {"repositoryName": "app", "uploadId": upload_id, "layerDigests": [digest_of(b"other")]}
    await ecr.refused("EmptyUpload", "complete_layer_upload", **complete)
    await ecr.part(upload_id, 0, b"abc")
    refused = await ecr.refused("InvalidLayer", "complete_layer_upload", **complete)
    assert refused["Error"]["Message"].startswith("None of the provided layer digests match")
    await ecr.part(upload_id, 3, b"def")
    refused = await ecr.refused("LayerPartTooSmall", "complete_layer_upload", **complete)
    assert refused["Error"]["Message"] == "All layer parts except the last part should be at least 5MB"


async def test_an_upload_belongs_to_its_repository(ecr: Ecr) -> None:
    await ecr.create_repository(repositoryName="other")
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        await ecr.part(upload_id, 0, b"abc", repository="other")


async def test_a_layer_that_is_there_already_exists_once_per_repository(ecr: Ecr) -> None:
    await ecr.upload(b"layer")
    with pytest.raises(ecr.exceptions.LayerAlreadyExistsException):
        await ecr.upload(b"layer")
    await ecr.create_repository(repositoryName="other")
    await ecr.upload(b"layer", "other")


async def test_a_part_takes_20_mib_and_no_more(ecr: Ecr) -> None:
    upload_id = (await ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
    content = bytes(20 * MIB + 1)
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="layerPartBlob"):
        await ecr.part(upload_id, 0, content)
    assert (await ecr.part(upload_id, 0, content[:-1]))["lastByteReceived"] == 20 * MIB - 1


async def test_availability_is_answered_for_each_digest(ecr: Ecr) -> None:
    absent, present = digest_of(b"absent"), await ecr.upload(b"present")
    found = await ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[absent, present, "bad", ""])
    assert found["layers"] == [
        {"layerDigest": absent, "layerAvailability": "UNAVAILABLE"},
        {"layerDigest": present, "layerAvailability": "AVAILABLE", "layerSize": 7},
    ]
    codes = {failure["layerDigest"]: failure["failureCode"] for failure in found["failures"]}
    assert codes == {"bad": "InvalidLayerDigest", "": "MissingLayerDigest"}
