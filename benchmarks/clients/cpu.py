"""CPU seconds, user and system together: of this process, of another one, and of all that take part in a run."""

import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# Where /proc/PID/stat has the parent, and the times of the process and of its children, counted from after its name.
_PARENT, _TIMES = 1, slice(11, 15)


def own_seconds() -> float:
    """Return the CPU seconds of this process and of the children that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def tree_seconds(pid: int, proc: Path = _PROC) -> float | None:
    """
    Return the CPU seconds of a process and its descendants, those that have ended and were waited for included.

    None where the system has no /proc, or no such process.
    """
    found = dict(_processes(proc))
    if pid not in found:
        return None
    seconds, left = 0.0, [pid]
    while left:
        parent = left.pop()
        seconds += found[parent][1]
        left += [child for child, (its_parent, _) in found.items() if its_parent == parent]
    return seconds


def _processes(proc: Path) -> Iterator[tuple[int, tuple[int, float]]]:
    """Yield each process with its parent and its CPU seconds."""
    tick = os.sysconf("SC_CLK_TCK")
    for file in proc.glob("[0-9]*/stat"):
        try:
            # The name is in parentheses and may hold any character.
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended since
            continue
        yield int(file.parent.name), (int(fields[_PARENT]), sum(map(int, fields[_TIMES])) / tick)


@dataclass(frozen=True, slots=True)
class Cpu:
    """
    CPU seconds of a run.

    Attributes:
        client: the client.
        registries: all registries together; None where that of one is not known.
        links: all links together; None without any.
    """

    client: float
    registries: float | None = None
    links: float | None = None

    def figures(self) -> dict[str, float]:
        """Return what is known, but for the client's, by the names that figures have."""
        found = {} if self.registries is None else {"registry_cpu_seconds": self.registries}
        if self.registries:
            found["client_over_registry_cpu"] = self.client / self.registries
        return found if self.links is None else found | {"link_cpu_seconds": self.links}

    def floor(self, cores: int) -> float | None:
        """Return the seconds that all of it takes with every core busy; None where a part of it is not known."""
        return None if self.registries is None else (self.client + self.registries + (self.links or 0.0)) / cores


def total(parts: Sequence[float | None]) -> float | None:
    """Return the sum; None where there is nothing to add, or a part is not known."""
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
