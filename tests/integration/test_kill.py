"""A push that is killed, again and again, and what it costs in bytes: counted at the server."""

import asyncio
import itertools
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.images import BuiltImage, ImageBuilder
from transfer import AwsCredentials, Server, open_ecr
from transfer.server import RequestRecord

MIB = 1024 * 1024
PART = 5 * MIB
KILLS = 20


async def start_push(server: Server, image: BuiltImage, repository: str, state: Path) -> asyncio.subprocess.Process:
    command = ["push", image.source, f"{server.registry}/{repository}:v1", "--create-repository", "--state", str(state)]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transfer", *command, "--quiet", "--bytes-in-flight", "20MiB"),
        env={**os.environ, **server.environment},
        stdout=asyncio.subprocess.DEVNULL,
    )


async def kill_after(server: Server, process: asyncio.subprocess.Process, requests: int, delay: float) -> bool:
    """SIGKILL the push once it has made so many requests and some time has passed; whether it was still at work."""
    enough = len(server.requests) + requests
    while process.returncode is None and len(server.requests) < enough:
        await asyncio.sleep(0.001)
    await asyncio.sleep(delay)
    if process.returncode is not None:
        return False
    process.kill()
    await process.wait()
    return True


def wasted(run: Sequence[RequestRecord], status: int) -> Counter[str | None]:
    """Bytes of one run that did not count, by upload id: cut off by a kill (499), or there already (400)."""
    parts = (record for record in run if record.operation == "UploadLayerPart" and record.status == status)
    return sum((Counter({part.upload_id: part.blob_bytes}) for part in parts), Counter())


def abandoned(records: Sequence[RequestRecord]) -> Counter[str | None]:
    """Accepted bytes of the sessions that were never completed: their layer was begun again."""
    completed = {one.upload_id for one in records if one.operation == "CompleteLayerUpload" and one.status == 200}
    parts = (one for one in records if one.operation == "UploadLayerPart" and one.status == 200)
    return sum(
        (Counter({part.upload_id: part.blob_bytes}) for part in parts if part.upload_id not in completed), Counter()
    )


@pytest.mark.timeout(240)
async def test_a_push_killed_at_twenty_moments_sends_at_most_one_part_of_each_layer_again(
    layout: ImageBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = layout.image([23 * MIB, 17 * MIB, 12 * MIB + 1, 6 * MIB, *range(2000, 2010)])
    size, state, moments = sum(blob.size for blob in image.blobs), tmp_path / "journal.sqlite", random.Random(20)
    kills = 0
    async with Server(part_size=PART) as server:
        for number in itertools.count():
            server.requests.clear()
            begun, killed, repository, cut = 0, True, f"app{number}", Counter[str | None]()
            while killed:
                process = await start_push(server, image, repository, state)
                requests, delay = moments.randint(1, 12), moments.uniform(0, 0.06)
                killed = kills < KILLS and await kill_after(server, process, requests, delay)
                kills += killed
                await asyncio.sleep(0.05 * killed)  # what the dead had handed to the kernel still arrives
                assert await process.wait() == (-signal.SIGKILL if killed else 0)
                # A kill cuts off a part, or hides the answer to one, which the next run then sends again. Both can be
                # one part, where the run that was to learn of the hidden answer was cut off in sending it.
                again = cut | wasted(server.requests[begun:], 400)
                assert max(again.values(), default=0) <= PART
                cut, begun = wasted(server.requests[begun:], 499), len(server.requests)
            assert max(abandoned(server.requests).values(), default=0) <= PART
            received = sum(record.blob_bytes for record in server.requests.of("UploadLayerPart"))
            lost = sum((wasted(server.requests, status).total() for status in (400, 499)), 0)
            lost += abandoned(server.requests).total()
            assert received == size + lost
            with capsys.disabled():
                sys.stdout.write(f"\n{repository}: {kills} kills in all, {lost} of {received} bytes sent twice ")
            await assert_whole(server, image, repository)
            if kills == KILLS:
                break
    assert [record.getMessage() for record in caplog.records] == [], "a client that dies is no error of the server"


async def assert_whole(server: Server, image: BuiltImage, repository: str) -> None:
    credentials = AwsCredentials(
        access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url, region="us-east-1"
    )
    async with open_ecr(credentials=credentials) as ecr:
        found = [one async for one in ecr.list_images(repositoryName=repository)]
        assert found == [{"imageDigest": image.root.digest, "imageTag": "v1"}]
        for blob in image.blobs:
            layers = await ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[blob.digest])
            assert layers["layers"][0]["layerSize"] == blob.size
