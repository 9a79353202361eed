"""
A configuration that is followed: as it was last read well, and whether its files have changed since.

What was read from a file that has mistakes replaces nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig
from transfer.mirror.config.schedule import check_watch
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.plan.registry_access import Accesses

# A file has changed when its path, size or time of writing has.
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


class ConfigReloader:
    """
    One configuration.

    Args:
        read: gives it as it is now, or raises InvalidConfig.
        file: what it is read from; None where it cannot change.
        schedule: when to run again, instead of what the configuration says.
        accesses: how registries are reached, by host, instead of what a configuration says of them.
        environment, jobs: as of `mirror`.

    Attributes:
        file: as above.
        current: as it was last read well.

    Raises:
        InvalidConfig: something is wrong in it.
    """

    def __init__(
        self,
        read: Callable[[], MirrorConfig],
        *,
        file: str | None = None,
        schedule: str | None = None,
        accesses: Callable[[MirrorConfig], Mapping[str, RegistryAccess]] = lambda _: {},
        environment: Mapping[str, str] | None = None,
        jobs: int | None = None,
    ) -> None:
        self.file = file
        self._parse = read
        self._schedule = schedule
        self._said = accesses
        self._environment = os.environ if environment is None else environment
        self._jobs = jobs
        self._seen: _Prints = {} if file is None else {file: None}
        self.current = self._read()

    def changed(self) -> bool:
        """Return whether the file, or one that it names for its registries, is another than when it was last read."""
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
        if self._jobs is not None:
            config = msgspec.structs.replace(config, jobs=self._jobs)
        schedule = _checked(self._schedule or config.watch)
        named = _prints(_named(config))
        accesses = Accesses(config, self._environment, self._said(config))
        own = {} if self.file is None else {self.file: self._seen[self.file]}
        self._seen = own | named
        return Loaded(config, accesses, schedule, (_without_images(config), named))


def _checked(schedule: str | None) -> str:
    if schedule is None:
        raise InvalidConfig("no schedule: give 30m or '15 3 * * *', or 'watch' in the file")
    try:
        check_watch(schedule)
    except ValueError as error:
        raise InvalidConfig(f"watch: {error}") from None
    return schedule


def _without_images(config: MirrorConfig) -> MirrorConfig:
    return msgspec.structs.replace(config, mappings=(), jobs=None, watch=None)


def _named(config: MirrorConfig) -> Iterator[str]:
    """Yield the files that a configuration names for its registries: passwords and certificates change too."""
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
