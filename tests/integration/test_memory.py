"""The formula of TransferConfig, held: peak memory of a client process that pushes into the registry of this one."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images import BuiltImage, ImageBuilder
from transfer import Server, TransferConfig

MIB = 1024 * 1024
PART = 10 * MIB
ROOT = Path(__file__).parents[2]

# All of it: the formula with the default configuration, and the interpreter with what a push imports (about 60 MiB).
MOST = 128 * MIB


def formula(bytes_in_flight: int, read_ahead: int = 0) -> float:
    """What the docstring of TransferConfig says, beyond the interpreter."""
    return bytes_in_flight * 4 / 3 + read_ahead + 4 * MIB


@dataclass(frozen=True)
class Client:
    """Runs `transfer push` and tells the most memory that it had, through the launcher that the benchmarks use."""

    server: Server
    folder: Path

    async def peak(self, image: BuiltImage, *options: str) -> int:
        usage = self.folder / "usage.json"
        push = ("push", "--quiet", "--create-repository", *options, image.source, f"{self.server.registry}/app:v1")
        launcher = ("-I", "-S", str(ROOT / "benchmarks" / "measure.py"), str(usage))
        client = await asyncio.create_subprocess_exec(
            sys.executable, *launcher, sys.executable, "-m", "transfer", *push, cwd=ROOT, env=self._environment()
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
    base = await client.peak(layout.image([1000], tag="tiny"))
    client.server.requests.clear()
    peak = await client.peak(layout.image(sizes))
    assert peak < MOST, f"{peak / MIB:.1f} MiB"
    assert peak - base < formula(TransferConfig().max_bytes_in_flight), f"{(peak - base) / MIB:.1f} MiB"
    assert client.server.requests.count("UploadLayerPart", 200) == sum(-(-size // PART) for size in sizes) + 1


async def test_fewer_bytes_in_flight_take_less_memory(client: Client, layout: ImageBuilder) -> None:
    base = await client.peak(layout.image([1000], tag="tiny"))
    peak = await client.peak(layout.image([24 * MIB] * 6), "--bytes-in-flight", "12MiB")
    assert PART < peak - base < formula(12 * MIB) == 20 * MIB, f"{(peak - base) / MIB:.1f} MiB above {base / MIB:.1f}"
