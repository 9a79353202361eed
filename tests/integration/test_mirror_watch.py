"""A mirror that goes on: when it runs, what it makes of a changed configuration, how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from transfer import Engine, InvalidConfig, Server, TransferConfig
from transfer.errors import TransferError
from transfer.mirror import (
    ConfigReloader,
    CreateRepository,
    MirrorConfig,
    MirrorReport,
    MirrorRule,
    Watch,
    load_config,
    watch,
)
from transfer.mirror.run.report import Status
from transfer.mirror.watcher.health import Health
from transfer.testing.images import ImageBuilder

FAST = TransferConfig(journal=False, max_attempts=2, backoff_base=0.01, backoff_max=0.05)
BEGIN = 1_000_000.0


class Clock:
    """Time that passes only where somebody waits, or where a test lets it."""

    def __init__(self) -> None:
        self.time = BEGIN

    def now(self) -> float:
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)
        if not event.is_set():
            self.time += seconds


@dataclass
class Site:
    """Two registries that let everybody in, and a configuration that mirrors from the one to the other."""

    source: Server
    target: Server
    layout: ImageBuilder
    file: Path
    clock: Clock = field(default_factory=Clock)
    reports: list[MirrorReport] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    reloads: list[str | None] = field(default_factory=list)

    async def fill(self, *tags: str) -> None:
        async with Engine(FAST) as engine:
            for number, tag in enumerate(tags):
                image = self.layout.image([100], seed=number, tag=tag)
                await engine.push(image.source, f"{host(self.source)}/app:{tag}")

    def write(self, *tags: str, target: str = "", more: str = "") -> None:
        """The configuration, which a rename puts in place."""
        places = f"source: {host(self.source)}/app, targets: '{host(self.target)}/{target}'"
        mapping = f"{{{places}, tags: {{exact: {list(tags)}}}}}"
        draft = self.file.with_suffix(".new")
        draft.write_text(f"mappings: [{mapping}]\n{more}")
        draft.replace(self.file)

    def watch(self, steps: Sequence[Callable[[Watch], object]], schedule: str | None = "30m") -> Watch:
        """A watch by the file; after each run comes a step, and after the last one the end."""
        left = iter(steps)

        def report(found: MirrorReport) -> None:
            self.reports.append(found)
            self.ended.append(self.clock.time - BEGIN)
            step = next(left, None)
            if step is None:
                watching.stop(0)
            else:
                step(watching)

        followed = ConfigReloader(lambda: load_config(self.file), file=str(self.file), schedule=schedule)
        watching = Watch(followed, limits=FAST, on_report=report, on_reload=self.reload, clock=self.clock)
        return watching

    def reload(self, error: InvalidConfig | None) -> None:
        self.reloads.append(None if error is None else str(error))

    @property
    def counts(self) -> list[dict[Status, int]]:
        return [dict(report.counts) for report in self.reports]


def host(server: Server) -> str:
    return server.url.removeprefix("http://")


def nothing(_: Watch) -> None:
    """Let a run be followed by the next."""


@pytest_asyncio.fixture
async def site(layout: ImageBuilder, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        source, target = [await stack.enter_async_context(Server(auth=False)) for _ in range(2)]
        yield Site(source, target, layout, tmp_path / "mirror.yaml")


@pytest_asyncio.fixture
async def filled(site: Site) -> Site:
    await site.fill("v1", "v2")
    site.write("v1")
    return site


async def test_it_runs_at_once_and_then_by_its_interval_with_one_engine(filled: Site) -> None:
    await filled.watch([nothing, nothing]).run()
    assert filled.ended == [0, 1800, 3600]
    assert filled.counts == [{"copied": 1}, {"unchanged": 1}, {"unchanged": 1}]
    filled.source.requests.clear()
    filled.target.requests.clear()
    await filled.watch([nothing, nothing]).run()
    # Neither is asked again who it is: the connections, and what is known of the registries, are one engine's.
    assert [one.operation for one in filled.source.requests] == ["HeadManifest"] * 3
    assert [one.operation for one in filled.target.requests] == ["HeadManifest"] * 3


async def test_cron_is_kept_to(filled: Site) -> None:
    await filled.watch([nothing], schedule="*/10 * * * *").run()
    assert (BEGIN + filled.ended[1]) % 600 == 0
    assert 0 < filled.ended[1] <= 600


async def test_a_run_that_takes_longer_than_the_interval_is_followed_by_the_next_at_once(filled: Site) -> None:
    def slow(_: Watch) -> None:
        filled.clock.time += 4000

    await filled.watch([slow, nothing]).run()
    assert filled.ended == [0, 4000, 5800]


async def test_a_clock_that_is_set_back_costs_no_more_than_one_interval(filled: Site) -> None:
    def set_back(_: Watch) -> None:
        filled.clock.time -= 900_000

    await filled.watch([set_back]).run()
    assert filled.ended[1] - (-900_000) == 1800


async def test_a_file_that_has_changed_is_what_the_next_run_does(filled: Site) -> None:
    await filled.watch([lambda _: filled.write("v1", "v2")]).run()
    assert filled.counts == [{"copied": 1}, {"copied": 1, "unchanged": 1}]
    assert filled.ended == [0, 1800]
    assert filled.reloads == [None]


async def test_a_changed_schedule_holds_from_when_it_is_seen(filled: Site) -> None:
    filled.write("v1", more="watch: 1d\n")
    await filled.watch([lambda _: filled.write("v1", more="watch: 1m\n")], schedule=None).run()
    assert filled.ended == [0, 60]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("mappings: [", ":1"),
        ("mappings: []\nwatch: 30m\n", "mappings: there is none"),
        ("mappings: [{source: a, targets: b.example/c}]\nwatch: soon\n", "'soon' is not an interval"),
        ("mappings: [{source: a, targets: b.example/c}]\n", "no schedule"),
        (None, "No such file"),
    ],
)
async def test_a_bad_configuration_is_told_of_once_and_the_old_one_kept(
    filled: Site, text: str | None, reported: str
) -> None:
    filled.write("v1", more="watch: 10m\n")

    def spoil(_: Watch) -> None:
        if text is None:
            filled.file.unlink()
        else:
            filled.file.write_text(text)

    await filled.watch([spoil, nothing, lambda _: filled.write("v2", more="watch: 20m\n")], schedule=None).run()
    assert filled.ended == [0, 600, 1200, 2400]
    assert filled.counts == [{"copied": 1}, {"unchanged": 1}, {"unchanged": 1}, {"copied": 1}]
    bad, good = filled.reloads
    assert bad is not None
    assert reported in bad
    assert good is None


async def test_a_reload_reads_the_file_and_runs_at_once(filled: Site) -> None:
    def ask(watching: Watch) -> None:
        filled.write("v2")
        watching.reload()
        watching.reload()

    await filled.watch([ask, nothing]).run()
    assert filled.ended == [0, 0, 1800]
    assert filled.counts == [{"copied": 1}, {"copied": 1}, {"unchanged": 1}]
    assert filled.reloads == [None]


async def test_a_reload_in_the_middle_of_a_wait_ends_it(filled: Site) -> None:
    watching = filled.watch([nothing])
    waits = filled.clock.wait

    async def wait(event: asyncio.Event, seconds: float) -> None:
        if filled.clock.time >= BEGIN + 600 and len(filled.reports) == 1:
            watching.reload()
        await waits(event, seconds)

    filled.clock.wait = wait  # type: ignore[method-assign]
    await watching.run()
    assert filled.ended == [0, 600]


async def test_changed_registries_get_new_connections_and_a_changed_password_too(filled: Site, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")

    async with Server() as private:
        login = f"registries: {{{host(private)}: {{username: transfer, password_file: {secret}}}}}\n"
        target, filled.target = filled.target, private
        filled.write("v1", more=login)
        await filled.watch([lambda _: secret.write_text("transfer")]).run()
        filled.target = target
    assert [report.failed[0].error if report.failed else None for report in filled.reports] == ["Unauthorized", None]
    assert filled.counts[1] == {"copied": 1}
    assert filled.reloads == [None]


async def test_what_a_variable_holds_is_read_with_the_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.fill("v1", "v2")
    site.write("v1")
    site.file.write_text(site.file.read_text().replace("'v1'", '"${TAG}"') + "variables: [TAG]\n")
    monkeypatch.setenv("TAG", "v1")

    def change(watching: Watch) -> None:
        monkeypatch.setenv("TAG", "v2")
        watching.reload()

    await site.watch([change]).run()
    assert [report.images[0].target.rpartition(":")[2] for report in site.reports] == ["v1", "v2"]


async def test_a_stop_in_the_middle_of_a_run_ends_it_and_all(filled: Site) -> None:
    filled.write("v1", "v2")
    followed = ConfigReloader(lambda: load_config(filled.file), file=str(filled.file), schedule="30m", jobs=1)
    watching = Watch(
        followed,
        limits=FAST,
        on_image=lambda _: watching.stop(10),
        on_report=filled.reports.append,
        clock=filled.clock,
    )
    await watching.run()
    assert filled.counts == [{"copied": 1, "stopped": 1}]
    assert filled.reports[0].stopped


async def test_a_stop_before_the_first_run_runs_nothing(filled: Site) -> None:
    watching = filled.watch([])
    watching.stop(0)
    filled.source.requests.clear()
    await watching.run()
    assert (filled.reports, len(filled.source.requests)) == ([], 0)


async def test_a_run_that_fails_is_followed_by_the_next(filled: Site) -> None:
    filled.write("v1", "gone")
    await filled.watch([nothing]).run()
    assert filled.counts == [{"copied": 1, "failed": 1}, {"unchanged": 1, "failed": 1}]


def sockets() -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that reads the folder
            found += str(link.readlink()).startswith("socket:")
    return found


async def ended_within(turns: int, work: Coroutine[Any, Any, None]) -> bool:
    """Run something for so many turns of the loop, and cancel it; whether it ended before."""
    task = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
async def test_a_watch_that_is_cancelled_at_any_moment_leaves_nothing(filled: Site) -> None:
    async def work() -> None:
        filled.write("v1", "v2", target=f"app:{{tag}}-{turns}")
        async with Health().listening("127.0.0.1", 0):
            await filled.watch([nothing, nothing]).run()

    before, tasks, turns = sockets(), asyncio.all_tasks(), 0
    while not await ended_within(turns, work()):
        turns += 1 + turns // 20
    async with asyncio.timeout(10):
        while sockets() > before or asyncio.all_tasks() > tasks:
            await asyncio.sleep(0.005)
    assert (sockets(), asyncio.all_tasks()) == (before, tasks)
    assert turns > 100


async def test_watch_takes_a_configuration_made_in_python_and_goes_on_until_it_is_cancelled(filled: Site) -> None:
    mapping = MirrorRule(source=f"{host(filled.source)}/app", targets=(f"{host(filled.target)}/",))
    enough = asyncio.Event()

    def report(found: MirrorReport) -> None:
        filled.reports.append(found)
        if len(filled.reports) == 2:
            enough.set()

    config = MirrorConfig(mappings=(mapping,), watch="1ms")
    watching = asyncio.create_task(watch(config, limits=FAST, on_report=report))
    await enough.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert filled.counts[:2] == [{"copied": 2}, {"unchanged": 2}]


@pytest.mark.parametrize(
    ("schedule", "reported"),
    [(None, "no schedule"), ("soon", "'soon' is not an interval"), ("0 0 30 2 *", "day-of-month")],
)
async def test_watch_refuses_what_says_not_when(filled: Site, schedule: str | None, reported: str) -> None:
    with pytest.raises(InvalidConfig, match=reported):
        await watch(filled.file, schedule=schedule)


async def test_health_is_told_over_http(filled: Site) -> None:
    health, answers = Health(), {}
    async with health.listening("127.0.0.1", 0) as url, aiohttp.ClientSession(url) as client:

        async def ask(path: str) -> tuple[int, str]:
            async with client.get(path) as answer:
                return answer.status, await answer.text()

        answers["alive"], answers["ready"] = await ask("/healthz"), await ask("/readyz")
        health.run(MirrorReport(images=(), stopped=True))
        answers["stopped"] = await ask("/readyz")
        health.run(MirrorReport(images=()))
        health.run(MirrorReport(images=(), stopped=True))
        answers["ready now"] = await ask("/readyz")
        status, text = await ask("/metrics")
        missing, _ = await ask("/else")
    assert answers["alive"] == answers["ready now"] == (200, "ok\n")
    assert answers["ready"][0] == answers["stopped"][0] == 503
    assert (status, missing) == (200, 404)
    assert 'transfer_mirror_runs_total{outcome="stopped"} 2.0' in text


async def test_an_address_that_is_taken_is_refused_in_one_line(site: Site) -> None:
    port = int(host(site.source).rpartition(":")[2])
    with pytest.raises(
        TransferError, match=rf"^cannot listen on 127.0.0.1:{port}: address already in use; \w+ another$"
    ):
        async with Health().listening("127.0.0.1", port):
            pass


@pytest.mark.parametrize("ecr", [False, True], ids=["over /v2/", "over the API of ECR"])
async def test_a_target_that_lost_everything_meanwhile_is_filled_again(
    filled: Site, ecr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(host(filled.target).rpartition(":")[2])
    await filled.target.__aexit__(None, None, None)
    for name, value in filled.target.environment.items():
        monkeypatch.setenv(name, value)
    place = filled.target.registry if ecr else host(filled.target)
    mapping = MirrorRule(source=f"{host(filled.source)}/app", targets=(f"{place}/copy",), create=CreateRepository())
    config, between, again = MirrorConfig(mappings=(mapping,)), asyncio.Event(), asyncio.Event()

    def report(found: MirrorReport) -> None:
        filled.reports.append(found)
        between.set()
        if len(filled.reports) == 2:
            again.set()

    watching = Watch(ConfigReloader(lambda: config, schedule="1d"), limits=FAST, on_report=report)
    task = asyncio.create_task(watching.run())
    async with Server(auth=False, port=port):
        await between.wait()
    async with Server(auth=False, port=port) as emptied:
        watching.reload()
        await again.wait()
        watching.stop(0)
        await task
        assert emptied.requests.count("PutImage" if ecr else "PutManifest") >= 2
    assert filled.counts == [{"copied": 2}, {"copied": 2}]
