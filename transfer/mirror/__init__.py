"""
Many images from one configuration: what is mirrored, under which names, and how a run goes.

    from transfer.mirror import Mapping, MirrorConfig, mirror

    report = await mirror(MirrorConfig(mappings=(Mapping(source="alpine:3", targets=("registry.example/alpine",)),)))
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfer.mirror.config import load_config
    from transfer.mirror.filters import RepositoryFilter, TagFilter
    from transfer.mirror.followed import Followed
    from transfer.mirror.front import mirror
    from transfer.mirror.report import ImageReport, MirrorReport
    from transfer.mirror.settings import CreateRepository, Mapping, MirrorConfig, Prune, RegistryConfig
    from transfer.mirror.watcher import Watch, watch

__all__ = [
    "CreateRepository",
    "Followed",
    "ImageReport",
    "Mapping",
    "MirrorConfig",
    "MirrorReport",
    "Prune",
    "RegistryConfig",
    "RepositoryFilter",
    "TagFilter",
    "Watch",
    "load_config",
    "mirror",
    "watch",
]

# Imported when first asked for: a configuration can be read without the engine, which takes a third of a second.
_PLACES = {
    "CreateRepository": "settings",
    "Followed": "followed",
    "ImageReport": "report",
    "Mapping": "settings",
    "MirrorConfig": "settings",
    "MirrorReport": "report",
    "Prune": "settings",
    "RegistryConfig": "settings",
    "RepositoryFilter": "filters",
    "TagFilter": "filters",
    "Watch": "watcher",
    "load_config": "config",
    "mirror": "front",
    "watch": "watcher",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'transfer.mirror' has no attribute {name!r}")
    return getattr(importlib.import_module(f"transfer.mirror.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
