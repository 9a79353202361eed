"""
`await push_image` in a process that is warm, for who asks: `python -m benchmarks.clients.library SOURCE TARGET…`.

Pushes to the first target before it says that it is ready, and to the next one with each question.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.clients.cpu import own_seconds
from benchmarks.clients.line_service import run, say
from benchmarks.clients.measure import MAXRSS_UNIT
from transfer import push_image


async def main(source: str, *targets: str) -> None:
    await push_image(source, targets[0])
    say({})
    for target in targets[1:]:
        await asyncio.to_thread(sys.stdin.readline)
        say(await _measured(source, target))


async def _measured(source: str, target: str) -> dict[str, Any]:
    began, cpu = time.monotonic(), own_seconds()
    await push_image(source, target)
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": own_seconds() - cpu,
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """Return the most memory of this program; Linux counts that of who started it into `ru_maxrss`."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
