"""What people read of a record: a Markdown table, what is met and what is not, requests by kind. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.reports.evaluation import middle, ratios, verdicts
from benchmarks.values import Contender, Record, Result, Run

_COLUMNS = {
    "seconds": "Seconds",
    "cpu_seconds": "Client CPU s",
    "peak_mib": "Client peak MiB",
    "registry_cpu_seconds": "Registry CPU s",
    "link_cpu_seconds": "Link CPU s",
    "floor_seconds": "Floor s",
}
_COUNTED = {"connections": "Connections", "sent_mib": "Sent MiB", "received_mib": "Received MiB"}
# The figure that each column compares with that of the best other contender; None is the figure of the scenario.
_RATIOS = {"Ratio": None, "Client CPU ratio": "cpu_seconds"}
_MET = {True: "met", False: "NOT MET", None: "not judged"}


def report(record: Record) -> str:
    """Return all of it: the table, the scenarios with what is met, and where it was measured."""
    parts = [table(record.results), *(_about(result) for result in record.results)]
    if record.absent:
        parts.append(f"Not on PATH, so not compared: {', '.join(record.absent)}.")
    return "\n\n".join([*parts, measured_on(record.machine, record.commit, record.versions)])


def table(results: Sequence[Result]) -> str:
    """Return a row for each scenario and contender: median and spread, counts, the ratios to the best other."""
    head = ["Scenario", "Who", *_COLUMNS.values(), "Requests", *_COUNTED.values(), *_RATIOS]
    rows = [head, ["---", "---", *("---:" for _ in head[2:])]]
    for result in results:
        compared = [ratios(result, figure) for figure in _RATIOS.values()]
        rows += [[result.scenario.name, one.name, *_cells(one, compared)] for one in result.contenders]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def unmet(record: Record) -> list[str]:
    """What was expected and did not happen, a line each."""
    return [
        f"{result.scenario.name}: {verdict.text}"
        for result in record.results
        for verdict in verdicts(result)
        if verdict.met is False
    ]


def spread(runs: Sequence[Run], figure: str) -> str:
    """`median (least-most)` of a figure; just the median where all runs look the same, nothing where there is none."""
    values = [run.figures[figure] for run in runs if figure in run.figures]
    if not values:
        return ""
    half = middle(runs, figure) or 0.0
    digits = 0 if half >= 100 else 1 if half >= 10 else 2
    shown, least, most = (f"{value:.{digits}f}" for value in (half, min(values), max(values)))
    return shown if least == most else f"{shown} ({least}-{most})"


def measured_on(machine: Mapping[str, Any], commit: str, versions: Mapping[str, str]) -> str:
    """Return one sentence for under the table."""
    short = commit[:12] + "+" * commit.endswith("+")
    return (
        f"Measured on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, {machine['kernel']}, "
        f"{machine['python']}, load {machine['load']:.1f} at the start, commit {short or 'unknown'}; "
        f"{', '.join(said if name in said else f'{name} {said}' for name, said in versions.items())}."
    )


def _cells(one: Contender, compared: Sequence[Mapping[str, float]]) -> list[str]:
    if one.failed:
        return ["failed", *("" for _ in range(len(_COLUMNS) + len(_COUNTED) + len(_RATIOS)))]
    counts = [*one.runs, *([one.counts] if one.counts is not None else [])]
    totals = sorted({sum(run.requests.values()) for run in one.runs} - {0})
    requests = "-".join(str(total) for total in dict.fromkeys((totals[0], totals[-1]))) if totals else ""
    return [
        *(spread(one.runs, name) for name in _COLUMNS),
        requests,
        *(spread(counts, name) for name in _COUNTED),
        *(f"{ratio[one.name]:.2f}" if one.name in ratio else "" for ratio in compared),
    ]


def _about(result: Result) -> str:
    scenario = result.scenario
    runs = max((len(one.runs) for one in result.contenders), default=0)
    lines = [f"{scenario.name} ({runs} runs): {scenario.headline}"]
    lines += [f"- {_MET[verdict.met]}: {verdict.text}" for verdict in verdicts(result)]
    if result.ceiling:
        lines.append(f"- ceiling: {', '.join(f'{name} {value:.2f} s' for name, value in result.ceiling.items())}")
    lines += _floor(result.contenders[0].runs)
    if result.link:
        lines.append(f"- link: {result.link}")
    for one in result.contenders:
        lines += _details(one)
    return "\n".join(lines)


def _floor(ours: Sequence[Run]) -> list[str]:
    """Return the line about the floor of our runs, with the median CPU seconds that it comes from; none without."""
    floor = middle(ours, "floor_seconds")
    if floor is None:
        return []
    parts = {"client": "cpu_seconds", "registries": "registry_cpu_seconds", "links": "link_cpu_seconds"}
    known = {name: value for name, figure in parts.items() if (value := middle(ours, figure)) is not None}
    cpu = ", ".join(f"{name} {value:.2f} s" for name, value in known.items())
    return [f"- floor: {floor:.2f} s, with all cores busy; CPU: {cpu}"]


def _details(one: Contender) -> list[str]:
    """Why it failed, requests by kind, and the figures that have no column."""
    lines = [f"- {one.name} failed: {one.failed}"] if one.failed else []
    if one.runs and one.runs[-1].requests:
        kinds = sorted(one.runs[-1].requests.items(), key=lambda kind: -kind[1])
        lines.append(f"- {one.name} asked: {', '.join(f'{count} {kind}' for kind, count in kinds)}")
    names = dict.fromkeys(name for run in one.runs for name in run.figures if name not in {**_COLUMNS, **_COUNTED})
    if names:
        lines.append(f"- {one.name}: {', '.join(f'{name} {spread(one.runs, name)}' for name in names)}")
    return lines
