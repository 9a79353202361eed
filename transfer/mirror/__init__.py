"""
Many images from one configuration: what is mirrored, under which names, and how a run goes.

    from transfer.mirror import MirrorConfig, MirrorRule, mirror

    rule = MirrorRule(source="alpine:3", targets=("registry.example/alpine",))
    report = await mirror(MirrorConfig(mappings=(rule,)))
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfer.mirror.api import mirror
    from transfer.mirror.config.load import load_config
    from transfer.mirror.config.settings import CreateRepository, MirrorConfig, MirrorRule, Prune, RegistryConfig
    from transfer.mirror.run.report import ImageReport, MirrorReport
    from transfer.mirror.select.filters import RepositoryFilter, TagFilter
    from transfer.mirror.watcher.loop import Watch, watch
    from transfer.mirror.watcher.reload import ConfigReloader

__all__ = [
    "ConfigReloader",
    "CreateRepository",
    "ImageReport",
    "MirrorConfig",
    "MirrorReport",
    "MirrorRule",
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
_MODULES = {
    "CreateRepository": "config.settings",
    "ConfigReloader": "watcher.reload",
    "ImageReport": "run.report",
    "MirrorRule": "config.settings",
    "MirrorConfig": "config.settings",
    "MirrorReport": "run.report",
    "Prune": "config.settings",
    "RegistryConfig": "config.settings",
    "RepositoryFilter": "select.filters",
    "TagFilter": "select.filters",
    "Watch": "watcher.loop",
    "load_config": "config.load",
    "mirror": "api",
    "watch": "watcher.loop",
}


# Earlier names, deprecated.
_DEPRECATED = {"Followed": "ConfigReloader", "Mapping": "MirrorRule"}


def __getattr__(name: str) -> object:
    name = _DEPRECATED.get(name, name)
    if name not in _MODULES:
        raise AttributeError(f"module 'transfer.mirror' has no attribute {name!r}")
    return getattr(importlib.import_module(f"transfer.mirror.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
