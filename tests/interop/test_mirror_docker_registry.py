"""A mirror between Debian's docker-registry processes: what it asks and moves, by their own access logs."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.distribution_ends import opened
from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from transfer import Engine, TransferConfig
from transfer.mirror import MirrorConfig, MirrorReport, MirrorRule, mirror
from transfer.testing.images import BuiltImage, ImageBuilder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=INSTALL)

MIB = 1024 * 1024
TAGS = 20
_LINE = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/1.1" (\d+)')


@dataclass
class Registry:
    """A running docker-registry, and what it says it was asked."""

    address: str
    log: Path
    _read: int = 0

    def forget(self) -> None:
        self._read = self.log.stat().st_size

    def requests(self) -> list[tuple[str, str, int]]:
        """Method, path without its query, and status of each request since the last `forget`."""
        text = self.log.read_bytes()[self._read :].decode()
        return [(method, path.partition("?")[0], int(status)) for method, path, status in _LINE.findall(text)]

    def blobs(self, method: str) -> Counter[str]:
        """How often each blob was read or committed."""
        paths = [path for asked, path, status in self.requests() if asked == method and status < 300]
        return Counter(path.rpartition("/")[2] for path in paths if "/blobs/" in path)


@pytest_asyncio.fixture
async def registries(tmp_path: Path) -> AsyncIterator[list[Registry]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in ("source", "target", "third", "fourth"):
            folder = tmp_path / name
            folder.mkdir()
            address = await stack.enter_async_context(docker_registry(folder))
            found.append(Registry(address, folder / "registry.log"))
        yield found


async def filled(registry: Registry, layout: ImageBuilder) -> list[BuiltImage]:
    """Twenty tags that share four layers and have one of their own each."""
    shared = [layout.layer(size, seed=size) for size in (MIB + 1, 300_000, 4, 70_000)]
    images = [layout.image([1000], seed=number, tag=f"v{number}", layers=shared) for number in range(TAGS)]
    async with Engine(TransferConfig(journal=False)) as engine:
        for image in images:
            await engine.push(image.source, f"{registry.address}/team/app:{image.tag}")
    registry.forget()
    return images


async def run(source: Registry, *targets: Registry, state: Path) -> MirrorReport:
    mapping = MirrorRule(
        source=f"{source.address}/team/app", targets=tuple(f"{target.address}/mirror/{{name}}" for target in targets)
    )
    return await mirror(MirrorConfig(mappings=(mapping,)), limits=TransferConfig(state_path=state))


async def test_twenty_tags_cost_each_blob_once_and_one_question_each_when_nothing_changed(
    registries: list[Registry], layout: ImageBuilder, tmp_path: Path
) -> None:
    source, target, *_ = registries
    images = await filled(source, layout)
    blobs = {blob.digest for image in images for blob in image.blobs}
    report = await run(source, target, state=tmp_path / "state")
    assert report.counts == {"copied": TAGS}
    assert source.blobs("GET") == Counter(dict.fromkeys(blobs, 1))
    uploads = [path for method, path, status in target.requests() if method == "PUT" and "/uploads/" in path]
    assert len(uploads) == len(blobs)

    source.forget()
    target.forget()
    report = await run(source, target, state=tmp_path / "state")
    assert report.counts == {"unchanged": TAGS}
    assert Counter(method for method, _, _ in source.requests()) == {"HEAD": TAGS, "GET": 1}
    # It was reached while the source listed its tags.
    assert Counter(method for method, _, _ in target.requests()) == {"HEAD": TAGS, "GET": 1}
    async with opened(target.address) as there:
        for image in images:
            assert (await there.source("mirror/app").resolve(image.tag)).digest == image.root.digest


async def test_three_targets_are_fed_from_one_read(
    registries: list[Registry], layout: ImageBuilder, tmp_path: Path
) -> None:
    source, *targets = registries
    images = await filled(source, layout)
    report = await run(source, *targets, state=tmp_path / "state")
    assert report.counts == {"copied": 3 * TAGS}
    assert source.blobs("GET") == Counter({blob.digest: 1 for image in images for blob in image.blobs})
