"""Fixtures of tests against misbehaving registries."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.quirky import QuirkyRegistry, quirky
from tests.support.uploads import MIB
from transfer.model.descriptor import Descriptor
from transfer.testing.images import BuiltImage, ImageBuilder


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[QuirkyRegistry]:
    """A registry that each test spoils in its own way."""
    async with quirky() as running:
        yield running


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    """An image with one layer of three chunks and a bit."""
    return layout.image(sizes=(3 * MIB + 17,))


@pytest.fixture
def layer(image: BuiltImage) -> Descriptor:
    """The largest layer of the image."""
    return max(image.blobs, key=lambda blob: blob.size)
