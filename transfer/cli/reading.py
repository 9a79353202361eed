"""What the commands share that only read or delete: one engine without a journal. Knows no end."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from transfer.cli.run import run

if TYPE_CHECKING:
    from transfer.api import Engine

T = TypeVar("T")


def with_engine(job: "Callable[[Engine], Awaitable[T]]", profile: str | None, endpoint_url: str | None) -> T:
    """Run a job with an engine, and end it."""

    async def work() -> T:
        from transfer.api import Engine
        from transfer.engine.config import TransferConfig
        from transfer.registry.ecr.aws import AwsCredentials

        credentials = AwsCredentials(profile=profile, endpoint_url=endpoint_url)
        async with Engine(TransferConfig(journal=False), credentials=credentials) as engine:
            return await job(engine)

    return run(work)
