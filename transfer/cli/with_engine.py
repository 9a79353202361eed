"""An engine without a journal, for commands that only read or delete."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from transfer.cli.event_loop import run
from transfer.cli.options.common import AwsOptions, timeouts

if TYPE_CHECKING:
    from transfer.api import Engine

T = TypeVar("T")


def with_engine(job: "Callable[[Engine], Awaitable[T]]", aws: AwsOptions) -> T:
    """Run a job with an engine, and end it."""

    config = {"journal": False, **timeouts()}

    async def work() -> T:
        from transfer.api import Engine
        from transfer.config import TransferConfig

        async with Engine(TransferConfig(**config), credentials=aws.credentials()) as engine:
            return await job(engine)

    return run(work)
