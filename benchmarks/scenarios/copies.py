"""
Runs in which tools move images, ours and the others alike: the same site, the same question, the same look at the end.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import tools
from benchmarks.clients.processes import Usage, clean_environment, measured, service
from benchmarks.scenarios.bench import Bench, Site, usage_figures
from benchmarks.values import MIB, Run


def move(bench: Bench, tool: str, *, counted: bool = False, target: str | None = None) -> Run:
    """Return a tool pushes, copies or mirrors; `target` is another kind of registry than the scenario's."""
    with bench.site(counted=counted, target=target) as site:
        site.begin()
        command, environment = tools.command(tool, site.move()), site.environment()
        run = site.run(measured(command, environment, site.folder))
        site.verify()
    return run


def resume(bench: Bench, tool: str, *, counted: bool = False) -> Run:
    """Killed when half of it had arrived, then to the end; the time and memory are those of the second push."""
    with bench.site(counted=counted) as site:
        site.begin()
        command, environment = tools.command(tool, site.move()), site.environment()
        _start_and_kill(site, command, environment, bench.layout.content // 2)
        usage = measured(command, environment, site.folder)
        # What the killed push had handed to the kernel still arrives; both pushes are counted, broken requests too.
        run = site.run(usage, sent_twice_mib=(_received(site) - bench.layout.content) / MIB)
        site.verify()
    return run


def library(bench: Bench, tool: str, *, counted: bool = False) -> Run:
    """`await push_image` in a process that pushed before, against whole processes of the others."""
    if tool != "transfer":
        return move(bench, tool, counted=counted)
    with bench.site(counted=counted) as site:
        what, environment = site.move(), site.environment()
        source = f"oci:{what.source}:v0"
        targets = [f"{what.target}-warm:v0", f"{what.target}:v0"]
        with service("benchmarks.clients.library", source, *targets, environment=environment) as process:
            site.begin()
            usage = Usage(**process.ask("push"))
        run = site.run(usage)
        site.verify()
    return run


def version(bench: Bench, tool: str, *, counted: bool = False) -> Run:
    """Return the least that a tool can do."""
    del counted
    command = tools.version_command(tool)
    return Run(figures=usage_figures(measured(command, clean_environment(bench.folder, {}), bench.folder)))


def profile(bench: Bench, file: Path) -> None:
    """Do once what ours does in a scenario, and write a page of pyinstrument about it."""
    with bench.site() as site:
        site.begin()
        words = tools.command("transfer", site.move())[1:]
        command = [sys.executable, "-m", "pyinstrument", "--renderer=html", f"--outfile={file}", *words]
        measured(command, site.environment(), site.folder)


def _start_and_kill(site: Site, command: Sequence[str], environment: dict[str, str], after: int) -> None:
    """Run until the registry has so many bytes of layers, then SIGKILL."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as client:
        while client.poll() is None and _received(site) < after:
            time.sleep(0.02)
        client.kill()


def _received(site: Site) -> int:
    return sum(int(end.log().get("received", 0)) for end in site.ends)
