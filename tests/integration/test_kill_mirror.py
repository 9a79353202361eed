"""A mirror that is killed, again and again: it ends bit for bit, and sends little twice; counted at the server."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.kills import LOGIN, LOGINS, Arrived, Killer, assert_whole, host
from transfer import Engine, Server, TransferConfig
from transfer.server import RequestRecord
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
CHUNK = 2 * MIB


def checks(records: list[RequestRecord]) -> Counter[str | None]:
    """How often each tag of the target was asked for."""
    return Counter(record.tag for record in records if record.operation == "HeadManifest" and record.tag)


@pytest.mark.timeout(240)
async def test_a_mirror_killed_at_random_moments_ends_bit_for_bit_and_sends_little_twice(
    layout: ImageBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str], kills: int
) -> None:
    shared = [layout.layer(size, seed=size) for size in (9 * MIB, 5 * MIB + 1, 40_000)]
    images: list[BuiltImage] = [
        layout.image((7 * MIB + number, 2000), seed=number, tag=f"v{number}", layers=shared) for number in range(6)
    ]
    blobs = {blob.digest: blob.size for image in images for blob in image.blobs}
    async with Server() as source, Server() as target:
        async with Engine(TransferConfig(journal=False)) as engine:
            for image in images:
                await engine.push(image.source, f"{host(source)}/team/app:{image.tag}", target_access=LOGIN)
        killer, state = Killer(target, kills, most=90), tmp_path / "journal.sqlite"

        async def run(repository: str) -> Arrived:
            mirror = ("mirror", f"{host(source)}/team/app", f"{host(target)}/{repository}", "--all-tags", *LOGINS)
            limits = ("--state", str(state), "--chunk-size", str(CHUNK), "--bytes-in-flight", "20MiB")
            return await killer.run((*mirror, *limits), target.environment, unit=CHUNK)

        repository = ""
        while killer.left:
            before, repository = killer.left, f"mirror{killer.left}"
            arrived = await run(repository)
            assert arrived.kept == sum(blobs.values())
            with capsys.disabled():
                received, done = arrived.kept + arrived.lost, before - killer.left
                sys.stdout.write(f"\n{repository}: {done} kills, {arrived.lost} of {received} bytes sent twice ")
            for image in images:
                place = f"{host(target)}/{repository}:{image.tag}"
                await assert_whole(place, image, tmp_path / repository / str(image.tag))

        target.requests.clear()
        source.requests.clear()
        await run(repository)
        assert set(checks(list(target.requests)).values()) == {1}
        assert Counter(one.operation for one in target.requests if one.status == 200) == {
            "GetBase": 1,
            "HeadManifest": len(images),
        }
