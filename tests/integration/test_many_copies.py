"""Many copies in one process: bounded threads and memory while they go on, and nothing left behind them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kills import LOGIN, host
from transfer import Engine, Server, TransferConfig
from transfer.config import MIB
from transfer.testing.images import ImageBuilder

ROOT = Path(__file__).parents[2]
COPIES = 200
CONFIG = TransferConfig(large_blob_bytes=64 * 1024, upload_chunk_threshold=64 * 1024, upload_chunk_bytes=128 * 1024)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(180)
async def test_two_hundred_copies_at_once_keep_to_the_formula_and_leave_nothing(
    server: Server, layout: ImageBuilder, tmp_path: Path
) -> None:
    images = [layout.image([200_000, 150_000], seed=number, tag=f"v{number}") for number in range(COPIES)]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    async with Server() as origin:
        async with Engine() as engine:
            pushes = (engine.push(one.source, f"{host(origin)}/app:{one.tag}", target_access=LOGIN) for one in images)
            await asyncio.gather(*pushes)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.many_copies", f"{host(origin)}/app:v0", host(server), str(COPIES)),
            env={**os.environ, "TMPDIR": str(temporary)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(output)

    assert (found["left"], found["files"]) == (0, [])
    assert found["sockets"] == found["base"]
    assert 8 < found["workers"] <= 2 * CONFIG.max_concurrent_blobs
    above = found["peak"] - found["before"]
    most = CONFIG.max_bytes_in_flight + CONFIG.max_read_ahead_bytes + 4 * MIB
    assert above < most, f"{above / MIB:.1f} MiB, {found['workers']} workers"
    async with Engine() as engine:
        there = await asyncio.gather(
            *(engine.inspect(f"{host(server)}/r{number}:v1", access=LOGIN) for number in range(COPIES))
        )
    assert [one.graph.root.digest for one in there] == [image.root.digest for image in images]


def test_an_engine_is_used_from_several_event_loops_one_after_the_other(layout: ImageBuilder, tmp_path: Path) -> None:
    images = [layout.image([200_000], seed=number, tag=f"v{number}") for number in range(3)]
    engine = Engine(CONFIG)

    async def push(number: int) -> None:
        async with Server() as server, engine:
            target = f"{host(server)}/app:v{number}"
            pushed = await engine.push(images[number].source, target, target_access=LOGIN)
            await engine.copy(target, f"oci:{tmp_path / 'out'}:v{number}", source_access=LOGIN)
        assert pushed.digest == images[number].root.digest

    for number in range(3):
        asyncio.run(push(number))
