"""
What the program does to start sooner. It may, since the process is its own; a library must do none of it.

A run that finds nothing to do spends most of its time on imports.
"""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # 10 ms
    from importlib.abc import Loader

# As many objects more than before, and garbage is looked for.
_ALLOCATIONS = 50_000
# Reads the system's certificates at its import, twice: 40 ms and 3 MiB. Our transport brings trust of its own.
_READS_CERTIFICATES = "aiohttp.connector"
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def start_sooner() -> None:
    """Look for no garbage among what is imported, and read no certificates that nobody asks for."""
    gc.disable()
    sys.meta_path.insert(0, _WithoutCertificates())


def connecting_soon() -> None:
    """A registry is going to be talked to: have certificates read while what that takes is imported."""
    if _is_ours():
        from transfer.http.certificates import read_ahead

        read_ahead()


def imported() -> None:
    """What is there by now stays until the end, so that it is not looked through for garbage from here on."""
    if not _is_ours():
        return
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
    gc.enable()


def _is_ours() -> bool:
    """Whether the process is the program's own, and still starts."""
    return not gc.isenabled()


class _WithoutCertificates:
    """A finder and loader that imports one module while the system's certificates are out of sight."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _READS_CERTIFICATES:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._loader = spec.loader
            spec.loader = cast("Loader", self)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        with _out_of_sight():
            self._loader.exec_module(module)


@contextmanager
def _out_of_sight() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
