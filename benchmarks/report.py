"""
What the figures say: the expectations that they do not meet, a Markdown table, and where they were measured.

Pure but for `machine` and `commit`. Does not know how a figure came about.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scenarios import Run, Scenario

_COLUMNS = {
    "seconds": "Seconds",
    "mib_per_second": "MiB/s",
    "peak_mib": "Peak MiB",
    "client_cpu_seconds": "Client CPU s",
    "server_cpu_seconds": "Server CPU s",
    "wire_mib_per_second": "Wire ceiling MiB/s",
    "encoding_mib_per_second": "Encoding ceiling MiB/s",
}
_NOTES = {
    "sent_twice_mib": "{} MiB sent twice",
    "single_seconds": "{} s one by one",
    "speedup": "{} times as fast",
}


def unmet(expect: Mapping[str, Any], run: Run) -> list[str]:
    """What a run should have been and was not, a line each."""
    found = []
    bounded = expect.get("requests_max", {})
    for name, wanted in expect.items():
        if name == "requests":
            counted = {operation: count for operation, count in run.requests.items() if operation not in bounded}
            if counted != wanted:
                found.append(f"requests are {counted}, expected {wanted}")
        elif name == "requests_max":
            over = {one: run.requests.get(one, 0) for one, most in wanted.items() if run.requests.get(one, 0) > most}
            found += [f"{count} requests {one}, expected at most {wanted[one]}" for one, count in over.items()]
        else:
            figure, _, bound = name.rpartition("_")
            actual = run.figures[figure]
            if actual > wanted if bound == "max" else actual < wanted:
                found.append(
                    f"{figure} is {actual:.2f}, expected {'at most' if bound == 'max' else 'at least'} {wanted}"
                )
    return found


def table(results: Sequence[tuple[Scenario, Sequence[Run]]]) -> str:
    """Median and spread of every figure, a row for each scenario."""
    rows = [["Scenario", *_COLUMNS.values(), "Requests", "Notes"]]
    rows.append(["---", *("---:" for _ in _COLUMNS), "---:", "---"])
    rows += [[scenario.name, *_cells(runs)] for scenario, runs in results]
    headlines = [f"- `{scenario.name}` ({len(runs)} runs): {scenario.headline}" for scenario, runs in results]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *headlines])


def _cells(runs: Sequence[Run]) -> list[str]:
    notes = [
        text.format(spread(runs, name)) for name, text in _NOTES.items() if any(run.figures.get(name) for run in runs)
    ]
    requests = {sum(run.requests.values()) for run in runs} - {0}
    counts = "-".join(str(count) for count in sorted({min(requests), max(requests)})) if requests else ""
    return [*(spread(runs, name) for name in _COLUMNS), counts, "; ".join(notes)]


def spread(runs: Sequence[Run], name: str) -> str:
    """`median (least-most)` of a figure; just the median where all runs look the same, nothing where there is none."""
    values = [run.figures[name] for run in runs if name in run.figures]
    if not values:
        return ""
    middle, least, most = (f"{value:.{_digits(value)}f}" for value in (median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}-{most})"


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def machine() -> dict[str, Any]:
    """Where this is measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(memory / 1024**3, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def commit(root: Path) -> str:
    """The commit that is measured, with a plus when files differ from it; empty outside a clone."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],  # noqa: S607 - the user's git
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def measured_on(where: Mapping[str, Any], revision: str) -> str:
    """One sentence for under the table."""
    short = revision[:12] + "+" * revision.endswith("+")
    return (
        f"Measured on {where['cores']} cores of {where['cpu']}, {where['memory_gib']} GiB, {where['kernel']}, "
        f"{where['python']}, load {where['load']:.1f} at the start, commit {short or 'unknown'}."
    )
