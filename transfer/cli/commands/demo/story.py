"""
The demo, step by step: build, serve, push, kill, resume, push again, read back, mirror, mirror again.

Every count is of the server's log, and every step says whether it kept what it promises.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from transfer.cli.commands.demo.archive import Layer
from transfer.cli.commands.demo.build import TAG, DemoImage, build_image
from transfer.cli.commands.demo.counts import arrived, compare, inside, part_size
from transfer.cli.commands.demo.machine import trees
from transfer.cli.commands.demo.process import Command, in_environment
from transfer.cli.commands.demo.table import Narrator, Step
from transfer.cli.display.text import count, format_size
from transfer.http.messages import HttpRequest
from transfer.http.transport import Transport
from transfer.model.descriptor import Descriptor
from transfer.registry.ecr.client import EcrClient, open_ecr
from transfer.server import RequestRecord, Server

# By then some layers are complete, and others begun.
_KILLED_AT = 0.4
_LOOK_SECONDS = 0.002
_QUIET_SECONDS = 0.1
# A question for each of two tags; and being let in, which takes one that is answered with a challenge.
_MOST_CHECKS = 4


async def play(folder: Path, narrator: Narrator, *, quiet: bool) -> list[Step]:
    """
    Play the whole demo in a folder, which everything is left in.

    Raises:
        ClickException: a push failed, or there is nothing to make an image of.
        TransferError: the registry could not be started or read.
        OSError: the folder cannot be written.
    """
    narrator.step("build an image of what is on this machine")
    began = time.monotonic()
    image = await build_image(folder / "image", trees(), on_layer=lambda layer: narrator.line(_layer(layer)))
    if image is None:
        raise click.ClickException("found no file of Python's that can be read, so there is no image to push")
    files = sum(layer.files for layer in image.layers)
    built = Step(
        title="build an image",
        seconds=time.monotonic() - began,
        result=f"{count(len(image.layers), 'layer')} of {count(files, 'file')}, {format_size(image.size)}",
    )
    narrator.step("start a registry on this machine")
    began = time.monotonic()
    server = Server(data=folder / "registry", part_size=part_size(blob.size for blob in image.blobs))
    async with server:
        narrator.line(f"{server.url} is {server.registry}")
        started = Step(title="start a registry", seconds=time.monotonic() - began, result=server.url)
        with ExitStack() as stack:
            stack.enter_context(in_environment(server.environment))
            scenes = Scenes(server, image, folder / "journal.sqlite", narrator, quiet=quiet)
            steps = [built, started, *await scenes.play()]
            async with Server(data=folder / "second") as second:
                return [*steps, *await scenes.mirror(second)]


def _layer(layer: Layer) -> str:
    size = format_size(layer.descriptor.size)
    return f"{layer.descriptor.digest.short}  {size:>7}  {layer.tree.title}, {count(layer.files, 'file')}"


@dataclass(frozen=True, slots=True)
class _Run:
    """The requests of a step, and how long it took."""

    records: Sequence[RequestRecord]
    seconds: float


class Scenes:
    """The steps that ask something of the registry."""

    def __init__(self, server: Server, image: DemoImage, journal: Path, narrator: Narrator, *, quiet: bool) -> None:
        self._server = server
        self._image = image
        self._journal = journal
        self._narrator = narrator
        self._quiet = quiet

    async def play(self) -> list[Step]:
        """Return all of them, in their order."""
        first, second = self._push("demo/first"), self._push("demo/killed")
        steps = [await self._first(first)]
        killed, step = await self._killed(second)
        steps += [step, await self._resumed(second, killed)]
        return [*steps, await self._again(second), await self.read_back("demo/killed")]

    async def mirror(self, second: Server) -> list[Step]:
        """Return both repositories into a second registry, and once more."""
        pattern, target = f"{_host(self._server)}/demo/*", f"{_host(second)}/mirror/{{name}}"
        keys = self._server.environment
        login = f"{keys['AWS_ACCESS_KEY_ID']}:{keys['AWS_SECRET_ACCESS_KEY']}"
        mirror = Command.mirror(pattern, target, login=login, state=self._journal, quiet=self._quiet)
        self._narrator.step("mirror both repositories into a second registry")
        run, counts = await self._mirrored(second, mirror)
        mounted = sum(record.operation == "MountBlob" and record.status == 201 for record in run.records)
        result = f"2 images, each blob sent once, {count(mounted, 'blob')} mounted"
        held = counts == {"copied": 2} and _received(run.records) == self._image.size
        first = self._step("mirror", run, result, held=held and mounted == len(self._image.blobs))
        self._narrator.step("and once more, when nothing has changed")
        run, counts = await self._mirrored(second, mirror)
        held = counts == {"unchanged": 2} and not _received(run.records) and len(run.records) == _MOST_CHECKS
        return [first, self._step("mirror again", run, "nothing moved, one question for each tag", held=held)]

    async def _mirrored(self, second: Server, mirror: Command) -> tuple[_Run, dict[str, int]]:
        self._narrator.line(f"$ {mirror}")
        began, before = time.monotonic(), len(second.requests)
        report = json.loads(await mirror.run())
        return _Run(second.requests[before:], time.monotonic() - began), report["counts"]

    def _push(self, repository: str) -> Command:
        target = f"{self._server.registry}/{repository}:{TAG}"
        return Command.push(self._image.source, target, state=self._journal, quiet=self._quiet)

    async def _first(self, push: Command) -> Step:
        self._narrator.step("push the image")
        run, right = await self._run(push)
        blobs = count(len(self._image.blobs), "blob")
        held = right and arrived(run.records) == self._image.size
        return self._step("push", run, f"{blobs}, each sent once", held=held)

    async def _killed(self, push: Command) -> tuple[Sequence[RequestRecord], Step]:
        self._narrator.step("push it elsewhere, and kill that push with SIGKILL in the middle of its layers")
        self._narrator.line(f"$ {push}")
        began, before = time.monotonic(), len(self._server.requests)
        async with push.start() as process:
            while process.returncode is None and not self._enough(before):  # noqa: ASYNC110 -- the log calls nobody
                await asyncio.sleep(_LOOK_SECONDS)
            alive = process.returncode is None
        self._narrator.take_back_terminal()
        run = _Run(await self._settled(before), time.monotonic() - began)
        layers = len(inside(run.records))
        result = f"dead inside {count(layers, 'layer')}" if alive else "it ended before it could be killed"
        return run.records, self._step("push elsewhere, killed", run, result, held=alive and layers > 0)

    async def _resumed(self, push: Command, killed: Sequence[RequestRecord]) -> Step:
        self._narrator.step("run the same command again")
        run, right = await self._run(push)
        sizes: Mapping[str, int] = {blob.digest: blob.size for blob in self._image.blobs}
        found = compare(killed, run.records, sizes)
        whole = arrived(killed) + arrived(run.records) == self._image.size + found.again
        most = part_size(sizes.values())
        result = f"{format_size(found.resumed)} resumed in {count(found.inside, 'layer')}"
        result += f", {format_size(found.again)} sent twice, at most {format_size(found.worst)} of a layer"
        held = right and whole and found.resumed > 0 and found.worst <= most
        return self._step("push again, resumed", run, result, held=held)

    async def _again(self, push: Command) -> Step:
        self._narrator.step("and once more, when all is there")
        run, right = await self._run(push)
        moved = arrived(run.records)
        result = f"{format_size(moved)} moved" if moved else "nothing moved"
        return self._step("push again", run, result, held=right and not moved and len(run.records) == 1)

    async def read_back(self, repository: str) -> Step:
        """Return all that a repository holds of the image, byte for byte."""
        self._narrator.step("read everything back and compare the digests")
        began, before = time.monotonic(), len(self._server.requests)
        async with open_ecr() as ecr, Transport() as transport:
            tagged = await _tagged(ecr, repository)
            same = [await _is_same(ecr, transport, repository, blob) for blob in self._image.blobs]
        run = _Run(self._server.requests[before:], time.monotonic() - began)
        result = f"{sum(same)} of {count(len(same), 'blob')} as built, tag {TAG} "
        result += "as built" if tagged == self._image.root.digest else f"holds {tagged}"
        return self._step("read back", run, result, held=all(same) and tagged == self._image.root.digest)

    async def _run(self, push: Command) -> tuple[_Run, bool]:
        """Return a push from its start to its end, and whether it says that the image is there."""
        self._narrator.line(f"$ {push}")
        began, before = time.monotonic(), len(self._server.requests)
        reference = await push.run()
        run = _Run(self._server.requests[before:], time.monotonic() - began)
        return run, reference.endswith(f"@{self._image.root.digest}")

    def _enough(self, before: int) -> bool:
        records = self._server.requests[before:]
        return arrived(records) >= _KILLED_AT * self._image.size and bool(inside(records))

    async def _settled(self, before: int) -> Sequence[RequestRecord]:
        """Return the records of a push that is dead, when the last bytes it had given to the kernel have come in."""
        seen = -1
        while seen < len(self._server.requests):
            seen = len(self._server.requests)
            await asyncio.sleep(_QUIET_SECONDS)
        return self._server.requests[before:]

    def _step(self, title: str, run: _Run, result: str, *, held: bool) -> Step:
        moved = sum(record.blob_bytes for record in run.records)
        self._narrator.line(result)
        return Step(title=title, seconds=run.seconds, result=result, requests=len(run.records), moved=moved, held=held)


async def _tagged(ecr: EcrClient, repository: str) -> str | None:
    """Return the digest under the tag, in the registry's own words."""
    answer = await ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": TAG}])
    images = answer["images"]
    return images[0]["imageId"]["imageDigest"] if images else None


async def _is_same(ecr: EcrClient, transport: Transport, repository: str, blob: Descriptor) -> bool:
    answer = await ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=blob.digest)
    hasher, size = blob.digest.hasher(), 0
    # Signed in its address: a header with credentials would be refused.
    async with transport.stream(
        HttpRequest("GET", answer["downloadUrl"], {}), what=f"download of {blob.digest}"
    ) as reply:
        async for chunk in reply.chunks:
            hasher.update(chunk)
            size += len(chunk)
    return reply.status == 200 and size == blob.size and blob.digest.matches(hasher)


def _host(server: Server) -> str:
    """Return a registry as docker would name it."""
    return server.url.removeprefix("http://")


def _received(records: Sequence[RequestRecord]) -> int:
    return sum(record.blob_bytes for record in records if record.operation in {"PatchUpload", "PutUpload"})
