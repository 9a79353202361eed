"""Fixtures of the tests with boto3."""

from collections.abc import Callable, Iterator

import boto3
import pytest

from tests.support.boto3_ecr import Ecr
from transfer.server import Server


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture
def connect(session: boto3.Session, server: Server) -> Iterator[Callable[..., Ecr]]:
    opened: list[Ecr] = []

    def connect_(**changed: str) -> Ecr:
        opened.append(Ecr(session, server, **changed))
        return opened[-1]

    yield connect_
    for ecr in opened:
        ecr.client.close()


@pytest.fixture
async def ecr(connect: Callable[..., Ecr]) -> Ecr:
    """A client of a registry that has the repository `app`."""
    client = connect()
    await client.create_repository(repositoryName="app")
    return client
