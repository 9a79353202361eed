"""Folders of this machine to make an image of, and a walk through one of them."""

import contextlib
import os
import stat
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Packages of the standard library's folder have layers of their own; compiled files differ from run to run.
_LEFT_OUT = frozenset({"__pycache__", "site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Tree:
    """
    A folder that becomes a layer.

    Attributes:
        title: what it is, for people.
        root: where it is on this machine.
        inside: where it goes in the image, without a leading slash.
        left_out: folders below `root` that belong to other layers.
    """

    title: str
    root: Path
    inside: str
    left_out: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a tree: its name in the image, its path here, its size in bytes, None for a folder."""

    name: str
    path: Path
    size: int | None


def trees() -> list[Tree]:
    """This Python's standard library, botocore (the largest package that is always there), all others, this program."""
    library = f"usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path(sysconfig.get_path("purelib"))
    found = [
        ("Python's standard library", Path(sysconfig.get_path("stdlib")), library),
        ("botocore", _package("botocore"), f"{library}/site-packages/botocore"),
        ("installed packages", packages, f"{library}/site-packages"),
        ("this program", _package("transfer"), f"{library}/site-packages/transfer"),
    ]
    roots = frozenset(root for _, root, _ in found if root)
    return [Tree(title, root, inside, roots - {root}) for title, root, inside in found if root]


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def walk(tree: Tree) -> Iterator[Entry]:
    """
    Files and folders in the order of their names, a folder before what is in it.

    Symbolic links are not followed and not given, nor is anything else that is no regular file; folders that cannot
    be read are empty.
    """
    return _walk(tree.root, tree.inside, tree.left_out)


def _walk(folder: Path, inside: str, left_out: frozenset[Path]) -> Iterator[Entry]:
    for path, status in _listed(folder):
        name = f"{inside}/{path.name}"
        if stat.S_ISREG(status.st_mode):
            yield Entry(name, path, status.st_size)
        elif stat.S_ISDIR(status.st_mode) and path.name not in _LEFT_OUT and path not in left_out:
            yield Entry(name, path, None)
            yield from _walk(path, name, left_out)


def _listed(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir(), key=os.fsencode):
            with contextlib.suppress(OSError):  # gone since
                found.append((path, path.lstat()))
    return found
