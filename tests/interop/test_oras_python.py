"""ORAS's Python client pulls the artifacts that are pushed here, and what it pushes is pulled here."""

import asyncio
import io
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from transfer import RegistryAccess, Server, pull_files, push_files

ACCESS = RegistryAccess(plain_http=True)

# A process of its own: its connections are closed with it, and nothing waits for them here.
CLIENT = """
import sys
from oras.client import OrasClient

way, registry, target, *paths = sys.argv[1:]
client = OrasClient(hostname=registry, insecure=True)
if way == "push":
    client.push(target=target, files=paths, disable_path_validation=True)
else:
    client.pull(target=target, outdir=paths[0])
"""


@pytest_asyncio.fixture
async def registry() -> AsyncIterator[str]:
    async with Server(auth=False) as server:
        yield server.url.removeprefix("http://")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "data" / "sub").mkdir(parents=True)
    (folder / "model.bin").write_bytes(os.urandom(2_000_000))
    (folder / "data" / "a.txt").write_text("a")
    (folder / "data" / "sub" / "run.sh").write_text("#!/bin/sh\n")
    monkeypatch.chdir(folder)
    return folder


async def oras(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_it_pulls_what_was_pushed_here(registry: str, work: Path, tmp_path: Path) -> None:
    await push_files(f"{registry}/models/one:v1", ["model.bin:application/octet-stream", "data"], target_access=ACCESS)
    await oras("pull", registry, f"{registry}/models/one:v1", str(tmp_path / "out"))
    assert files_of(tmp_path / "out") == files_of(work)


async def test_what_it_pushes_is_pulled_here(registry: str, work: Path, tmp_path: Path) -> None:
    await oras("push", registry, f"{registry}/models/two:v1", "model.bin:application/octet-stream", "data")
    await pull_files(f"{registry}/models/two:v1", tmp_path / "out", access=ACCESS)
    found = files_of(tmp_path / "out")
    assert found["model.bin"] == (work / "model.bin").read_bytes()
    # It does not say that a folder is to be unpacked, unlike ORAS itself.
    with tarfile.open(fileobj=io.BytesIO(found["data"])) as archive:
        assert {"data/a.txt", "data/sub/run.sh"} <= set(archive.getnames())
