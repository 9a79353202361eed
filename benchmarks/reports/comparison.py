"""
What got worse since an earlier record, beyond what runs differ by anyway. Pure.

A time is worse when its median lies above all that was measured before, and by more than 5 %; memory by more than 10 %;
requests by any.
"""

from collections.abc import Iterator

from benchmarks.reports.evaluation import middle
from benchmarks.values import Contender, Record

_TIMES = {"seconds": "s", "cpu_seconds": "s of CPU"}
_TIME, _MEMORY = 1.05, 1.10


def compare(old: Record, new: Record) -> list[str]:
    """What of ours got worse, a line each; only what both records have."""
    before = {result.scenario.name: result.contenders[0] for result in old.results}
    found = [
        f"{result.scenario.name}: {line}"
        for result in new.results
        if (earlier := before.get(result.scenario.name)) is not None
        for line in _worse(earlier, result.contenders[0])
    ]
    if found and _place(old) != _place(new):
        found.append("but the machine is another one, so that times say little")
    return found


def _worse(old: Contender, new: Contender) -> Iterator[str]:
    if new.failed and not old.failed:
        yield f"failed: {new.failed}"
    for figure, unit in _TIMES.items():
        was, now = middle(old.runs, figure), middle(new.runs, figure)
        most = max((run.figures[figure] for run in old.runs if figure in run.figures), default=0.0)
        if was and now and now > most and now > _TIME * was:
            yield f"{now:.2f} {unit}, was {was:.2f} (at most {most:.2f})"
    was, now = middle(old.runs, "peak_mib"), middle(new.runs, "peak_mib")
    if was and now and now > _MEMORY * was:
        yield f"{now:.0f} MiB at its peak, was {was:.0f}"
    asked, asks = _requests(old), _requests(new)
    if asked is not None and asks is not None and asks > asked:
        yield f"{asks} requests, were {asked}"


def _requests(one: Contender) -> int | None:
    """Return the fewest of all runs: retries are no one's doing."""
    return min((sum(run.requests.values()) for run in one.runs if run.requests), default=None)


def _place(record: Record) -> tuple[object, ...]:
    return tuple(record.machine.get(name) for name in ("cores", "cpu", "memory_gib"))
