"""
Run one command and measure it: `python benchmarks/clients/measure.py OUTPUT COMMAND…` writes JSON to OUTPUT.

A process of its own on purpose. Linux counts the memory of whoever starts a command into the command's high-water
mark (fork before exec), so that the one who starts it must be smaller than whatever is measured. Imports next to
nothing for that reason.
"""

import json
import os
import sys
import time
from pathlib import Path

# ru_maxrss is in bytes on macOS and in KiB elsewhere.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main(output: str, *command: str) -> int:
    began = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    figures = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * MAXRSS_UNIT,
    }
    Path(output).write_text(json.dumps(figures))
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
