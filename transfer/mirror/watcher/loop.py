"""
`watch`: a mirror that is repeated in one process, with one engine for as long as its registries stay the same.

Never two runs at a time: one that takes longer than its interval is followed by the next at once.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, TypedDict, Unpack

from transfer.config import TransferConfig
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig
from transfer.mirror.api import checked, limits_of
from transfer.mirror.config.load import load_config
from transfer.mirror.config.schedule import next_run
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.run.report import ImageReport, MirrorReport
from transfer.mirror.run.run import MirrorRun
from transfer.mirror.watcher.reload import ConfigReloader
from transfer.registry.ecr.credentials import AwsCredentials

# Seconds between looks at the configuration's files.
_LOOK_EVERY = 5.0


class Clock(Protocol):
    """Tells the time, and waits."""

    def now(self) -> float:
        """Return seconds of the epoch."""

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Return when the event is set, or after some seconds."""


class WallClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()


class WatchOptions(TypedDict, total=False):
    """
    The options of a watch, besides its configuration.

    Attributes:
        limits, credentials, fail_fast, on_image: as of `mirror`.
        on_report: told of each run when it ends.
        on_reload: told when the configuration was read again: None, or why it stays what it was.
    """

    limits: TransferConfig | None
    credentials: AwsCredentials | None
    fail_fast: bool
    on_image: Callable[[ImageReport], None]
    on_report: Callable[[MirrorReport], None]
    on_reload: Callable[[InvalidConfig | None], None]


class Watch:
    """
    One mirror that is repeated: at once, and then by its schedule until `stop`.

    Args:
        followed: the configuration; it is read again when its file has changed.
        clock: tells the time, and waits.
        others: `WatchOptions`.
    """

    def __init__(  # noqa: PLR0913 - each is one fact of a watch
        self,
        followed: ConfigReloader,
        *,
        limits: TransferConfig | None = None,
        credentials: AwsCredentials | None = None,
        fail_fast: bool = False,
        on_image: Callable[[ImageReport], None] = lambda _: None,
        on_report: Callable[[MirrorReport], None] = lambda _: None,
        on_reload: Callable[[InvalidConfig | None], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._followed = followed
        self._limits = limits or TransferConfig()
        self._credentials = credentials
        self._fail_fast = fail_fast
        self._on_image = on_image
        self._on_report = on_report
        self._on_reload = on_reload
        self._clock = clock or WallClock()
        self._running: MirrorRun | None = None
        self._called = asyncio.Event()
        self._stopped = self._asked = False

    def stop(self, grace: float) -> None:
        """Begin nothing more; images in work have some seconds to end. What is done by then, the journal keeps."""
        self._stopped = True
        self._called.set()
        if self._running is not None:
            self._running.stop(grace)

    def reload(self) -> None:
        """Read the configuration again and run, at once or when the run in work has ended."""
        self._asked = True
        self._called.set()

    async def run(self) -> None:
        """Mirror again and again, until it is stopped; what goes wrong is in the reports."""
        while not self._stopped:
            loaded = self._followed.current
            limits = limits_of(loaded.config, self._limits)
            async with MirrorEngine(limits, credentials=self._credentials) as engine:
                while not self._stopped and self._followed.current.reached == loaded.reached:
                    began = self._clock.now()
                    await self._once(engine)
                    await self._until_next(began)

    async def _once(self, engine: MirrorEngine) -> None:
        loaded = self._followed.current
        self._running = MirrorRun(
            loaded.config,
            engine=engine,
            accesses=loaded.accesses,
            fail_fast=self._fail_fast,
            on_image=self._on_image,
        )
        try:
            report = await self._running.run()
        finally:
            self._running = None
        self._on_report(report)

    async def _until_next(self, began: float) -> None:
        """Wait until it is time for the run after the one that began then, and look after the configuration."""
        while not self._stopped:
            asked, self._asked = self._asked, False
            if asked or self._followed.changed():
                self._reload()
            now = self._clock.now()
            began = min(began, now)  # a clock may be set back, by years
            left = next_run(began, self._followed.current.schedule) - now
            if asked or left <= 0:
                return
            await self._clock.wait(self._called, min(left, _LOOK_EVERY))
            self._called.clear()

    def _reload(self) -> None:
        try:
            self._followed.read()
        except InvalidConfig as error:
            self._on_reload(error)
        else:
            self._on_reload(None)


async def watch(
    config: MirrorConfig | str | os.PathLike[str],
    *,
    schedule: str | None = None,
    accesses: Mapping[str, RegistryAccess] | None = None,
    environment: Mapping[str, str] | None = None,
    jobs: int | None = None,
    **options: Unpack[WatchOptions],
) -> None:
    """
    Keep the targets of a configuration in step with its sources, again and again, until the task is cancelled.

    Args:
        config: what is mirrored, or the file that says so; a file is read again when it has changed.
        schedule: an interval such as 30m, or five fields of cron in local time, instead of the configuration's `watch`.
        accesses, environment, jobs: as of `mirror`.
        options: `WatchOptions`, as in `on_report=print`.

    Raises:
        InvalidConfig: something in the configuration is wrong, or says nothing of when to run.
    """
    if isinstance(config, MirrorConfig):
        read, file = partial(checked, config), None
    else:
        read, file = partial(load_config, config, environment=environment), os.fspath(config)
    followed = ConfigReloader(
        read,
        file=file,
        schedule=schedule,
        accesses=lambda _: accesses or {},
        environment=environment,
        jobs=jobs,
    )
    await Watch(followed, **options).run()
