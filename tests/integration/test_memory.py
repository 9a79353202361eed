"""The formula of TransferConfig, held: peak memory of a client process that pushes and copies, this one's registry."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.clients.processes import link_before
from benchmarks.values import Link
from transfer import Server, TransferConfig
from transfer.http.ranges import RANGE
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
PART = 10 * MIB
ROOT = Path(__file__).parents[2]

# All of it: the formula with the default configuration, and the interpreter with what a push imports (60 MiB).
MOST = 104 * MIB


def formula(bytes_in_flight: int, read_ahead: int = 0) -> float:
    """What the docstring of TransferConfig says, beyond the interpreter."""
    return bytes_in_flight + read_ahead + 4 * MIB


@dataclass(frozen=True)
class Client:
    """Runs `transfer` and tells the most memory that it had, through the launcher that the benchmarks use."""

    server: Server
    folder: Path

    async def push(self, image: BuiltImage, *options: str) -> int:
        return await self.peak(self.server.url, "push", *options, image.source, f"{self.server.registry}/app:v1")

    async def peak(self, endpoint: str, *arguments: str) -> int:
        usage = self.folder / "usage.json"
        command = ("-m", "transfer", *arguments, "--quiet", "--create-repository")
        launcher = ("-I", "-S", str(ROOT / "benchmarks" / "clients" / "measure.py"), str(usage))
        environment = {**self._environment(), "AWS_ENDPOINT_URL_ECR": endpoint}
        client = await asyncio.create_subprocess_exec(
            sys.executable, *launcher, sys.executable, *command, cwd=ROOT, env=environment
        )
        assert await client.wait() == 0
        peak = json.loads(usage.read_text())["peak_bytes"]
        assert isinstance(peak, int)
        return peak

    def _environment(self) -> dict[str, str]:
        return {**self.server.environment, "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Client:
    return Client(server, tmp_path)


@pytest.mark.parametrize("sizes", [[192 * MIB], [24 * MIB] * 6], ids=["one large layer", "six at once"])
async def test_peak_memory_of_a_push_follows_the_formula_whatever_its_layers(
    client: Client, layout: ImageBuilder, sizes: list[int]
) -> None:
    base = await client.push(layout.image([1000], tag="tiny"))
    client.server.requests.clear()
    peak = await client.push(layout.image(sizes))
    assert peak < MOST, f"{peak / MIB:.1f} MiB"
    assert peak - base < formula(TransferConfig().max_bytes_in_flight), f"{(peak - base) / MIB:.1f} MiB"
    assert client.server.requests.count("UploadLayerPart", 200) == sum(-(-size // PART) for size in sizes) + 1


async def test_fewer_bytes_in_flight_take_less_memory(client: Client, layout: ImageBuilder) -> None:
    base = await client.push(layout.image([1000], tag="tiny"))
    peak = await client.push(layout.image([24 * MIB] * 6), "--bytes-in-flight", "12MiB")
    assert PART < peak - base < formula(12 * MIB) == 16 * MIB, f"{(peak - base) / MIB:.1f} MiB above {base / MIB:.1f}"


@pytest.fixture
def link(server: Server) -> Iterator[str]:
    """The server behind a link that gives each connection 24 MiB/s at 20 ms: large layers are read in parallel."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with link_before(host, int(port), Link(round_trip_ms=20, connection_mb_per_second=24 * MIB / 1e6)) as slow:
        yield f"127.0.0.1:{slow.ready['port']}"


@pytest.mark.parametrize(("source", "target"), [("oci", "oci"), ("ecr", "oci"), ("oci", "ecr")])
async def test_peak_memory_of_a_copy_follows_the_formula_with_ranges_read_in_parallel(
    client: Client, link: str, layout: ImageBuilder, source: str, target: str
) -> None:
    server, config, size = client.server, TransferConfig(), 256 * MIB
    there = {"oci": f"{link}/app", "ecr": f"{server.registry}/app"}[source]
    here = {"oci": f"{server.url.removeprefix('http://')}/copied", "ecr": f"{server.registry}/copied"}[target]
    logins = [f"--{side}-creds=transfer:transfer" for side in ("src", "dest")]
    endpoint = f"http://{link}" if source == "ecr" else server.url

    async def copied(image: BuiltImage, tag: str) -> int:
        await client.push(image)
        server.requests.clear()
        return await client.peak(endpoint, "copy", f"{there}:v1", f"{here}:{tag}", *logins)

    base = await copied(layout.image([1000], tag="tiny"), "tiny")
    peak = await copied(layout.image([size]), "large")
    assert peak < MOST, f"{peak / MIB:.1f} MiB"
    most = formula(config.max_bytes_in_flight, config.max_read_ahead_bytes)
    assert peak - base < most, f"{(peak - base) / MIB:.1f} MiB above {base / MIB:.1f}"
    ranges = server.requests.count("DownloadLayer" if source == "ecr" else "GetBlob", 206)
    assert ranges == size // RANGE
