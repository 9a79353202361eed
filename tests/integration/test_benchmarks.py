"""The benchmarks as a program, end to end in small; and the link between two real sockets, by what it counts."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients.processes import link_before
from benchmarks.values import Link
from tests.support.command import served

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
SMOKE = """
[push]
headline = "A small image is pushed over TLS."
do = "push"
target = "embedded"
tools = ["transfer"]
image = { layers = 3, layer_kib = 64 }
link = { round_trip_ms = 4, total_mb_per_second = 100 }
tls = true
runs = 1
expect = { ratio_max = 1000, requests = { GetBase = 9 } }

[mirror-again]
headline = "A mirror with nothing to do."
do = "mirror"
source = "embedded"
target = "ecr"
image = { layers = 1, layer_kib = 1, tags = 3 }
again = true
runs = 1
"""


def bench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_scenarios_are_measured_side_by_side_recorded_compared_and_cleaned_up(tmp_path: Path) -> None:
    scratch, file, record = tmp_path / "scratch", tmp_path / "bench.toml", tmp_path / "record.json"
    scratch.mkdir()
    file.write_text(SMOKE)
    done = bench(scratch, "--file", file, "--json", record)
    assert done.returncode == 0, done.stderr
    assert "link: round trip ms" in done.stderr
    assert list(scratch.iterdir()) == []
    push, mirror = json.loads(record.read_text())["results"]
    (run,) = push["contenders"][0]["runs"]
    assert (run["requests"]["PutUpload"], run["requests"]["PutManifest"]) == (4, 1)
    assert 3 * 64 / 1024 < run["figures"]["sent_mib"] < 4 * 64 / 1024
    assert run["figures"]["connections"] >= 1
    assert {"cpu_seconds", "peak_mib", "cpu_seconds_per_gib", "floor_seconds"} <= set(run["figures"])
    assert run["figures"]["registry_cpu_seconds"] > 0
    assert run["figures"]["link_cpu_seconds"] > 0
    assert "- floor: " in done.stdout
    assert mirror["contenders"][0]["runs"][0]["requests"]["HeadManifest"] == 3
    assert "- NOT MET: requests {" in done.stdout
    again = bench(scratch, "--read", record, "--compare", record)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith(done.stdout.rstrip())
    assert again.stdout.endswith("Worse than before:\n- nothing\n")
    assert bench(scratch, "--read", record, "--strict").returncode == 1


def test_an_end_may_be_a_registry_that_somebody_else_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_REGISTRY_LOGIN", "transfer:transfer")
    file = tmp_path / "bench.toml"
    with served() as server:
        text = SMOKE.replace('target = "embedded"', f'target = "{server.url}/team"')
        file.write_text(text.replace("link = { round_trip_ms = 4, total_mb_per_second = 100 }\ntls = true\n", ""))
        done = bench(tmp_path, "--file", file, "push")
        assert done.returncode == 0, done.stderr
        pushed = [record.repository for record in server.requests.of("PutManifest")]
    assert len(set(pushed)) == 2, "the run that is counted and the one that is timed have a repository each"
    assert all(str(name).startswith("team/") for name in pushed)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed: apt-get install -y skopeo")
def test_another_tool_takes_part_where_it_is_on_path_and_what_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(SMOKE.replace('"transfer"]', '"transfer", "skopeo", "oras"]'))
    done = bench(tmp_path, "--file", file, "push")
    assert done.returncode == 0, done.stderr
    assert "| push | skopeo |" in done.stdout
    assert "skopeo asked:" in done.stdout
    if shutil.which("oras") is None:
        assert "Not on PATH, so not compared: oras." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["push-lagre"], "no scenario push-lagre: there are push-small-tls, mirror-tls"),
        (["--file", "no-such.toml"], "No such file"),
        (["--read", "bench.toml"], "bench.toml: not a record of benchmarks"),
    ],
)
def test_what_cannot_be_run_is_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = bench(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("benchmarks: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@asynccontextmanager
async def peer(answer: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """A server that answers each read, for as long as the block; who connects has to be gone by then."""

    answering: list[asyncio.Task[Any]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            answering.append(task)
        try:
            while data := await reader.read(MIB):
                writer.write(answer(data))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*answering)


async def test_a_link_carries_all_bytes_in_order_and_counts_them() -> None:
    sent = os.urandom(3 * MIB)
    limits = Link(round_trip_ms=4, connection_mb_per_second=100, total_mb_per_second=200)
    async with peer(lambda data: data) as port:
        with link_before("127.0.0.1", port, limits) as link:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", link.ready["port"])
                writer.write(sent)
                assert await reader.readexactly(len(sent)) == sent
                writer.close()
                await writer.wait_closed()
            counts, after = link.ask("clear"), link.ask("count")
            assert 0 < after.pop("cpu_seconds") < counts.pop("cpu_seconds")
            assert counts == {"connections": 2, "sent": 2 * len(sent), "received": 2 * len(sent)}
            assert after == {"connections": 0, "sent": 0, "received": 0}


async def test_a_link_that_cuts_breaks_a_connection_when_it_has_carried_so_much() -> None:
    async with peer(lambda data: data[:1]) as port:
        with link_before("127.0.0.1", port, Link(cut_after_mib=1)) as link:
            reader, writer = await asyncio.open_connection("127.0.0.1", link.ready["port"])
            writer.write(b"-")
            assert await reader.readexactly(1) == b"-"
            writer.write(bytes(8 * MIB))
            with pytest.raises(ConnectionError):
                await reader.read()
            writer.close()
            assert MIB < link.ask("count")["sent"] < 2 * MIB


async def read_one(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.readexactly(1)
    finally:
        writer.close()


async def test_a_link_to_a_server_that_is_gone_breaks_the_connection() -> None:
    async with peer(lambda data: data) as port:
        pass
    # The reset may be there before the connection is.
    with link_before("127.0.0.1", port, Link(round_trip_ms=1)) as link, pytest.raises(ConnectionError):
        await read_one(link.ready["port"])
