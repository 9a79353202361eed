"""oras pulls the artifacts that are pushed here, and what it pushes is pulled here."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from transfer import Engine, Server, TransferConfig, pull_files, push_files
from transfer.endpoints.registry_access import RegistryAccess

ORAS = shutil.which("oras")
pytestmark = pytest.mark.skipif(ORAS is None, reason="needs oras on PATH: oras.land")
ACCESS = RegistryAccess(plain_http=True)


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
    (folder / "data" / "sub" / "run.sh").chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


async def oras(*arguments: str, cwd: Path) -> str:
    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [ORAS or "", *arguments, "--plain-http"], capture_output=True, timeout=60, check=False, text=True, cwd=cwd
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_oras_pulls_what_was_pushed_here(registry: str, work: Path, tmp_path: Path) -> None:
    await push_files(f"{registry}/models/one:v1", ["model.bin:application/octet-stream", "data"], target_access=ACCESS)
    out = tmp_path / "out"
    out.mkdir()

    await oras("pull", f"{registry}/models/one:v1", cwd=out)

    assert files_of(out) == files_of(work)
    assert os.access(out / "data" / "sub" / "run.sh", os.X_OK)


async def test_what_oras_pushes_is_pulled_here(registry: str, work: Path, tmp_path: Path) -> None:
    await oras("push", f"{registry}/models/two:v1", "model.bin:application/octet-stream", "data", cwd=work)

    await pull_files(f"{registry}/models/two:v1", tmp_path / "out", access=ACCESS)

    assert files_of(tmp_path / "out") == files_of(work)
    assert os.access(tmp_path / "out" / "data" / "sub" / "run.sh", os.X_OK)


async def test_oras_discovers_an_artifact_by_its_subject(registry: str, work: Path) -> None:
    image = f"{registry}/models/three"
    await push_files(f"{image}:v1", ["model.bin"], target_access=ACCESS)
    kind = "application/vnd.example.sbom"
    await push_files(f"{image}:sbom", ["data"], artifact_type=kind, subject=f"{image}:v1", target_access=ACCESS)

    assert kind in await oras("discover", f"{image}:v1", cwd=work)
    async with Engine(TransferConfig(journal=False)) as engine:
        found = await engine.inspect(f"{image}:v1", access=ACCESS)
    assert [one.artifact_type for one in found.referrers or ()] == [kind]
