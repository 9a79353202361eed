"""Fixtures of tests against misbehaving registries."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.peer.quirky import QuirkyRegistry, quirky


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[QuirkyRegistry]:
    """A registry that each test spoils in its own way."""
    async with quirky() as running:
        yield running
