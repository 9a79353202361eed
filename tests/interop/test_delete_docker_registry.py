"""`transfer delete` at Debian's docker-registry, which deletes by digest alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.command import started
from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from transfer import Engine, TransferConfig
from transfer.testing.images import ImageBuilder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=INSTALL)


@pytest_asyncio.fixture
async def app(tmp_path: Path, layout: ImageBuilder) -> AsyncIterator[str]:
    """A repository with an image under v1 and v2, and another one under v3."""
    async with docker_registry(tmp_path) as host, Engine(TransferConfig(journal=False)) as engine:
        one, other = layout.image(seed=1, tag="one"), layout.image(seed=2, tag="other")
        for tag, image in {"v1": one, "v2": one, "v3": other}.items():
            await engine.push(image.source, f"{host}/app:{tag}")
        yield f"{host}/app"


async def tags(app: str) -> set[str]:
    async with Engine(TransferConfig(journal=False)) as engine:
        names = [tag async for tag in engine.tags(app)]
        return set(await engine.digests(app, names))


def deleted(*arguments: str) -> tuple[int | None, str, str]:
    with started("delete", *arguments) as process:
        out, err = process.communicate(timeout=20)
    return process.returncode, out, err


async def test_a_tag_whose_image_has_no_other_is_deleted(app: str) -> None:
    assert deleted(f"{app}:v3") == (0, f"{app}:v3\n", "")
    assert await tags(app) == {"v1", "v2"}


async def test_other_tags_of_the_image_go_only_if_that_is_wanted(app: str) -> None:
    code, out, err = deleted(f"{app}:v1")
    assert (code, out) == (1, "")
    assert err == (
        f"transfer: {app}:v1: its registry deletes by digest alone, so these tags would go too: v2; "
        "give --yes to delete all of them\n"
    )
    assert await tags(app) == {"v1", "v2", "v3"}
    code, out, _ = deleted(f"{app}:v1", "--yes", "--json")
    assert (code, json.loads(out)) == (0, {"version": 1, "deleted": f"{app}:v1", "also": ["v2"]})
    assert await tags(app) == {"v3"}


async def test_a_tag_that_is_not_there_is_told(app: str) -> None:
    code, out, err = deleted(f"{app}:v9")
    assert (code, out, err.count("\n")) == (1, "", 1)
