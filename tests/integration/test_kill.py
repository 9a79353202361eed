"""Pushes and copies that are killed, again and again, and what it costs in bytes: counted at the server."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kills import LOGIN, LOGINS, Arrived, Killer, assert_whole, host
from transfer import Engine, Server
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
PART = 5 * MIB
CHUNK = 2 * MIB

Command = Callable[[str], tuple[str, ...]]


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image([23 * MIB, 17 * MIB, 12 * MIB + 1, 6 * MIB, *range(2000, 2010)])


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str, int, Arrived], None]:
    """Say what the kills of one copy cost, past pytest's capture."""

    def say(name: str, kills: int, arrived: Arrived) -> None:
        with capsys.disabled():
            received = arrived.kept + arrived.lost
            sys.stdout.write(f"\n{name}: {kills} kills, {arrived.lost} of {received} bytes sent twice ")

    return say


async def killed(
    server: Server,
    command: Command,
    image: BuiltImage,
    folder: Path,
    *,
    unit: int,
    kills: int,
    tell: Callable[..., None],
) -> None:
    """Kill so many runs in all of a command that fills a repository, a new one whenever one is full."""
    state, killer = folder / "journal.sqlite", Killer(server, kills)
    for number in itertools.count():
        before, repository = killer.left, f"app{number}"
        arguments = (*command(repository), "--create-repository", "--state", str(state))
        arrived = await killer.run(arguments, server.environment, unit=unit)
        assert arrived.kept == sum(blob.size for blob in image.blobs)
        tell(repository, before - killer.left, arrived)
        await assert_whole(f"{host(server)}/{repository}:v1", image, folder / repository)
        if not killer.left:
            break


@pytest.mark.timeout(240)
async def test_a_push_killed_at_random_moments_sends_at_most_one_part_of_each_layer_again(
    image: BuiltImage, tmp_path: Path, tell: Callable[..., None], caplog: pytest.LogCaptureFixture, kills: int
) -> None:
    async with Server(part_size=PART) as server:

        def command(repository: str) -> tuple[str, ...]:
            return ("push", image.source, f"{server.registry}/{repository}:v1", "--bytes-in-flight", "20MiB")

        await killed(server, command, image, tmp_path, unit=PART, kills=kills, tell=tell)
    assert [record.getMessage() for record in caplog.records] == [], "a client that dies is no error of the server"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("protocol", ["oci", "ecr"])
async def test_a_copy_killed_at_random_moments_sends_at_most_one_part_or_chunk_of_each_layer_again(
    image: BuiltImage,
    tmp_path: Path,
    tell: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    protocol: str,
    kills: int,
) -> None:
    async with Server() as source, Server(part_size=PART) as server:
        async with Engine() as engine:
            await engine.copy(image.source, f"{host(source)}/app:v1", target_access=LOGIN)

        def command(repository: str) -> tuple[str, ...]:
            registry = host(server) if protocol == "oci" else server.registry
            copy = ("copy", f"{host(source)}/app:v1", f"{registry}/{repository}:v1", *LOGINS)
            return (*copy, "--bytes-in-flight", "20MiB", "--chunk-size", str(CHUNK))

        await killed(
            server, command, image, tmp_path, unit=CHUNK if protocol == "oci" else PART, kills=kills, tell=tell
        )
    assert [record.getMessage() for record in caplog.records] == []
