"""Links that break, into Debian's docker-registry, which ends a session that a chunk broke off, and into our own."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.docker_registry import INSTALL, PROGRAM, docker_registry
from tests.support.relay import Relay, relay
from transfer import Engine, RegistryAccess, Server, TransferConfig
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
ACCESS = RegistryAccess(plain_http=True)


@pytest_asyncio.fixture(params=["docker-registry", "transfer serve"])
async def link(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay to a registry that needs no login."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "transfer serve":
            server = await stack.enter_async_context(Server(auth=False, dialect="oci"))
            port = int(server.url.rpartition(":")[2])
        elif PROGRAM is None:
            pytest.skip(INSTALL)
        else:
            port = int((await stack.enter_async_context(docker_registry(tmp_path))).rpartition(":")[2])
        yield await stack.enter_async_context(relay(port))


def config(tmp_path: Path, **changed: float) -> TransferConfig:
    limits = {"upload_chunk_bytes": 8 * MIB, "upload_chunk_threshold": MIB, "backoff_base": 0.01, "backoff_max": 0.05}
    return TransferConfig(state_path=tmp_path / "state.sqlite", **limits | changed)  # type: ignore[arg-type] # by name


async def assert_whole(link: Relay, image: BuiltImage, folder: Path) -> None:
    link.cut_after = link.rate = None
    async with Engine(TransferConfig(journal=False)) as engine:
        result = await engine.pull(f"127.0.0.1:{link.port}/app:v1", f"oci:{folder}:v1", source_access=ACCESS)
    assert result.digest == image.root.digest
    for blob in image.blobs:
        assert (folder / "blobs" / "sha256" / blob.digest.encoded).read_bytes() == image.content(blob)


async def test_a_layer_larger_than_any_connection_carries_arrives(
    link: Relay, layout: ImageBuilder, tmp_path: Path
) -> None:
    image = layout.image([40 * MIB])
    link.cut_after = 12 * MIB
    async with Engine(config(tmp_path)) as engine:
        await engine.push(image.source, f"127.0.0.1:{link.port}/app:v1", target_access=ACCESS)
    assert 1 <= link.cuts <= 3
    assert link.sent < (40 + 13) * MIB
    await assert_whole(link, image, tmp_path / "out")


async def test_a_blob_that_never_arrives_in_one_request_goes_in_chunks(
    link: Relay, layout: ImageBuilder, tmp_path: Path
) -> None:
    image = layout.image([20 * MIB])
    link.cut_after = 12 * MIB
    async with Engine(config(tmp_path, upload_chunk_bytes=32 * MIB, upload_chunk_threshold=32 * MIB)) as engine:
        await engine.push(image.source, f"127.0.0.1:{link.port}/app:v1", target_access=ACCESS)
    assert link.cuts >= 2
    await assert_whole(link, image, tmp_path / "out")


async def test_an_outage_is_outlasted(link: Relay, layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.image([20 * MIB])
    link.rate = 20 * MIB
    async with Engine(config(tmp_path)) as engine:
        push = asyncio.create_task(engine.push(image.source, f"127.0.0.1:{link.port}/app:v1", target_access=ACCESS))
        while link.sent < 9 * MIB:
            await asyncio.sleep(0.01)
        # More tries than were made in an earlier version; each of them is cut.
        link.cut_after = 0
        while link.cuts < 12:
            await asyncio.sleep(0.01)
        link.cut_after = None
        await push
    await assert_whole(link, image, tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_the_chunk_on_the_wire_end(
    link: Relay, layout: ImageBuilder, tmp_path: Path, number: signal.Signals
) -> None:
    image = layout.image([24 * MIB], tag="v1")
    link.rate = 20 * MIB
    target = f"127.0.0.1:{link.port}/app:v1"
    command = [sys.executable, "-m", "transfer", "push", f"oci:{image.path}:v1", target, "--dest-plain-http"]
    options = ["--state", str(tmp_path / "state.sqlite"), "--chunk-size", "8MiB", "--progress", "plain"]
    for _ in range(2):
        begun = link.sent
        process = await asyncio.create_subprocess_exec(*command, *options, stderr=asyncio.subprocess.PIPE)
        while link.sent < begun + MIB:
            await asyncio.sleep(0.01)
        process.send_signal(number)
        _, err = await process.communicate()
        assert process.returncode == 128 + number, err.decode()
        assert b"stopping once what is on the wire has arrived" in err
        assert err.decode().endswith("  the same command, run again, continues from here\n")
    process = await asyncio.create_subprocess_exec(*command, *options, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    # Each byte once, besides what requests take for themselves.
    assert link.sent < 24.2 * MIB
    await assert_whole(link, image, tmp_path / "out")


async def test_a_second_signal_does_not_wait(link: Relay, layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.image([24 * MIB], tag="v1")
    target = f"127.0.0.1:{link.port}/app:v1"
    command = [sys.executable, "-m", "transfer", "push", f"oci:{image.path}:v1", target, "--dest-plain-http"]
    options = ["--state", str(tmp_path / "state.sqlite"), "--chunk-size", "8MiB", "--progress", "plain"]
    process = await asyncio.create_subprocess_exec(*command, *options, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    while link.sent < MIB:
        await asyncio.sleep(0.01)
    link.stall()
    process.send_signal(signal.SIGINT)
    while b"stopping" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"starts over" in err
    link.flow()


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layers", [1, 3])
async def test_a_gigabyte_arrives_over_a_link_that_is_cut_stands_still_and_is_interrupted(
    link: Relay, layout: ImageBuilder, tmp_path: Path, layers: int
) -> None:
    size = 10**9
    image = layout.image([size // layers] * layers, tag="v1")
    link.rate, link.cut_after = 20e6, 60_000_000
    target = f"127.0.0.1:{link.port}/app:v1"
    command = [sys.executable, "-m", "transfer", "push", f"oci:{image.path}:v1", target, "--dest-plain-http"]
    command += ["--state", str(tmp_path / "state.sqlite"), "--quiet"]
    for interrupted_at in (300_000_000, 700_000_000, None):
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        if interrupted_at is not None:
            while link.sent < interrupted_at:
                await asyncio.sleep(0.01)
            if interrupted_at == 700_000_000:
                link.stall()
                await asyncio.sleep(60)
                link.flow()
                await asyncio.sleep(1)
            process.send_signal(signal.SIGINT)
        assert await process.wait() == (0 if interrupted_at is None else 130)
    assert link.sent < size + 60_000_000
    await assert_whole(link, image, tmp_path / "out")
