"""Where and of what a measurement is: the machine, the commit."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any


def cores() -> int:
    """Return how many cores this machine has."""
    return os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Where this is measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": cores(),
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
    """Return the commit that is measured, with a plus when files differ from it; empty outside a clone."""
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
