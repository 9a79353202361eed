"""
Runs the scenarios: contenders by turns, a run each, until all have had theirs.

One that cannot do it stands in the record as such, and stops no other.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from msgspec.structs import replace

from benchmarks.clients import tools
from benchmarks.clients.processes import ROOT
from benchmarks.network.link_check import check
from benchmarks.scenarios import ceiling, copies, special_runs
from benchmarks.scenarios.bench import Bench
from benchmarks.scenarios.machine import commit, machine
from benchmarks.values import MIB, TOOLS, BenchmarkFailed, Contender, Link, Record, Result, Run, Scenario

KINDS: Mapping[str, Callable[..., Run]] = {
    "push": copies.move,
    "copy": copies.move,
    "mirror": copies.move,
    "resume": copies.resume,
    "library": copies.library,
    "version": copies.version,
    "parts": special_runs.parts,
    "heads": special_runs.heads,
    "registries": special_runs.registries,
    "growth": special_runs.growth,
}
# What has a run beforehand that is only counted, over a link that changes nothing; it warms what all runs share.
_COUNTED_APART = ("push", "copy", "mirror", "library")


@cache
def _checked(link: Link) -> str:
    """What a link measured of itself; each once."""
    measured = check(link)
    _say(f"link: {measured}")
    return measured


def _link(scenario: Scenario) -> str:
    """What the link of a scenario measured of itself; nothing without one."""
    return _checked(replace(scenario.link, at="both")) if scenario.link.limits else ""


def measure(scenarios: Sequence[Scenario]) -> Record:
    """
    Run all of them.

    Raises:
        BenchmarkFailed: they cannot be measured here.
    """
    _check_disk(scenarios)
    for scenario in scenarios:
        _link(scenario)  # before any work: a link that is not what it was set to ends all of it
    where, revision, rates = machine(), commit(ROOT), ceiling.rates()
    wanted = dict.fromkeys(name for one in scenarios for name in (*one.contenders, one.source, one.target))
    absent = [name for name in wanted if name in TOOLS and not tools.find(name)]
    versions = {name: version for name in wanted if (version := tools.version(name))}
    results = [_scenario(scenario, absent, rates) for scenario in scenarios]
    return Record(commit=revision, machine=where, versions=versions, absent=absent, results=results)


def profile(scenarios: Sequence[Scenario], folder: Path) -> None:
    """Write a page about ours in each scenario in which it moves something."""
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios:
        if scenario.do in ("push", "copy", "mirror"):
            with TemporaryDirectory(prefix="transfer-bench-") as place:
                copies.profile(Bench(scenario, Path(place)), folder.resolve() / f"{scenario.name}.html")
            _say(f"{folder / scenario.name}.html")


def _check_disk(scenarios: Sequence[Scenario]) -> None:
    free, needed = shutil.disk_usage(gettempdir()).free, max(scenario.disk for scenario in scenarios)
    if free < needed:
        raise BenchmarkFailed(
            f"{gettempdir()} has {free // MIB} MiB free and {needed // MIB} are needed; set TMPDIR to another folder"
        )


def _scenario(scenario: Scenario, absent: Sequence[str], rates: dict[str, float]) -> Result:
    here = [name for name in scenario.contenders if name not in absent]
    with TemporaryDirectory(prefix="transfer-bench-") as place:
        bench = Bench(scenario, Path(place))
        turns = [_Turns(bench, name) for name in here]
        if scenario.do in _COUNTED_APART and not scenario.link.limits:
            for one in turns:
                one.count()
        for number in range(scenario.runs):
            for one in turns:
                one.take(f"run {number + 1} of {scenario.runs}")
    contenders = [one.contender() for one in turns]
    return Result(
        scenario=scenario, contenders=contenders, ceiling=ceiling.seconds(scenario.moved, rates), link=_link(scenario)
    )


class _Turns:
    """The runs of one contender."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self._name = name
        self._runs: list[Run] = []
        self._counts: Run | None = None
        self._failed = ""

    def count(self) -> None:
        self._counts = self._try("counted", counted=True)

    def take(self, which: str) -> None:
        run = self._try(which)
        if run is not None:
            self._runs.append(run)

    def contender(self) -> Contender:
        return Contender(name=self._name, runs=self._runs, counts=self._counts, failed=self._failed)

    def _try(self, which: str, *, counted: bool = False) -> Run | None:
        if self._failed:
            return None
        scenario = self._bench.scenario
        try:
            run = KINDS[scenario.do](self._bench, self._name, counted=counted)
        except BenchmarkFailed as error:
            self._failed = str(error)
            _say(f"{scenario.name}: {self._name}: failed: {error}")
            return None
        _say(f"{scenario.name}: {self._name}: {which}: {run.figures['seconds']:.2f} s")
        return run


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
