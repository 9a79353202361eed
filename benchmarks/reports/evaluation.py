"""
What the runs of a scenario come to: medians, ratios, and whether what was expected holds. Pure.
"""

from collections.abc import Sequence
from statistics import median

from benchmarks.values import Contender, Result, Run, Value

# A bound on these is for the worst run; on all others, for the median.
_WORST = ("peak_mib", "sent_twice_mib")
# What is compared in each ratio; None is the figure of the scenario.
_RATIOS = {"ratio": None, "cpu_ratio": "cpu_seconds"}


class Verdict(Value, frozen=True, kw_only=True):
    """One expectation: what it was and what came, and whether it is met; None where it could not be judged."""

    text: str
    met: bool | None


def middle(runs: Sequence[Run], figure: str) -> float | None:
    """Return the median of a figure; None where no run has it."""
    values = [run.figures[figure] for run in runs if figure in run.figures]
    return median(values) if values else None


def ratios(result: Result, figure: str | None = None) -> dict[str, float]:
    """
    By contender the median of a figure, the scenario's by default, over that of the best other contender than ours.

    Nothing where ours was alone, or where the best is 0.
    """
    figure = figure or result.scenario.figure
    found = {one.name: value for one in result.contenders if (value := middle(one.runs, figure)) is not None}
    others = [value for name, value in found.items() if name != result.contenders[0].name]
    if not others:
        return {}
    best = min(others) if figure.endswith("seconds") else max(others)
    return {name: value / best for name, value in found.items()} if best else {}


def verdicts(result: Result) -> list[Verdict]:
    """Return each expectation of the scenario, judged by ours."""
    ours = result.contenders[0]
    if ours.failed:
        return [Verdict(text=f"{ours.name} failed", met=False)]
    found = []
    for name, wanted in result.scenario.expect.items():
        if name == "requests":
            found.append(_same_requests(ours, wanted, result.scenario.expect.get("requests_max", {})))
        elif name == "requests_max":
            found += [_at_most(ours, kind, most) for kind, most in wanted.items()]
        else:
            found.append(_bound(result, name, float(wanted)))
    return found


def _bound(result: Result, name: str, wanted: float) -> Verdict:
    figure, _, bound = name.rpartition("_")
    runs = result.contenders[0].runs
    if figure in _RATIOS:
        actual = ratios(result, _RATIOS[figure]).get(result.contenders[0].name)
    elif figure in _WORST:
        actual = max((run.figures[figure] for run in runs if figure in run.figures), default=None)
    else:
        actual = middle(runs, figure)
    words = f"at {'most' if bound == 'max' else 'least'} {wanted:g}"
    if actual is None:
        return Verdict(text=f"{figure} not known, {words}", met=None)
    met = actual <= wanted if bound == "max" else actual >= wanted
    return Verdict(text=f"{figure} {actual:.2f}, {words}", met=met)


def _same_requests(ours: Contender, wanted: dict[str, int], bounded: dict[str, int]) -> Verdict:
    counted = [{kind: count for kind, count in run.requests.items() if kind not in bounded} for run in ours.runs]
    other = next((one for one in counted if one != wanted), None)
    if other is None:
        return Verdict(text=f"requests {wanted}", met=True)
    return Verdict(text=f"requests {other}, expected {wanted}", met=False)


def _at_most(ours: Contender, kind: str, most: int) -> Verdict:
    count = max((run.requests.get(kind, 0) for run in ours.runs), default=0)
    return Verdict(text=f"requests {kind} {count}, at most {most}", met=count <= most)
