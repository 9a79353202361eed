"""
The command lines of each tool for a scenario. Pure, but for `find`, which looks on PATH.

Each has the options that its manual gives for many images, keeps digests, and copies no signatures. None has
anything that only helps here.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

_VERSION: Mapping[str, tuple[str, ...]] = {
    "transfer": (sys.executable, "-m", "transfer", "--version"),
    "skopeo": ("skopeo", "--version"),
    "crane": ("crane", "version"),
    "regctl": ("regctl", "version"),
    "oras": ("oras", "version"),
    "docker-registry": ("docker-registry", "--version"),
    "boto3": (sys.executable, "-c", "import boto3; print('boto3', boto3.__version__)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """
    What is moved from where to where.

    Attributes:
        do: a layout's image into a registry, an image between two, or all tags of a repository between two.
        source: a layout's folder, or the repository.
        target: the repository.
        tags: which there are; the first is what `push` and `copy` move.
        plain_source, plain_target: whether that end speaks no TLS.
        options: for transfer alone.
    """

    do: Literal["push", "copy", "mirror"]
    source: str
    target: str
    tags: Sequence[str]
    plain_source: bool
    plain_target: bool
    options: Sequence[str] = ()


def find(name: str) -> bool:
    """Return whether a tool can be run here; ours always."""
    return name == "transfer" or shutil.which(name) is not None


def version_command(tool: str) -> list[str]:
    """Return the command that tells a tool's version, which is also the least that it can do."""
    return [*_in_place(_VERSION[tool])]


def version(name: str) -> str:
    """What a tool, or a registry, says of itself: the first line that has a digit; nothing where there is none."""
    if name not in _VERSION or shutil.which(_VERSION[name][0]) is None:
        return ""
    done = subprocess.run(version_command(name), capture_output=True, text=True, check=False)
    lines = (line.strip() for line in done.stdout.splitlines())
    return next((line for line in lines if any(letter.isdigit() for letter in line)), "")


def command(tool: str, move: Move) -> list[str]:
    """Return the command line of a tool, absolute at its first word."""
    return _in_place(_COMMANDS[tool](move))


def _in_place(words: Sequence[str]) -> list[str]:
    return [shutil.which(words[0]) or words[0], *words[1:]]


def _transfer(move: Move) -> list[str]:
    plain = ["--src-plain-http"] * (move.plain_source and move.do != "push") + ["--dest-plain-http"] * move.plain_target
    ours = [sys.executable, "-m", "transfer", move.do, "--quiet", *plain]
    if move.do == "mirror":
        return [*ours, move.source, move.target, "--all-tags", *move.options]
    source = f"oci:{move.source}" if move.do == "push" else move.source
    return [*ours, *move.options, f"{source}:{move.tags[0]}", f"{move.target}:{move.tags[0]}"]


def _skopeo(move: Move) -> list[str]:
    plain = ["--src-tls-verify=false"] * (move.plain_source and move.do != "push")
    plain += ["--dest-tls-verify=false"] * move.plain_target
    if move.do == "mirror":
        ends = ["--src=docker", "--dest=docker", move.source, move.target.rpartition("/")[0]]
        return ["skopeo", "sync", "--insecure-policy", "--preserve-digests", *plain, *ends]
    source = f"oci:{move.source}" if move.do == "push" else f"docker://{move.source}"
    ends = [f"{source}:{move.tags[0]}", f"docker://{move.target}:{move.tags[0]}"]
    return ["skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests", *plain, *ends]


def _crane(move: Move) -> list[str]:
    # It speaks HTTP to loopback by itself where there is no TLS.
    if move.do == "push":
        return ["crane", "push", move.source, f"{move.target}:{move.tags[0]}"]
    if move.do == "mirror":
        return ["crane", "copy", "--all-tags", move.source, move.target]
    return ["crane", "copy", f"{move.source}:{move.tags[0]}", f"{move.target}:{move.tags[0]}"]


def _regctl(move: Move) -> list[str]:
    ends = [(move.target, move.plain_target)]
    ends += [(move.source, move.plain_source)] if move.do != "push" else []
    hosts = [f"--host=reg={end.partition('/')[0]},tls=disabled" for end, plain in ends if plain]
    source = f"ocidir://{move.source}" if move.do == "push" else move.source
    one = ["regctl", *hosts, "image", "copy"]
    return _each_tag(move, lambda tag: [*one, f"{source}:{tag}", f"{move.target}:{tag}"])


def _oras(move: Move) -> list[str]:
    plain = ["--from-plain-http"] * (move.plain_source and move.do != "push") + ["--to-plain-http"] * move.plain_target
    one = ["oras", "cp", *(["--from-oci-layout"] if move.do == "push" else []), *plain]
    return _each_tag(move, lambda tag: [*one, f"{move.source}:{tag}", f"{move.target}:{tag}"])


def _each_tag(move: Move, one: Callable[[str], list[str]]) -> list[str]:
    """Return one command, or, for tools that know no repositories, one after the other as their users write it."""
    if move.do != "mirror":
        return one(move.tags[0])
    return ["sh", "-ec", "\n".join(shlex.join(one(tag)) for tag in move.tags)]


_COMMANDS: Mapping[str, Callable[[Move], list[str]]] = {
    "transfer": _transfer,
    "skopeo": _skopeo,
    "crane": _crane,
    "regctl": _regctl,
    "oras": _oras,
}
