"""The API without asyncio: in a script, inside a running event loop, and from several threads."""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import transfer
from tests.support.command import served
from transfer import NotFound, RegistryAccess, TransferConfig, sync
from transfer.concurrency.loop_thread import LoopThread
from transfer.mirror import MirrorConfig, MirrorRule
from transfer.server import Server
from transfer.testing.images import ImageBuilder

ACCESS = RegistryAccess(login="transfer:transfer", plain_http=True)
NO_JOURNAL = TransferConfig(journal=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture
def host(server: Server) -> str:
    return server.url.removeprefix("http://")


def test_functions_return_results_and_raise_errors(host: str, layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.image(tag="v1")
    pushed = sync.push_image(image.source, f"{host}/app:v1", config=NO_JOURNAL, target_access=ACCESS)
    pulled = sync.pull_image(f"{host}/app:v1", tmp_path / "out", config=NO_JOURNAL, source_access=ACCESS)
    assert pushed.digest == pulled.digest == image.root.digest
    (tmp_path / "model").write_bytes(b"weights")
    sync.push_files(f"{host}/model:v1", [tmp_path / "model"], config=NO_JOURNAL, target_access=ACCESS)
    (written,) = sync.pull_files(f"{host}/model:v1", tmp_path / "files", config=NO_JOURNAL, access=ACCESS)
    assert written.read_bytes() == b"weights"
    with pytest.raises(NotFound):
        sync.copy_image(f"{host}/app:v9", tmp_path / "none", config=NO_JOURNAL, source_access=ACCESS)
    assert threading.active_count() == len([one for one in threading.enumerate() if one.name != "transfer"])


def test_an_engine_has_the_same_methods(host: str, layout: ImageBuilder) -> None:
    with sync.Engine(NO_JOURNAL) as engine:
        engine.push(layout.image(tag="v1").source, f"{host}/app:v1", target_access=ACCESS)
        assert list(engine.tags(f"{host}/app", access=ACCESS)) == ["v1"]
        assert list(engine.repositories(host, access=ACCESS)) == ["app"]
        assert set(engine.digests(f"{host}/app", ["v1", "v2"], access=ACCESS)) == {"v1"}
        assert len(engine.inspect(f"{host}/app:v1", access=ACCESS).graph.manifests) == 1
        assert engine.check_login(host, access=ACCESS).state == "ok"
        engine.delete(f"{host}/app:v1", access=ACCESS)
        assert list(engine.tags(f"{host}/app", access=ACCESS)) == []


def test_every_public_method_of_the_engine_is_there_with_its_words() -> None:
    for name, method in inspect.getmembers(transfer.Engine, inspect.isfunction):
        if not name.startswith("_") and name != "referrers":
            twin = getattr(sync.Engine, name)
            assert inspect.getdoc(twin) == inspect.getdoc(method)
            assert not inspect.iscoroutinefunction(twin)


async def test_it_works_inside_a_running_loop(layout: ImageBuilder, tmp_path: Path) -> None:
    layout.image(tag="v1")
    assert asyncio.current_task() is not None
    assert sync.copy_image(layout.path, tmp_path / "out", config=NO_JOURNAL).blobs


def test_threads_share_an_engine(server: Server, host: str, layout: ImageBuilder) -> None:
    image = layout.image([200_000], tag="v1")
    with sync.Engine(NO_JOURNAL) as engine, ThreadPoolExecutor(8) as threads:
        targets = [f"{host}/app:v{number}" for number in range(8)]
        pushed = threads.map(lambda target: engine.push(image.source, target, target_access=ACCESS), targets)
        assert {one.digest for one in pushed} == {image.root.digest}
    assert server.requests.count("PutUpload", 201) == len(image.blobs)


def test_a_mirror_runs_too(host: str, layout: ImageBuilder) -> None:
    sync.push_image(layout.image(tag="v1").source, f"{host}/app:v1", config=NO_JOURNAL, target_access=ACCESS)
    rule = MirrorRule(source=f"{host}/app:v1", targets=(f"{host}/copy",))
    report = sync.mirror(MirrorConfig(mappings=(rule,)), limits=NO_JOURNAL, accesses={host: ACCESS})
    assert dict(report.counts) == {"copied": 1}


def test_an_interrupt_ends_what_runs_before_it_is_raised() -> None:
    ended: list[str] = []

    async def work() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            ended.append("cleaned up")

    with LoopThread() as thread:
        with pytest.raises(KeyboardInterrupt):
            thread.run(work())
        assert ended == ["cleaned up"]
