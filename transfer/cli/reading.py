"""What the commands share that only read or delete: one engine without a journal. Knows no end."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from transfer.cli.options import AwsOptions
from transfer.cli.running import run
from transfer.cli.starting import connecting_soon

if TYPE_CHECKING:
    from transfer.api import Engine

T = TypeVar("T")


def with_engine(job: "Callable[[Engine], Awaitable[T]]", aws: AwsOptions) -> T:
    """Run a job with an engine, and end it."""

    async def work() -> T:
        from transfer.api import Engine
        from transfer.engine.config import TransferConfig

        async with Engine(TransferConfig(journal=False), credentials=aws.credentials()) as engine:
            return await job(engine)

    connecting_soon()
    return run(work)
