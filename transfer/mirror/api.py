"""`mirror`: the library's way to mirror many images. Puts the configuration, an engine and a run together."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from transfer.config import TransferConfig
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig
from transfer.job import Job
from transfer.mirror.config.builder import check
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.diagnostics import spelled
from transfer.mirror.plan.engine import MirrorEngine
from transfer.mirror.plan.registry_access import Accesses
from transfer.mirror.run.events import MirrorObserver, unobserved
from transfer.mirror.run.jobs import run_jobs
from transfer.mirror.run.report import ImageReport, MirrorReport
from transfer.mirror.run.report_builder import ReportBuilder
from transfer.mirror.run.run import JOBS, MirrorRun
from transfer.registry.ecr.credentials import AwsCredentials


async def mirror(  # noqa: PLR0913 - each is one fact of a run
    config: MirrorConfig | str | os.PathLike[str] | Sequence[Job],
    *,
    limits: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    accesses: Mapping[str, RegistryAccess] | None = None,
    environment: Mapping[str, str] | None = None,
    jobs: int | None = None,
    only: frozenset[str] | None = None,
    fail_fast: bool = False,
    dry_run: bool = False,
    on_image: Callable[[ImageReport], None] = lambda _: None,
    observer: MirrorObserver = unobserved,
    on_start: Callable[[MirrorRun], None] = lambda _: None,
) -> MirrorReport:
    """
    Keep the targets of a configuration in step with its sources, once.

    Args:
        config: what is mirrored, or the file that says so; or jobs, which are run as they are: what is said below of
            images to choose, of dry runs and of `on_start` is not for them.
        limits: limits, retry and the place of the journal.
        credentials: instead of the AWS credential chain's, where the configuration says nothing of a registry.
        accesses: how registries are reached, by host, instead of what the configuration says of them.
        jobs: images at once, instead of what the configuration says.
        environment: what variables in logins stand for, instead of the environment of this process.
        only: of all images, only those with these targets; nothing is pruned then.
        fail_fast: begin no further image after the first one that failed.
        dry_run: find out what would be done, with all the checks, and write nothing.
        on_image: told of each image when it ends.
        observer: told of what happens meanwhile (`transfer.mirror.run.events`), in the event loop.
        on_start: given the run before it begins, whose `stop` ends it early.

    Raises:
        InvalidConfig: something in the configuration is wrong; nothing was asked of anybody.
    """
    if not isinstance(config, MirrorConfig | str | os.PathLike):
        ledger = ReportBuilder(on_image=on_image, on_failure=lambda: None)
        async with MirrorEngine(limits, credentials=credentials) as engine:
            await run_jobs(config, engine=engine, ledger=ledger, at_once=jobs or JOBS)
        return ledger.report(stopped=False)
    environment = os.environ if environment is None else environment
    found = checked(config) if isinstance(config, MirrorConfig) else _read(config, environment)
    if jobs is not None:
        found = msgspec.structs.replace(found, jobs=jobs)
    reached = Accesses(found, environment, accesses or {})
    async with MirrorEngine(limits_of(found, limits or TransferConfig()), credentials=credentials) as engine:
        run = MirrorRun(
            found,
            engine=engine,
            accesses=reached,
            only=only,
            fail_fast=fail_fast,
            dry_run=dry_run,
            on_image=on_image,
            observer=observer,
        )
        on_start(run)
        return await run.run()


def limits_of(config: MirrorConfig, limits: TransferConfig) -> TransferConfig:
    """Return the limits of a run: what the configuration says of them comes before what is said otherwise."""
    return replace(
        limits,
        max_bandwidth=limits.max_bandwidth if config.max_bandwidth is None else config.max_bandwidth,
        retry_for=limits.retry_for if config.retry_for is None else config.retry_for,
        hub_reserve=limits.hub_reserve if config.hub_reserve is None else config.hub_reserve,
    )


def _read(path: str | os.PathLike[str], environment: Mapping[str, str]) -> MirrorConfig:
    # The readers of files are the only way to YAML.
    from transfer.mirror.config.load import load_config  # noqa: PLC0415

    return load_config(path, environment=environment)


def checked(config: MirrorConfig) -> MirrorConfig:
    """
    Return a configuration that was made in Python, by the rules of one that was read.

    Raises:
        InvalidConfig: something is wrong in it; the message has a line for each mistake.
    """
    mistakes = check(config)
    if mistakes:
        raise InvalidConfig("\n".join(f"{spelled(mistake.path)}: {mistake.reason}" for mistake in mistakes))
    return config
