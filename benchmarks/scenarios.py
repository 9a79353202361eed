"""
The scenarios: what one run of each kind does, and the figures that it brings back.

What is expected of the figures stands in bench.toml and is judged in `report`. Each run has a registry of its own, so
that nothing an earlier run stored makes a later one cheaper, and its disk is free again when the run is over.
"""

import asyncio
import os
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from benchmarks import ceiling
from benchmarks.layout import write_image
from benchmarks.processes import MIB, Service, Usage, clean_environment, measured, service, transfer_command
from transfer import AwsCredentials, open_ecr


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A table of bench.toml."""

    name: str
    headline: str
    kind: str
    runs: int
    layers: int = 0
    layer_kib: int = 0
    round_trip_ms: float = 0.0
    connection_mib_per_second: float = 0.0
    source: str = ""
    target: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return self.layers * self.layer_kib * 1024

    @property
    def disk(self) -> int:
        """Bytes on disk at once: the layers and each registry's copy of them, and a part or two."""
        return (3 if self.kind == "copy" else 2) * self.size + 64 * MIB


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought back: figures by name (units in the names) and requests by operation."""

    figures: Mapping[str, float]
    requests: Mapping[str, int] = field(default_factory=dict)


def load(file: Path) -> list[Scenario]:
    """The scenarios of bench.toml, in its order."""
    return [Scenario(name=name, **table) for name, table in tomllib.loads(file.read_text()).items()]


class Bench:
    """An image on disk, and pushes of it into a registry."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.corpus = write_image(folder / "layout", layers=scenario.layers, layer_size=scenario.layer_kib * 1024)

    @contextmanager
    def target(self) -> Iterator["Pushes"]:
        """A registry with an empty repository, for as long as the block."""
        os.sync()  # what earlier runs left to write would slow this one
        with (
            TemporaryDirectory(dir=self.folder) as place,
            service("benchmarks.registry", f"{place}/data") as registry,
        ):
            asyncio.run(_create_repository(registry.ready["environment"]))
            pushes = Pushes(registry, f"oci:{self.folder}/layout", Path(place))
            registry.ask("clear")
            yield pushes

    def ceilings(self) -> dict[str, float]:
        # Three parts of 10 MiB are what the default budget of 30 MiB lets onto the wire.
        connections = min(self.scenario.layers, 3)
        wire = ceiling.wire(self.scenario.size, self.scenario.layer_kib * 1024, connections=connections)
        return {"wire_mib_per_second": wire, "encoding_mib_per_second": ceiling.encoding()}


class Pushes:
    """
    Pushes of one image into one registry, and what the registry says of them.

    Attributes:
        address: `host:port` of the registry; its images have that name by OCI Distribution.
        registry: the host that they have in ECR.
    """

    def __init__(self, registry: Service, source: str, home: Path) -> None:
        self._registry = registry
        self._home = home
        self._cpu_seconds = registry.ask("log")["cpu_seconds"]
        self.registry = str(registry.ready["registry"])
        self._arguments = ("push", "--quiet", source, f"{self.registry}/app:v1")
        self.environment = clean_environment(home, registry.ready["environment"])
        self.address = urlsplit(self.environment["AWS_ENDPOINT_URL_ECR"]).netloc

    def push(self, *options: str, endpoint: str | None = None) -> Usage:
        through = {"AWS_ENDPOINT_URL_ECR": endpoint} if endpoint else {}
        return measured(transfer_command(*self._arguments, *options), self.environment | through, self._home)

    def copy(self, source: str, target: str, endpoint: str) -> Usage:
        """Copy between images of any name; `endpoint` is where ECR's API is."""
        logins = [f"--{side}-creds=transfer:transfer" for side in ("src", "dest")]
        command = transfer_command("copy", "--quiet", *logins, source, target)
        return measured(command, self.environment | {"AWS_ENDPOINT_URL_ECR": endpoint}, self._home)

    def push_and_kill(self, after: int) -> None:
        """Push until the registry has so many bytes of layers, then SIGKILL."""
        with subprocess.Popen(
            transfer_command(*self._arguments), env=self.environment, stdout=subprocess.DEVNULL
        ) as client:
            while client.poll() is None and self.log()["received"] < after:
                time.sleep(0.02)
            client.kill()

    def log(self) -> dict[str, Any]:
        return self._registry.ask("log")

    def forget(self) -> None:
        self._cpu_seconds = self._registry.ask("clear")["cpu_seconds"]

    def run(self, usage: Usage, **figures: float) -> Run:
        log = self.log()
        common = {
            "seconds": usage.seconds,
            "peak_mib": usage.peak_mib,
            "client_cpu_seconds": usage.cpu_seconds,
            "server_cpu_seconds": log["cpu_seconds"] - self._cpu_seconds,
        }
        return Run(common | figures, log["requests"])


async def _create_repository(environment: Mapping[str, str]) -> None:
    credentials = AwsCredentials(
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment["AWS_ENDPOINT_URL_ECR"],
    )
    async with open_ecr(region=environment["AWS_REGION"], credentials=credentials) as ecr:
        await ecr.create_repository(repositoryName="app")


def start(bench: Bench) -> Run:
    """The command line alone."""
    usage = measured(transfer_command("--version"), clean_environment(bench.folder, {}), bench.folder)
    figures = {"seconds": usage.seconds, "peak_mib": usage.peak_mib, "client_cpu_seconds": usage.cpu_seconds}
    return Run(figures)


def push(bench: Bench) -> Run:
    """Into an empty repository."""
    with bench.target() as pushes:
        usage = pushes.push()
        sent_twice = pushes.log()["received"] - _content(bench)
        run = pushes.run(
            usage, mib_per_second=bench.scenario.size / MIB / usage.seconds, sent_twice_mib=sent_twice / MIB
        )
    return Run({**run.figures, **bench.ceilings()}, run.requests)


def again(bench: Bench) -> Run:
    """Where all of it is already."""
    with bench.target() as pushes:
        pushes.push()
        pushes.forget()
        return pushes.run(pushes.push())


def resume(bench: Bench) -> Run:
    """Killed when half of it had arrived, then to the end; the time and memory are those of the second push."""
    with bench.target() as pushes:
        pushes.push_and_kill(bench.scenario.size // 2)
        usage = pushes.push()
        # What the killed push had handed to the kernel still arrives; both pushes are counted, broken requests too.
        sent_twice = pushes.log()["received"] - _content(bench)
        return pushes.run(usage, sent_twice_mib=sent_twice / MIB)


def link(bench: Bench) -> Run:
    """Over the slow link, with as much at once as the limits allow; and one layer at a time, to compare."""
    scenario = bench.scenario
    with bench.target() as one_by_one:
        single = _push_over_link(one_by_one, scenario, "--jobs", "1")
    with bench.target() as parallel:
        usage = _push_over_link(parallel, scenario)
        return parallel.run(
            usage,
            mib_per_second=scenario.size / MIB / usage.seconds,
            single_seconds=single.seconds,
            speedup=single.seconds / usage.seconds,
        )


def copy(bench: Bench) -> Run:
    """From a registry behind the slow link into another, each by its protocol; the memory is that of the copy."""
    scenario = bench.scenario
    with bench.target() as source, bench.target() as target:
        source.push()
        with _link(source, scenario) as address:
            there = address if scenario.source == "oci" else source.registry
            here = target.address if scenario.target == "oci" else target.registry
            endpoint = f"http://{address if scenario.source == 'ecr' else target.address}"
            usage = target.copy(f"{there}/app:v1", f"{here}/app:v1", endpoint)
        return target.run(usage, mib_per_second=scenario.size / MIB / usage.seconds)


def _push_over_link(pushes: Pushes, scenario: Scenario, *options: str) -> Usage:
    with _link(pushes, scenario) as address:
        return pushes.push(*options, endpoint=f"http://{address}")


@contextmanager
def _link(pushes: Pushes, scenario: Scenario) -> Iterator[str]:
    """A registry behind a slow link: where it is reached."""
    host, _, port = pushes.address.rpartition(":")
    rate = str(scenario.connection_mib_per_second * MIB)
    with service("benchmarks.link", host, port, str(scenario.round_trip_ms / 1000), rate) as slow:
        yield f"127.0.0.1:{slow.ready['port']}"


def _content(bench: Bench) -> int:
    """Bytes of the image's blobs: its layers and its config."""
    blobs = bench.folder / "layout" / "blobs" / "sha256"
    manifest = bench.corpus.removeprefix("sha256:")
    return sum(blob.stat().st_size for blob in blobs.iterdir() if blob.name != manifest)


KINDS: Mapping[str, Callable[[Bench], Run]] = {
    "start": start,
    "push": push,
    "again": again,
    "resume": resume,
    "link": link,
    "copy": copy,
}
