"""
The scenarios of bench.toml: `python benchmarks/run.py [SCENARIO…] [--runs N] [--json FILE]`.

Prints a Markdown table with median and spread, and exits with 1 when a run did not meet what its scenario expects.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

if __name__ == "__main__":
    # As a program, Python looks for modules in this folder instead of the project's.
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks import report
from benchmarks.processes import MIB, ROOT, BenchmarkFailed
from benchmarks.scenarios import KINDS, Bench, Run, Scenario, load
from transfer import TransferConfig


def main(arguments: Sequence[str] | None = None) -> int:
    scenarios = {scenario.name: scenario for scenario in load(ROOT / "bench.toml")}
    options = _parse(arguments, list(scenarios))
    chosen = [scenarios[name] for name in options.scenarios or scenarios]
    try:
        _check_disk(chosen)
        record = _measure(chosen, options.runs)
    except BenchmarkFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    failures = [f"{one['name']}: {line}" for one in record["scenarios"] for line in one["unmet"]]
    for line in failures:
        print(f"EXPECTATION NOT MET: {line}", file=sys.stderr)
    return 1 if failures else 0


def _parse(arguments: Sequence[str] | None, names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description="Run the scenarios of bench.toml.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each, instead of bench.toml's number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole record there")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.scenarios) - set(names)):
        parser.error(f"no scenario {', '.join(unknown)}: there are {', '.join(names)}")
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _check_disk(chosen: Sequence[Scenario]) -> None:
    free, needed = shutil.disk_usage(gettempdir()).free, max(scenario.disk for scenario in chosen)
    if free < needed:
        raise BenchmarkFailed(
            f"{gettempdir()} has {free // MIB} MiB free and {needed // MIB} are needed; set TMPDIR to another folder"
        )


def _measure(chosen: Sequence[Scenario], runs: int | None) -> dict[str, Any]:
    where, revision = report.machine(), report.commit(ROOT)
    results, documents = [], []
    for scenario in chosen:
        corpus, done = _repeat(scenario, runs or scenario.runs)
        results.append((scenario, done))
        lines = dict.fromkeys(line for run in done for line in report.unmet(scenario.expect, run))
        documents.append(
            asdict(scenario) | {"corpus": corpus, "unmet": list(lines), "runs": [asdict(run) for run in done]}
        )
    print(f"{report.table(results)}\n\n{report.measured_on(where, revision)}")
    return {
        "commit": revision,
        "machine": where,
        "config": {name: value for name, value in asdict(TransferConfig()).items() if value is not None},
        "scenarios": documents,
    }


def _repeat(scenario: Scenario, runs: int) -> tuple[str, list[Run]]:
    with TemporaryDirectory(prefix="transfer-bench-") as folder:
        bench = Bench(scenario, Path(folder))
        done = []
        for number in range(runs):
            done.append(KINDS[scenario.kind](bench))
            seconds = done[-1].figures["seconds"]
            print(f"{scenario.name}: run {number + 1} of {runs}: {seconds:.2f} s", file=sys.stderr)
        return bench.corpus, done


if __name__ == "__main__":
    sys.exit(main())
