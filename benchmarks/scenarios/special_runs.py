"""
Runs that are about something else than tools side by side: the ECR API by the part, the embedded registry, growth.
"""

import base64
import json
import sys

from msgspec.structs import replace

from benchmarks.clients.processes import Usage, measured
from benchmarks.registries.registries import LOGIN
from benchmarks.scenarios.bench import Bench, usage_figures
from benchmarks.scenarios.copies import move
from benchmarks.values import MIB, BenchmarkFailed, Run

_HEADS = 8000


def parts(bench: Bench, who: str, *, counted: bool = False) -> Run:
    """Layers into the ECR API, and how many MiB of them a second of the client's CPU is good for."""
    with bench.site(counted=counted) as site:
        site.begin()
        registry = site.move().target.partition("/")[0]
        command = [sys.executable, "-m", "benchmarks.clients.ecr_parts", who, str(bench.layout.path), registry]
        usage = measured(command, site.environment(), site.folder)
        output = json.loads(usage.output)
        timed = Usage(output["seconds"], output["cpu_seconds"], usage.peak_bytes)
        run = site.run(timed, mib_per_cpu_second=bench.layout.content / MIB / timed.cpu_seconds)
        site.verify()
    return run


def registries(bench: Bench, kind: str, *, counted: bool = False) -> Run:
    """Return the same push by ours into different registries."""
    return move(bench, "transfer", counted=counted, target=kind)


def heads(bench: Bench, kind: str, *, counted: bool = False) -> Run:
    """HEADs that the embedded registry answers in a second of its CPU: what one core is good for."""
    del kind, counted
    with bench.site() as site:
        assert site.target is not None  # noqa: S101 - a scenario of heads has one
        site.begin()
        port, path = site.target.address.rpartition(":")[2], f"/v2/{site.target.access.repository}/manifests/v0"
        authorization = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        command = [sys.executable, "-m", "benchmarks.registries.head_requests", port, path, authorization, str(_HEADS)]
        usage = measured(command, site.environment(), site.folder)
        output, log = json.loads(usage.output), site.target.log()
    if output["answered"] != _HEADS:
        raise BenchmarkFailed(f"{output['answered']} of {_HEADS} HEADs were answered")
    figures = {
        **usage_figures(usage),
        "seconds": output["seconds"],
        "heads_per_second": _HEADS / output["seconds"],
        "heads_per_cpu_second": _HEADS / log["cpu_seconds"],
    }
    return Run(figures=figures, requests=log["requests"])


def growth(bench: Bench, tool: str, *, counted: bool = False) -> Run:
    """
    Return a mirror of few images, of more, and of many: what one more image costs, early and late.

    `…_growth` is the cost of an image from the second size to the last, over that from the first to the second.
    """
    runs = []
    for size in bench.scenario.sizes:
        image = replace(bench.scenario.image, tags=size)
        folder = bench.folder / str(size)
        folder.mkdir(exist_ok=True)
        runs.append(move(Bench(replace(bench.scenario, do="mirror", image=image), folder), tool, counted=counted))
    figures = dict(runs[-1].figures)
    for size, run in zip(bench.scenario.sizes, runs, strict=True):
        figures[f"requests_an_image_of_{size}"] = sum(run.requests.values()) / size
        figures[f"cpu_ms_an_image_of_{size}"] = run.figures["cpu_seconds"] * 1000 / size
        figures[f"peak_mib_of_{size}"] = run.figures["peak_mib"]
    return Run(figures=figures | grown(bench.scenario.sizes, runs), requests=runs[-1].requests)


def grown(sizes: tuple[int, ...], runs: list[Run]) -> dict[str, float]:
    """What one more image costs late, over what it costs early; and the KiB that each late one costs."""
    few, more, many = sizes
    costs = {
        "requests": [float(sum(run.requests.values())) for run in runs],
        "cpu": [run.figures["cpu_seconds"] for run in runs],
    }
    found = {
        f"{name}_growth": ((last - middle) / (many - more)) / ((middle - first) / (more - few))
        for name, (first, middle, last) in costs.items()
    }
    peaks = [run.figures["peak_mib"] for run in runs]
    return found | {"kib_an_image": (peaks[2] - peaks[1]) * 1024 / (many - more)}
