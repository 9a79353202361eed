"""
What the runs of a scenario share, and what each of them has for itself: registries, a home, an environment.

Nothing that a run stored makes a later one cheaper, and its disk is free again when it is over.
"""

import asyncio
import base64
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clients.cpu import Cpu, total
from benchmarks.clients.processes import Usage, clean_environment
from benchmarks.clients.tools import Move
from benchmarks.network.certificates import Certificates, make_certificates
from benchmarks.registries import v2
from benchmarks.registries.registries import LOGIN, End, Wish, opened
from benchmarks.scenarios.images import Layout, write_layout
from benchmarks.scenarios.machine import cores
from benchmarks.values import GIB, MIB, Link, Run, Scenario
from transfer import AwsCredentials, open_ecr


class Bench:
    """A scenario with its images on disk, and registries that were filled with them once."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self._filled: dict[str, Path] = {}

    @cached_property
    def layout(self) -> Layout:
        return write_layout(self.folder / "layout", self.scenario.image)

    @cached_property
    def certificates(self) -> Certificates | None:
        return make_certificates(self.folder) if self.scenario.tls else None

    def filled(self, kind: str) -> Path:
        """What a registry of this kind keeps when it holds all the images."""
        kind = "embedded" if kind == "ecr" else kind
        if kind not in self._filled:
            self._filled[kind] = data = self.folder / f"filled-{kind}"
            with opened(Wish(kind, data=data), self.folder / f"filling-{kind}") as end:
                v2.fill(end.access, self.layout)
        return self._filled[kind]

    @contextmanager
    def site(self, *, counted: bool = False, target: str | None = None) -> Iterator["Site"]:
        """
        The scenario's registries, for one run.

        Args:
            counted: they are reached over something that counts, though that takes time.
            target: another kind of target than the scenario's.
        """
        scenario = self.scenario
        os.sync()  # what earlier runs left to write would slow this one
        with TemporaryDirectory(dir=self.folder) as place, ExitStack() as stack:
            folder = Path(place)

            def end(kind: str, side: str) -> End | None:
                wish = self._wish(kind, side, counted=counted)
                return stack.enter_context(opened(wish, folder / side)) if kind else None

            yield Site(self, folder, end(scenario.source, "source"), end(target or scenario.target, "target"))

    def _wish(self, kind: str, side: str, *, counted: bool) -> Wish:
        link = self.scenario.link
        lies = link.limits and link.at in (side, "both")
        own = bool(kind) and "://" not in kind
        return Wish(
            kind,
            data=self.filled(kind) if own and side == "source" else None,
            seed=self.filled(kind) if own and side == "target" and self.scenario.again else None,
            certificates=self.certificates,
            link=link if lies else Link() if counted else None,
            throttle=self.scenario.throttle if side == "target" else {},
        )


@dataclass(frozen=True, slots=True)
class Site:
    """Where one run takes place: its registries, and a folder that goes with it."""

    bench: Bench
    folder: Path
    source: End | None
    target: End | None

    @property
    def ends(self) -> Sequence[End]:
        return [end for end in (self.source, self.target) if end is not None]

    def begin(self) -> None:
        """Make ready what a tool does not make, and count from here."""
        scenario = self.bench.scenario
        if scenario.source and "://" in scenario.source and self.source is not None:
            v2.fill(self.source.access, self.bench.layout)
        if scenario.target == "ecr" and not scenario.again and self.target is not None:
            asyncio.run(_create_repository(f"http://{self.target.access.address}", self.target.environment))
        for end in self.ends:
            end.clear()

    def environment(self) -> dict[str, str]:
        """For a tool that has never been run: a home with nothing in it but logins."""
        home = self.folder / "home"
        (home / ".docker").mkdir(parents=True, exist_ok=True)
        auths = {
            end.address: {"auth": base64.b64encode(end.access.login.encode()).decode()}
            for end in self.ends
            if end.access.login
        }
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
        trust = self.bench.certificates
        known = {name: value for end in self.ends for name, value in end.environment.items()}
        return clean_environment(home, known | ({"SSL_CERT_FILE": str(trust.authority)} if trust else {}))

    def move(self) -> Move:
        """What a tool is to do."""
        scenario = self.bench.scenario
        do = scenario.do if scenario.do in ("copy", "mirror") else "push"
        return Move(
            do=do,
            source=str(self.bench.layout.path) if self.source is None else self.source.name,
            target=self.target.name if self.target is not None else "",
            tags=list(self.bench.layout.tags),
            plain_source=self.source is not None and not self.source.tls,
            plain_target=self.target is not None and not self.target.tls,
            options=scenario.options,
        )

    def verify(self) -> None:
        """
        See that the target holds what it should.

        Raises:
            BenchmarkFailed: it does not.
        """
        if self.target is not None:
            tags = self.bench.layout.tags
            moved = tags if self.bench.scenario.do in ("mirror", "growth") else {"v0": tags["v0"]}
            v2.verify(self.target.access, moved)

    def run(self, usage: Usage, **more: float) -> Run:
        """What one run brought back; ask before `verify`, which is counted too."""
        logs, carried = [end.log() for end in self.ends], [counts for end in self.ends if (counts := end.carried())]
        requests: Counter[str] = Counter()
        for log in logs:
            requests.update(log.get("requests", {}))
        cpu = Cpu(
            client=usage.cpu_seconds,
            registries=total([log.get("cpu_seconds") for log in logs]),
            links=total([counts["cpu_seconds"] for counts in carried]),
        )
        scenario = self.bench.scenario
        figures = usage_figures(usage) | cpu_figures(cpu, scenario) | carried_figures(carried) | more
        if scenario.moved:
            figures["mib_per_second"] = scenario.moved / MIB / usage.seconds
        if scenario.do in ("mirror", "growth"):
            figures["requests_per_tag"] = requests.total() / scenario.image.tags
        return Run(figures=figures, requests=dict(requests))


def cpu_figures(cpu: Cpu, scenario: Scenario) -> dict[str, float]:
    """Return the CPU of registries and links, the client's for each GiB, and the floor where images are moved."""
    figures = cpu.figures()
    if scenario.moved:
        figures["cpu_seconds_per_gib"] = cpu.client * GIB / scenario.moved
    floor = cpu.floor(cores()) if scenario.do in ("push", "copy", "mirror") else None
    return figures if floor is None else figures | {"floor_seconds": floor}


def carried_figures(carried: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the connections, and the MiB from and to the tool, of all links; nothing without any."""
    if not carried:
        return {}
    sums = {name: float(sum(one[name] for one in carried)) for name in ("connections", "sent", "received")}
    return {
        "connections": sums["connections"],
        "sent_mib": sums["sent"] / MIB,
        "received_mib": sums["received"] / MIB,
    }


def usage_figures(usage: Usage) -> dict[str, float]:
    return {"seconds": usage.seconds, "cpu_seconds": usage.cpu_seconds, "peak_mib": usage.peak_mib}


async def _create_repository(url: str, environment: Mapping[str, str]) -> None:
    user, _, password = LOGIN.partition(":")
    credentials = AwsCredentials(access_key_id=user, secret_access_key=password, endpoint_url=url)
    async with open_ecr(region=environment["AWS_REGION"], credentials=credentials) as ecr:
        await ecr.create_repository(repositoryName="app")
