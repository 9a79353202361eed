"""
The values of the harness: what bench.toml says, what a run brought back, and the record of it all.

They read from and write to TOML and JSON strictly.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
from msgspec.structs import replace

MIB = 1024 * 1024
GIB = 1024 * MIB

# What can be measured: tools that copy images, or one of the special runs below.
Do = Literal[
    "push",
    "copy",
    "mirror",
    "resume",
    "library",
    "version",
    "parts",
    "heads",
    "registries",
    "growth",
]
TOOLS = ("transfer", "skopeo", "crane", "regctl", "oras")
# Who takes part where that is not a matter of tools on PATH; the first one is ours.
_CONTENDERS: Mapping[str, tuple[str, ...]] = {
    "parts": ("transfer", "boto3"),
    "registries": ("embedded", "docker-registry"),
    "heads": ("embedded",),
    "growth": ("transfer",),
    "resume": ("transfer",),
}


class BenchmarkFailed(Exception):
    """A benchmark that could not be run, in one line."""


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The root of the values."""


class Image(Value, frozen=True, kw_only=True):
    """
    The shape of images, one under each tag, from a seed.

    Attributes:
        layers, layer_kib: layers that every image has for itself, and the KiB of each.
        tags: images, as `v0`, `v1`, …
        base_mib: a layer of so many MiB that all of them share; 0 is none.
        same: every tag holds the same image.
    """

    layers: int = 1
    layer_kib: int = 64
    tags: int = 1
    base_mib: int = 0
    same: bool = False
    seed: int = 0

    @property
    def size(self) -> int:
        """Bytes of all layers, what is shared once."""
        own = self.layers * self.layer_kib * 1024
        return own * (1 if self.same else self.tags) + self.base_mib * MIB


class Link(Value, frozen=True, kw_only=True):
    """
    What lies between the tools and the registries; 0 is none of it, or no limit. MB are 1,000,000 bytes.

    Attributes:
        at: in front of which end.
        connection_mb_per_second: for each connection and direction.
        total_mb_per_second: for all connections of an end together, in each direction.
        cut_after_mib: a fault: each connection breaks when it has carried so much.
    """

    at: Literal["both", "source", "target"] = "both"
    round_trip_ms: float = 0.0
    connection_mb_per_second: float = 0.0
    total_mb_per_second: float = 0.0
    cut_after_mib: float = 0.0

    @property
    def limits(self) -> bool:
        """Whether it changes anything."""
        return self != Link(at=self.at)


class Scenario(Value, frozen=True, kw_only=True):
    """
    A table of bench.toml.

    Attributes:
        headline: what it shows, in one sentence.
        source, target: `docker-registry`, `embedded` (at `/v2/`), `ecr` (the embedded one by the ECR API), or a URL
            of a registry, where each run gets a repository of its own and nothing lies in between.
        again: the target holds all of it before.
        options: further options of transfer, as `["--layers", "1"]`.
        sizes: of `growth`: how many images, three times, more each time.
        throttle: a fault: requests a second that the embedded registry serves, by operation.
        tools: who takes part; `transfer` is always first.
        figure: by what they are compared.
        expect: what must hold of ours: NAME_max and NAME_min of a figure, of `ratio`, or of `cpu_ratio`; `requests`,
            exactly, by kind; `requests_max` for the kinds that it names.
    """

    name: str
    headline: str
    do: Do
    image: Image = Image()
    source: str = ""
    target: str = ""
    link: Link = Link()
    tls: bool = False
    again: bool = False
    throttle: dict[str, float] = {}
    options: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    runs: int = 5
    tools: tuple[str, ...] = ()
    figure: str = "seconds"
    expect: dict[str, Any] = {}

    @property
    def contenders(self) -> tuple[str, ...]:
        if self.do in _CONTENDERS:
            return _CONTENDERS[self.do]
        if self.tools:
            return self.tools
        return ("transfer",) if "ecr" in (self.source, self.target) else TOOLS

    @property
    def moved(self) -> int:
        """Bytes that have to go from end to end."""
        return 0 if self.again or self.do in ("version", "heads", "growth") else self.image.size

    @property
    def disk(self) -> int:
        """Bytes on disk at once: the images, what the source holds, what the target gets, and something over."""
        return 4 * self.image.size + 64 * MIB

    def quick(self) -> Self:
        """Return the same in small, to see that it works: one run of small images, of which nothing is expected."""
        image = replace(
            self.image,
            layers=min(self.image.layers, 8),
            layer_kib=min(self.image.layer_kib, 1024),
            base_mib=min(self.image.base_mib, 1),
            tags=min(self.image.tags, 5),
        )
        return replace(self, image=image, runs=1, sizes=(5, 10, 20) if self.sizes else (), expect={})


def load(file: Path) -> list[Scenario]:
    """
    Return the scenarios of a file, in its order; `[defaults.expect]` holds for all that do not say otherwise.

    Raises:
        BenchmarkFailed: it cannot be read, or does not fit.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkFailed(f"{file}: {error}") from None
    common = document.pop("defaults", {})
    return [_scenario(file, name, table, common) for name, table in document.items()]


def _scenario(file: Path, name: str, table: dict[str, Any], common: dict[str, Any]) -> Scenario:
    merged = {**common, **table, "name": name, "expect": {**common.get("expect", {}), **table.get("expect", {})}}
    try:
        found = msgspec.convert(merged, Scenario)
    except msgspec.ValidationError as error:
        raise BenchmarkFailed(f"{file} [{name}]: {error}") from None
    if found.link.limits and any("://" in end for end in (found.source, found.target)):
        raise BenchmarkFailed(
            f"{file} [{name}]: a link cannot lie before a URL; only before registries of this machine"
        )
    if found.runs < 1:
        raise BenchmarkFailed(f"{file} [{name}]: runs must be at least 1")
    return found


class Run(Value, frozen=True, kw_only=True):
    """What one run brought back: figures by name (units in the names) and requests by kind."""

    figures: dict[str, float]
    requests: dict[str, int] = {}


class Contender(Value, frozen=True, kw_only=True):
    """
    One who took part.

    Attributes:
        runs: those that were timed.
        counts: of a run that was only counted, where the timed ones went past what counts.
        failed: the line that it ended with, instead.
    """

    name: str
    runs: list[Run] = []
    counts: Run | None = None
    failed: str = ""


class Result(Value, frozen=True, kw_only=True):
    """
    A scenario and who took part; ours is the first.

    Attributes:
        ceiling: seconds that the same bytes take through a bare socket pair, and through one sha256.
        link: what the link measured of itself.
    """

    scenario: Scenario
    contenders: list[Contender]
    ceiling: dict[str, float] = {}
    link: str = ""


class Record(Value, frozen=True, kw_only=True):
    """All results, and where they come from."""

    commit: str
    machine: dict[str, Any]
    versions: dict[str, str]
    absent: list[str]
    results: list[Result]
