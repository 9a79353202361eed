"""
A configuration that is followed: as it was last read well, and whether its files have changed since.

Knows neither what is done with it nor when. What was read from a file that has mistakes replaces nothing.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from transfer.errors import InvalidConfig
from transfer.mirror.access import Accesses
from transfer.mirror.config import load_config
from transfer.mirror.front import checked
from transfer.mirror.schedule import check_watch
from transfer.mirror.settings import MirrorConfig
from transfer.registry.access import RegistryAccess

# What a file's change is told by: where it lies, its size, and when it was written.
_Print = tuple[int, int, int]
_Prints = dict[str, _Print | None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A configuration, ready for a run.

    Attributes:
        schedule: when to run again.
        reached: all that connections depend on; two that are equal here can share an engine.
    """

    config: MirrorConfig
    accesses: Accesses
    schedule: str
    reached: object


class Followed:
    """
    One configuration.

    Args:
        config: it, or the file that holds it.
        schedule: when to run again, instead of what the configuration says.
        environment, accesses, jobs: as of `mirror`.

    Attributes:
        current: as it was last read well.

    Raises:
        InvalidConfig: something is wrong in it.
    """

    def __init__(
        self,
        config: MirrorConfig | str | os.PathLike[str],
        *,
        schedule: str | None,
        environment: Mapping[str, str],
        accesses: Mapping[str, RegistryAccess],
        jobs: int | None,
    ) -> None:
        self._config = config
        self._schedule = schedule
        self._environment = environment
        self._said = accesses
        self._jobs = jobs
        self._seen: _Prints = {} if isinstance(config, MirrorConfig) else {os.fspath(config): None}
        self.current = self._read()

    def changed(self) -> bool:
        """Whether the file, or one that it names for its registries, is another than when it was last read."""
        return _prints(self._seen) != self._seen

    def read(self) -> None:
        """
        Read it again.

        Raises:
            InvalidConfig: something is wrong in it; `current` stays what it was.
        """
        self.current = self._read()

    def _read(self) -> Loaded:
        # Looked at before they are read: who writes meanwhile is seen the next time.
        self._seen = _prints(self._seen)
        config = self._parse()
        schedule = self._schedule or config.watch
        if schedule is None:
            raise InvalidConfig("when to run again is not said: give 30m or '15 3 * * *', or 'watch' in the file")
        try:
            check_watch(schedule)
        except ValueError as error:
            raise InvalidConfig(f"watch: {error}") from None
        named = _prints(_named(config))
        accesses = Accesses(config, self._environment, self._said)
        if not isinstance(self._config, MirrorConfig):
            file = os.fspath(self._config)
            self._seen = {file: self._seen[file], **named}
        return Loaded(config, accesses, schedule, (_without_images(config), named))

    def _parse(self) -> MirrorConfig:
        if isinstance(self._config, MirrorConfig):
            config = checked(self._config)
        else:
            config = load_config(self._config, environment=self._environment)
        return config if self._jobs is None else msgspec.structs.replace(config, jobs=self._jobs)


def _without_images(config: MirrorConfig) -> MirrorConfig:
    return msgspec.structs.replace(config, mappings=(), jobs=None, watch=None)


def _named(config: MirrorConfig) -> Iterator[str]:
    """The files that a configuration names for its registries: passwords and certificates change too."""
    for registry in config.registries.values():
        yield from filter(None, (registry.password_file, registry.ca, registry.cert, registry.key))


def _prints(files: Iterable[str]) -> _Prints:
    return {file: _print_of(file) for file in files}


def _print_of(file: str) -> _Print | None:
    try:
        found = os.stat(file)  # noqa: PTH116 -- follows links, as whoever mounts secrets switches them
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
