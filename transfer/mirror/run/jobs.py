"""
A mirror of jobs that somebody has written down one by one, instead of a configuration.

Looks at nothing beforehand.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from transfer.api import Engine
from transfer.concurrency.tasks import gather
from transfer.errors import TransferError
from transfer.job import Job
from transfer.mirror.run.report_builder import ReportBuilder


@dataclass(frozen=True, slots=True)
class Listed:
    """A job by its place in the list, as the report names it."""

    mapping: str
    origin: str


async def run_jobs(jobs: Sequence[Job], *, engine: Engine, ledger: ReportBuilder, at_once: int) -> None:
    """Run all jobs, so many at once; what becomes of each of their targets is taken down."""
    slots = asyncio.Semaphore(at_once)

    async def run(index: int, job: Job) -> None:
        async with slots:
            began = time.monotonic()
            try:
                outcomes = await engine.run(job)
            except TransferError as error:
                outcomes = [error for _ in job.targets]
        seconds, name = time.monotonic() - began, Listed(f"jobs[{index}]", str(job.source))
        for target, outcome in zip(job.targets, outcomes, strict=True):
            ledger.settled(name, str(target.reference), outcome, notes=(), seconds=seconds)

    await gather(run(index, job) for index, job in enumerate(jobs))
