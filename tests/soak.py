"""
A soak: many runs with seeded faults, each of which must end with the right bytes.

    python -m tests.soak --runs 100 --seed 7 [push copy pull mirror]

Between client and registry stands a relay that resets connections, stalls, cuts answers and requests, and flips bits;
the client is stopped at any moment and the registry restarted on its data. A run may fail while that goes on, with an
error of this package and no other. Once the faults have ended, the same command must succeed, and every byte at the
target is compared with the source's.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from transfer import AwsCredentials, Engine, Server, TransferConfig, TransferError
from transfer.endpoints.registry_access import RegistryAccess
from transfer.local.layout.source import LayoutSource
from transfer.mirror import MirrorConfig, MirrorRule, mirror
from transfer.model.manifest import Manifest
from transfer.testing.images import ImageBuilder

ACCESS = RegistryAccess(login="transfer:transfer", plain_http=True)
KINDS = ("push", "copy", "pull", "mirror")


@dataclass(slots=True)
class Faults:
    """What the relay does to each piece that it passes on, by chance."""

    chance: random.Random
    rate: float = 0.0

    async def spoil(self, piece: bytes) -> bytes:
        """Return the piece, changed or late; ConnectionResetError where the connection shall break."""
        if self.chance.random() >= self.rate:
            return piece
        match self.chance.choice(("reset", "stall", "cut", "flip")):
            case "reset":
                raise ConnectionResetError
            case "stall":
                await asyncio.sleep(self.chance.uniform(0, 0.1))
                return piece
            case "cut":
                return piece[: self.chance.randrange(len(piece))]
            case _:
                at = self.chance.randrange(len(piece))
                return piece[:at] + bytes([piece[at] ^ 1 << self.chance.randrange(8)]) + piece[at + 1 :]


class Relay:
    """Passes on what comes to a port, spoiled; `upstream` is asked for each connection."""

    def __init__(self, upstream: Callable[[], int], faults: Faults) -> None:
        self._upstream = upstream
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen as long as the block lasts, at the port that is given."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(ConnectionError, OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream())
                writers.append(far_writer)
                await self._carry_both((reader, far_writer), (far_reader, writer))
        finally:
            for one in writers:
                one.transport.abort()

    async def _carry_both(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        both = [asyncio.create_task(self._carry(*way)) for way in ways]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(16 * 1024):
            spoiled = await self._faults.spoil(piece)
            writer.write(spoiled)
            await writer.drain()
            if len(spoiled) < len(piece):
                raise ConnectionResetError


class Run:
    """One run: an image, a registry behind the relay, a kind of work, and a protocol."""

    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        self._kind = kind
        self._chance = random.Random(seed)
        self._faults = Faults(random.Random(seed + 1))
        self._folder = folder
        self._by_api = kind != "mirror" and self._chance.random() < 0.5
        sizes = [self._chance.randrange(1, 400_000) for _ in range(self._chance.randrange(1, 4))]
        self._image = ImageBuilder(folder / "layout").image(sizes, seed=seed, tag="v1")
        self._server: Server | None = None

    async def __call__(self) -> None:
        """
        Play the run.

        Raises:
            AssertionError: the bytes at the target are others than the source's, or it never succeeds.
        """
        async with AsyncExitStack() as stack:
            await self._start()
            stack.push_async_callback(self._stop)
            port = await stack.enter_async_context(Relay(self._port, self._faults).listening())
            if self._kind != "push":
                await self._work_once(port, push=True)
            self._faults.rate = 0.03
            for _ in range(self._chance.randrange(1, 4)):
                await self._disturbed(port)
            self._faults.rate = 0.0
            await self._work_once(port, push=self._kind == "push")
            await self._compare(port)

    async def _disturbed(self, port: int) -> None:
        work = asyncio.create_task(self._work_once(port, push=self._kind == "push"))
        moment = self._chance.random()
        if moment < 0.3:
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            work.cancel()
        elif moment < 0.5:
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            await self._stop()
            await self._start()
        with suppress(TransferError, asyncio.CancelledError):
            await asyncio.wait_for(work, 60)

    def _reference(self, port: int, repository: str) -> str:
        return f"{'ecr://' if self._by_api else ''}127.0.0.1:{port}/{repository}:v1"

    async def _work_once(self, port: int, *, push: bool) -> None:
        access = RegistryAccess() if self._by_api else ACCESS
        keys = AwsCredentials(
            access_key_id="transfer",
            secret_access_key="transfer",
            region="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
        )
        config = TransferConfig(
            state_path=self._folder / "state.sqlite",
            backoff_base=0.01,
            backoff_max=0.05,
            read_timeout=2,
            connect_timeout=2,
        )
        first = self._reference(port, "soak/source")
        async with Engine(config, credentials=keys) as engine:
            if push:
                await engine.push(self._image.source, first, target_access=access, create_repository=self._by_api)
            elif self._kind == "copy":
                second = self._reference(port, "soak/target")
                await engine.copy(
                    first, second, source_access=access, target_access=access, create_repository=self._by_api
                )
            elif self._kind == "pull":
                await engine.pull(first, f"oci:{self._folder / 'out'}:v1", source_access=access)
            else:
                rule = MirrorRule(source=f"127.0.0.1:{port}/soak/source", targets=(f"127.0.0.1:{port}/soak/target",))
                accesses = {f"127.0.0.1:{port}": ACCESS}
                report = await mirror(MirrorConfig(mappings=(rule,)), limits=config, accesses=accesses)
                if report.failed:
                    raise TransferError("an image of the mirror failed")

    async def _compare(self, port: int) -> None:
        """Read everything at the target by a connection without faults, and compare it with the image."""
        out = self._folder / "out"
        if self._kind != "pull":
            repository = "soak/source" if self._kind == "push" else "soak/target"
            self._by_api = False
            async with Engine(TransferConfig(journal=False)) as engine:
                await engine.pull(self._reference(port, repository), f"oci:{out}:v1", source_access=ACCESS)
        source = LayoutSource(out)
        manifest: Manifest = await source.manifest(await source.resolve("v1"))
        assert manifest.digest == self._image.root.digest, "another manifest"
        for blob in self._image.blobs:
            found = (out / "blobs" / "sha256" / blob.digest.encoded).read_bytes()
            assert found == self._image.content(blob), f"other bytes of {blob.digest}"

    def _port(self) -> int:
        if self._server is None:
            raise ConnectionResetError
        return int(self._server.url.rpartition(":")[2])

    async def _start(self) -> None:
        self._server = Server(data=self._folder / "registry", part_size=64 * 1024)
        await self._server.__aenter__()

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.__aexit__(None, None, None)


async def soak(kinds: tuple[str, ...], runs: int, seed: int) -> Counter[str]:
    """Play so many runs of each kind; how many were right, by kind. The first wrong one names its kind and seed."""
    right: Counter[str] = Counter()
    for kind in kinds:
        for number in range(seed, seed + runs):
            with tempfile.TemporaryDirectory(prefix="soak-") as folder:
                try:
                    await Run(kind, number, Path(folder))()
                except Exception as error:
                    error.add_note(f"python -m tests.soak --runs 1 --seed {number} {kind}")
                    raise
            right[kind] += 1
    return right


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Many runs with seeded faults.")
    parser.add_argument("kinds", nargs="*", default=KINDS, help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--runs", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones count up")
    given = parser.parse_args()
    right = asyncio.run(soak(tuple(given.kinds), given.runs, given.seed))
    sys.stdout.write("".join(f"{kind}: {count} of {given.runs} right\n" for kind, count in right.items()))


if __name__ == "__main__":
    main()
