"""A command that is killed again and again, and what that costs in bytes: told from the registry's log."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transfer import Engine, Server
from transfer.endpoints.registry_access import RegistryAccess
from transfer.server import RequestRecord
from transfer.testing.images import BuiltImage

LOGIN = RegistryAccess(login="transfer:transfer", plain_http=True)
LOGINS = ("--src-creds=transfer:transfer", "--dest-creds=transfer:transfer")

_CONTENT = {"UploadLayerPart", "PatchUpload", "PutUpload"}
_ENDS = {("CompleteLayerUpload", 200), ("PutUpload", 201)}


def host(server: Server) -> str:
    """The registry as docker would name it."""
    return server.url.removeprefix("http://")


async def start(*arguments: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transfer", *arguments, "--quiet"),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )


@dataclass(slots=True)
class Arrived:
    """
    Bytes of uploads that arrived at a registry, by upload session.

    Attributes:
        reached: the byte behind the furthest one.
        again: bytes that had arrived before, counted as often as they came again.
        ended: the sessions that became a blob.
    """

    reached: Counter[str | None] = field(default_factory=Counter)
    again: Counter[str | None] = field(default_factory=Counter)
    ended: set[str | None] = field(default_factory=set)

    def add(self, records: Sequence[RequestRecord]) -> None:
        for record in records:
            session, first = record.upload_id, record.first_byte
            if (record.operation, record.status) in _ENDS:
                self.ended.add(session)
            if record.operation in _CONTENT and first is not None:
                end = first + record.blob_bytes
                self.again[session] += max(0, min(end, self.reached[session]) - first)
                self.reached[session] = max(end, self.reached[session])

    @property
    def kept(self) -> int:
        return sum(size for session, size in self.reached.items() if session in self.ended)

    @property
    def abandoned(self) -> dict[str | None, int]:
        """Bytes of the sessions that were never ended: their blob was begun again."""
        return {session: size for session, size in self.reached.items() if session not in self.ended}

    @property
    def lost(self) -> int:
        return self.again.total() + sum(self.abandoned.values())


@dataclass(slots=True)
class Killer:
    """
    Kills the clients of a registry at random moments.

    Attributes:
        left: how often it will.
        most: how many requests it lets a client make at most.
    """

    server: Server
    left: int
    most: int = 12
    moments: random.Random = field(default_factory=lambda: random.Random(20))

    async def run(self, arguments: Sequence[str], environment: Mapping[str, str], *, unit: int) -> Arrived:
        """
        Run a command until it ends by itself; no run sends more than `unit` bytes of a session again.

        No session that came to nothing has more than that either.
        """
        self.server.requests.clear()
        arrived, begun, killed = Arrived(), 0, True
        while killed:
            process = await start(*arguments, environment=environment)
            killed = self.left > 0 and await self._kill(process)
            self.left -= killed
            await asyncio.sleep(0.05 * killed)  # what the dead had handed to the kernel still arrives
            assert await process.wait() == (-signal.SIGKILL if killed else 0)
            before = arrived.again.copy()
            arrived.add(self.server.requests[begun:])
            begun = len(self.server.requests)
            assert max((arrived.again - before).values(), default=0) <= unit
        assert max(arrived.abandoned.values(), default=0) <= unit
        return arrived

    async def _kill(self, process: asyncio.subprocess.Process) -> bool:
        """SIGKILL it once it has made some requests and some time has passed; whether it was still at work."""
        enough, delay = len(self.server.requests) + self.moments.randint(1, self.most), self.moments.uniform(0, 0.06)
        while process.returncode is None and len(self.server.requests) < enough:
            await asyncio.sleep(0.001)
        await asyncio.sleep(delay)
        if process.returncode is not None:
            return False
        process.kill()
        # It may have ended by itself a moment before.
        return await process.wait() == -signal.SIGKILL


async def assert_whole(place: str, image: BuiltImage, folder: Path) -> None:
    """The registry gives the image back bit for bit."""
    async with Engine() as engine:
        result = await engine.copy(place, f"oci:{folder}:v1", source_access=LOGIN)
    assert result.digest == image.root.digest
    for one in (image.root, *image.blobs):
        assert (folder / "blobs" / "sha256" / one.digest.encoded).read_bytes() == image.content(one)
