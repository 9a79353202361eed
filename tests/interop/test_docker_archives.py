"""podman and skopeo load the docker archives that are written here, from a file and from a pipe."""

import asyncio
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.interop.test_skopeo_archives import real_image, skopeo
from tests.support.podman import Podman, cannot_run
from transfer import Engine, Server, TransferConfig, copy_image
from transfer.endpoints.registry_access import RegistryAccess
from transfer.testing.images import ImageBuilder

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo: apt-get install -y skopeo")
LOGIN = RegistryAccess(login="transfer:transfer", plain_http=True)


@pytest.fixture
def podman() -> Iterator[Podman]:
    if (reason := cannot_run()) is not None:
        pytest.skip(reason)
    with TemporaryDirectory(prefix="pod-") as folder:
        yield Podman(Path(folder))


@needs_skopeo
async def test_skopeo_reads_every_image_of_an_archive(layout: ImageBuilder, tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    for number in range(2):
        image = real_image(layout, seed=number, tag=f"v{number}")
        await copy_image(image.source, f"docker-archive:{path}:host.example/app:v{number}")

    for number in range(2):
        config = skopeo("inspect", "--config", "--raw", f"docker-archive:{path}:host.example/app:v{number}")
        assert config == layout_config(layout, number)


def layout_config(layout: ImageBuilder, number: int) -> bytes:
    image = real_image(layout, seed=number, tag=f"v{number}")
    return image.content(image.blobs[0])


async def test_podman_loads_an_archive_under_its_names(layout: ImageBuilder, tmp_path: Path, podman: Podman) -> None:
    path, image = tmp_path / "images.tar", real_image(layout)
    await copy_image(image.source, f"docker-archive:{path}:host.example/app:v1")
    await copy_image(real_image(layout, seed=7, tag="other").source, f"docker-archive:{path}:host.example/other:v2")

    podman("load", "--input", path)

    found = json.loads(podman("inspect", "host.example/app:v1"))
    assert found[0]["Id"] == image.blobs[0].digest.encoded
    assert "host.example/other:v2" in podman("images", "--format", "{{.Repository}}:{{.Tag}}")


async def test_an_image_of_a_registry_is_piped_into_podman(layout: ImageBuilder, podman: Podman) -> None:
    image = real_image(layout)
    async with Server() as server:
        host = server.url.removeprefix("http://")
        async with Engine(TransferConfig(journal=False)) as engine:
            await engine.push(image.source, f"{host}/team/app:v1", target_access=LOGIN)
        command = [sys.executable, "-m", "transfer", "pull", f"{host}/team/app:v1", "-"]
        options = ["--src-creds", "transfer:transfer", "--src-plain-http", "--no-journal"]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            archive, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors.decode()
    assert f"@{image.root.digest}" not in archive.decode("latin-1")[:200]

    podman("load", stdin=archive)

    found = json.loads(podman("inspect", f"{host}/team/app:v1"))
    assert found[0]["Id"] == image.blobs[0].digest.encoded


async def test_a_pull_onto_a_terminal_is_refused(layout: ImageBuilder) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "transfer", "copy", real_image(layout).source, "-", "--quiet"]
    try:
        done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, timeout=30, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert b"it is a terminal: pipe it on" in done.stderr
