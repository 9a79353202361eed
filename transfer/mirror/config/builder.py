"""Drafts: a configuration on its way from a file of any format to typed settings. Pure."""

from dataclasses import dataclass, field
from typing import Any

from transfer.mirror.config.checks import check_mapping, check_numbers, check_registry, clashes, unused_registries
from transfer.mirror.config.settings import MirrorConfig, MirrorRule, RegistryConfig
from transfer.mirror.diagnostics import Diagnostic, Path

# What a configuration says of all mappings and registries together.
SETTINGS = ("jobs", "max_bandwidth", "retry_for", "hub_reserve", "watch")


@dataclass(slots=True)
class ConfigBuilder:
    """
    The configuration as far as it was read, each piece with its position in the file.

    Attributes:
        mappings, registries: pieces by place, those of a registry with its host.
        origins: where parts of pieces stand in the file, for those that do not stand where our own format has them.
        settings: the other arguments of `MirrorConfig`.
        mistakes: what was wrong, and where.
        warnings: what is not taken over, or not as it was meant, and where.
    """

    mappings: list[tuple[Path, MirrorRule]] = field(default_factory=list)
    registries: list[tuple[Path, str, RegistryConfig]] = field(default_factory=list)
    origins: dict[Path, Path] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    mistakes: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    def wrong(self, path: Path, reason: str, *, of_secret: bool = False) -> None:
        self.mistakes.append(Diagnostic(path, reason, of_secret=of_secret))

    def warn(self, path: Path, reason: str) -> None:
        self.warnings.append(Diagnostic(path, reason))

    def finish(self) -> MirrorConfig:
        """Return the configuration, once all is checked; it holds only if there are no `mistakes` after this."""
        for path, host, registry in self.registries:
            self.mistakes += [mistake.below(path) for mistake in check_registry(host, registry)]
        right = []
        for path, mapping in self.mappings:
            found = [mistake.below(path) for mistake in check_mapping(mapping)]
            self.mistakes += found
            right += [] if found else [(path, mapping)]
        self.mistakes += clashes(right)
        self.mistakes = [self._origin(mistake) for mistake in self.mistakes]
        config = MirrorConfig(
            mappings=tuple(mapping for _, mapping in self.mappings),
            registries={host: registry for _, host, registry in self.registries},
            **self.settings,
        )
        if config.mappings or not self.mistakes:
            self.mistakes += check_numbers(config)
        places = {host: path for path, host, _ in self.registries}
        self.warnings += [Diagnostic(places[host], reason) for host, reason in unused_registries(config)]
        return config

    def _origin(self, mistake: Diagnostic) -> Diagnostic:
        for length in range(len(mistake.path), 0, -1):
            origin = self.origins.get(mistake.path[:length])
            if origin is not None:
                return mistake._replace(path=(*origin, *mistake.path[length:]))
        return mistake


def check(config: MirrorConfig) -> list[Diagnostic]:
    """Return what is wrong in a configuration."""
    draft = ConfigBuilder(
        mappings=[(("mappings", index), mapping) for index, mapping in enumerate(config.mappings)],
        registries=[(("registries", host), host, registry) for host, registry in config.registries.items()],
        settings={name: getattr(config, name) for name in SETTINGS},
    )
    draft.finish()
    return draft.mistakes
