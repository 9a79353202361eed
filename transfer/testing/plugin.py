"""
The pytest plugin: registries and a boto3 client as fixtures, for projects that test against ECR.

    def test_a_push(ecr_registry, ecr_client):
        ecr_client.create_repository(repositoryName="app")
        ...
        assert ecr_registry.requests.count("PutImage") == 1

Loaded by its entry point in every run of pytest, so that it imports nothing until a fixture is asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from transfer.server import Server


@pytest.fixture
def ecr_registry(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Server]":
    """A registry with the ECR API, on a free port, that AWS's tools and `transfer` use by the environment."""
    from transfer.server import Server  # noqa: PLC0415 - as above

    with Server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def oci_registry() -> "Iterator[Server]":
    """A registry with OCI Distribution, on a free port at `host`, that takes everything from everybody."""
    from transfer.server import Server  # noqa: PLC0415 - as above

    with Server(auth=False) as server:
        yield server


@pytest.fixture
def ecr_client(ecr_registry: "Server") -> Iterator[Any]:
    """A boto3 client of `ecr_registry`."""
    del ecr_registry  # whose environment it takes
    import boto3  # noqa: PLC0415 - as above

    client = boto3.client("ecr")
    yield client
    client.close()
