"""What the benchmarks know of CPU and memory: of the client, of registries and links, and the floor that follows."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients.cpu import Cpu, own_seconds, total, tree_seconds
from benchmarks.clients.processes import Usage, measured
from benchmarks.registries.access_log import AccessLog
from benchmarks.registries.registries import End
from benchmarks.registries.v2 import Access
from benchmarks.scenarios.bench import Bench, Site, carried_figures, cpu_figures
from benchmarks.scenarios.machine import cores, machine
from benchmarks.values import GIB, MIB, Image, Scenario

TICK = os.sysconf("SC_CLK_TCK")
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
ALLOCATE = "x = b'-' * (64 << 20)\n"


def python(script: str) -> str:
    """Return the words that a shell needs to run a script."""
    return shlex.join([sys.executable, "-I", "-S", "-c", script])


def process(proc: Path, pid: int, parent: int, *ticks: int, name: str = "registry") -> None:
    """Write what the kernel tells of a process: its user and system time, then those of its children."""
    (proc / str(pid)).mkdir(parents=True)
    between = " ".join(["0"] * 9)
    line = f"{pid} ({name}) S {parent} {between} {' '.join(map(str, ticks))} 20 0 1 0\n"
    (proc / str(pid) / "stat").write_text(line)


def test_the_cpu_of_a_process_is_that_of_its_descendants_too_and_of_no_other(tmp_path: Path) -> None:
    process(tmp_path, 1, 0, 9 * TICK, 0, 0, 0)
    process(tmp_path, 20, 1, 1 * TICK, 2 * TICK, 3 * TICK, 4 * TICK, name="a (b) S 1")
    process(tmp_path, 21, 20, 5 * TICK, 0, 0, 0)
    process(tmp_path, 22, 21, 0, 7 * TICK, 0, 0)
    process(tmp_path, 30, 1, 9 * TICK, 9 * TICK, 0, 0)
    assert tree_seconds(20, tmp_path) == 22
    assert tree_seconds(22, tmp_path) == 7


def test_the_cpu_of_a_process_that_is_gone_or_of_a_system_that_does_not_tell_is_not_known(tmp_path: Path) -> None:
    process(tmp_path, 20, 1, 1, 1, 1, 1)
    (tmp_path / "21" / "stat").mkdir(parents=True)  # unreadable, as what ends between two looks
    assert tree_seconds(21, tmp_path) is None
    assert tree_seconds(20, tmp_path) == pytest.approx(4 / TICK)
    assert tree_seconds(20, tmp_path / "missing") is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("script", ["{burn}; echo; read -r line", "{burn_and_wait}; :"])
def test_the_cpu_of_a_running_process_and_its_children_is_read_from_the_system(script: str) -> None:
    script = script.format(burn=python(BURN), burn_and_wait=python(BURN + "print(flush=True)\ninput()"))
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdout.readline()
        seconds = tree_seconds(shell.pid)
        shell.stdin.write(b"\n")
    assert seconds is not None
    assert seconds >= 0.2 - 2 / TICK


def test_the_cpu_of_this_process_includes_the_children_that_it_waited_for() -> None:
    before = own_seconds()
    subprocess.run([sys.executable, "-I", "-S", "-c", BURN], check=True)
    assert own_seconds() - before >= 0.2


@pytest.mark.parametrize(
    ("script", "times"),
    [
        ("exec {program}", 1),
        ("{program}; :", 1),
        ("{program}\n{program}", 2),
    ],
)
def test_a_client_behind_a_wrapper_is_measured_with_all_its_processes(tmp_path: Path, script: str, times: int) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f"#!/bin/sh\n{script.format(program=python(ALLOCATE + BURN))}\n")
    wrapper.chmod(0o755)
    usage = measured([str(wrapper)], os.environ, tmp_path)
    assert usage.cpu_seconds >= 0.2 * times
    assert 64 <= usage.peak_mib < 128, "memory is that of the largest process, not the sum"


def test_a_docker_registry_is_counted_from_the_last_clear(tmp_path: Path) -> None:
    file, cpu = tmp_path / "registry.log", iter([1.5, 2.0, 4.5])
    line = '127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" ""\n'
    file.write_text(line)
    log = AccessLog(file, lambda: next(cpu))
    assert log.read() == {"requests": {"GetBase": 1}, "cpu_seconds": 1.5}
    log.clear()
    file.write_text(line * 3)
    assert log.read() == {"requests": {"GetBase": 2}, "cpu_seconds": 2.5}


@pytest.mark.parametrize("cpu", [[None, None], [1.0, None], [None, 1.0]])
def test_a_docker_registry_whose_cpu_is_not_known_has_none(tmp_path: Path, cpu: list[float | None]) -> None:
    file, reported = tmp_path / "registry.log", iter(cpu)
    file.touch()
    log = AccessLog(file, lambda: next(reported))
    log.clear()
    assert log.read() == {"requests": {}}


@pytest.mark.parametrize(
    ("parts", "found"), [([], None), ([1.0], 1.0), ([1.0, 0.5], 1.5), ([1.0, None], None), ([0.0], 0.0)]
)
def test_a_sum_is_not_known_where_a_part_is_not(parts: Sequence[float | None], found: float | None) -> None:
    assert total(parts) == found


@pytest.mark.parametrize(
    ("cpu", "figures", "floor"),
    [
        (Cpu(1.0), {}, None),
        (Cpu(1.0, links=0.5), {"link_cpu_seconds": 0.5}, None),
        (Cpu(1.0, 0.0), {"registry_cpu_seconds": 0.0}, 0.25),
        (Cpu(1.0, 2.0), {"registry_cpu_seconds": 2.0, "client_over_registry_cpu": 0.5}, 0.75),
        (
            Cpu(1.0, 2.0, 1.0),
            {"registry_cpu_seconds": 2.0, "client_over_registry_cpu": 0.5, "link_cpu_seconds": 1.0},
            1.0,
        ),
    ],
)
def test_the_floor_is_the_cpu_of_all_over_the_cores(cpu: Cpu, figures: dict[str, float], floor: float | None) -> None:
    assert cpu.figures() == figures
    assert cpu.floor(cores=4) == floor


@pytest.mark.parametrize(("do", "reported"), [("push", True), ("copy", True), ("mirror", True), ("library", False)])
def test_a_floor_is_told_where_images_are_moved_by_tools(do: Any, reported: bool) -> None:
    scenario = Scenario(name="one", headline="It is.", do=do, image=Image(layers=1, layer_kib=512 * 1024))
    figures = cpu_figures(Cpu(1.0, 2.0), scenario)
    assert figures.get("floor_seconds") == (3.0 / cores() if reported else None)
    assert figures["cpu_seconds_per_gib"] == 2.0


def test_without_bytes_to_move_or_the_cpu_of_a_registry_neither_is_told() -> None:
    scenario = Scenario(name="one", headline="It is.", do="mirror", again=True)
    assert cpu_figures(Cpu(1.0), scenario) == {}


def test_what_all_links_carried_is_added_up() -> None:
    one = {"connections": 2, "sent": 3 * MIB, "received": MIB, "cpu_seconds": 0.5}
    assert carried_figures([one, one]) == {"connections": 4, "sent_mib": 6, "received_mib": 2}
    assert carried_figures([]) == {}


def end(**log: Any) -> End:
    """Make a registry that tells this log; nothing runs."""
    access = Access("127.0.0.1:1", "app")
    return End(access, access.address, "", tls=False, environment={}, log=lambda: log, clear=dict)


@pytest.mark.parametrize(
    ("source", "registries"),
    [({"cpu_seconds": 0.5}, {"registry_cpu_seconds": 2.0, "client_over_registry_cpu": 0.5}), ({}, {})],
)
def test_a_run_has_the_cpu_of_both_registries_or_of_none(
    tmp_path: Path, source: dict[str, float], registries: dict[str, float]
) -> None:
    scenario = Scenario(name="one", headline="It is.", do="copy", image=Image(layers=1, layer_kib=1024 * 1024))
    target = end(cpu_seconds=1.5, requests={"PutManifest": 1})
    site = Site(Bench(scenario, tmp_path), tmp_path, end(**source), target)
    run = site.run(Usage(4.0, 1.0, 32 * MIB))
    floor = {"floor_seconds": 3.0 / cores()} if registries else {}
    own = {"seconds": 4.0, "cpu_seconds": 1.0, "peak_mib": 32.0, "cpu_seconds_per_gib": 1.0}
    assert run.figures == {**own, "mib_per_second": GIB / MIB / 4.0, **registries, **floor}
    assert run.requests == {"PutManifest": 1}


def test_the_cores_of_the_floor_are_those_of_the_record() -> None:
    assert machine()["cores"] == cores() >= 1
