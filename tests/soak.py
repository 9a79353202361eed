"""
A soak: many runs with seeded faults, each of which must end with the right bytes.

    python -m tests.soak --runs 100 --seed 7 [push copy pull mirror]

Between client and registry stands a relay that resets connections, stalls, cuts answers and requests, flips bits, and
answers 429, 500 and 503 itself. The client is cancelled or killed at any moment, the registry restarted on its data,
the disk is full, the state folder read-only. A run may fail while that goes on, with an error of this package and no
other. Once the faults have ended, the same command must succeed, and every byte at the target is compared.
"""

import argparse
import asyncio
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tests.support.faulty_relay import Faults, Relay
from transfer import AwsCredentials, Engine, Server, TransferConfig, TransferError
from transfer.endpoints.registry_access import RegistryAccess
from transfer.local.layout.source import LayoutSource
from transfer.mirror import MirrorConfig, MirrorRule, mirror
from transfer.model.manifest import Manifest
from transfer.testing.images import ImageBuilder

ACCESS = RegistryAccess(login="transfer:transfer", plain_http=True)
KINDS = ("push", "copy", "pull", "mirror")


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
        # No one can write to /sys, not even root.
        self._state = folder / "state.sqlite" if self._chance.random() < 0.9 else Path("/sys/state.sqlite")
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
        moment = self._chance.random()
        if moment < 0.2:
            await self._as_a_process(port, full_disk=moment < 0.1)
            return
        work = asyncio.create_task(self._work_once(port, push=self._kind == "push"))
        if moment < 0.4:
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            work.cancel()
        elif moment < 0.6:
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            await self._stop()
            await self._start()
        with suppress(TransferError, asyncio.CancelledError):
            await asyncio.wait_for(work, 60)

    async def _as_a_process(self, port: int, *, full_disk: bool) -> None:
        """Run the command line, with no room for files beyond a size or until it is killed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transfer", *self._arguments(port), "--state", str(self._state), "--quiet"),
            env={**os.environ, **self._environment(port)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        if full_disk:
            size = self._chance.randrange(400_000)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
        reading = asyncio.create_task(process.communicate())
        with suppress(TimeoutError):
            wait = 5 if full_disk else self._chance.uniform(0.2, 0.8)
            await asyncio.wait_for(asyncio.shield(reading), wait)
        if process.returncode is None:
            process.kill()
        _, errors = await reading
        assert b"Traceback" not in errors, errors.decode()
        # A flipped bit may make an answer one about credentials, or a document invalid.
        assert process.returncode in (0, 1, 2, 4, -signal.SIGKILL), errors.decode()

    def _arguments(self, port: int) -> list[str]:
        first, second = self._reference(port, "soak/source"), self._reference(port, "soak/target")
        source, target = ([] if self._by_api else [f"--{side}-creds=transfer:transfer"] for side in ("src", "dest"))
        creating = ["--create-repository"] if self._by_api else []
        match self._kind:
            case "push":
                return ["push", f"oci:{self._folder / 'layout'}:v1", first, *target, *creating]
            case "copy":
                return ["copy", first, second, *source, *target, *creating]
            case "pull":
                return ["pull", first, f"oci:{self._folder / 'out'}:v1", *source]
            case _:
                repositories = first.removesuffix(":v1"), second.removesuffix(":v1")
                return ["mirror", *repositories, "--all-tags", *source, *target]

    def _environment(self, port: int) -> dict[str, str]:
        assert self._server is not None
        return {**self._server.environment, "AWS_ENDPOINT_URL_ECR": f"http://127.0.0.1:{port}"}

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
            state_path=self._state,
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
    """Play so many runs of each kind; return how many were right, by kind. stderr has the others."""
    right: Counter[str] = Counter()
    for kind in kinds:
        for number in range(seed, seed + runs):
            with tempfile.TemporaryDirectory(prefix="soak-") as folder:
                try:
                    async with asyncio.timeout(300):
                        await Run(kind, number, Path(folder))()
                except Exception:  # noqa: BLE001 - whatever went wrong is shown, and the next runs are played
                    sys.stderr.write(
                        f"python -m tests.soak --runs 1 --seed {number} {kind}\n{traceback.format_exc()}\n"
                    )
                else:
                    right[kind] += 1
    return right


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Many runs with seeded faults.")
    parser.add_argument("kinds", nargs="*", default=KINDS, help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--runs", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones count up")
    given = parser.parse_args()
    right = asyncio.run(soak(tuple(given.kinds), given.runs, given.seed))
    sys.stdout.write("".join(f"{kind}: {right[kind]} of {given.runs} right\n" for kind in given.kinds))
    sys.exit(right.total() < given.runs * len(given.kinds))


if __name__ == "__main__":
    main()
