"""docker-daemon: as source and target, over the API of `podman system service`."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.interop.test_skopeo_archives import contents_of, real_image
from tests.support.podman import Podman, cannot_run
from transfer import ConnectionFailed, InvalidConfig, NotFound, TransferError, copy_image
from transfer.local.layout.source import LayoutSource
from transfer.testing.images import ImageBuilder


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    if (reason := cannot_run()) is not None:
        pytest.skip(reason)
    with TemporaryDirectory(prefix="pod-") as folder:
        one = Podman(Path(folder))
        service = subprocess.Popen(
            one.command("system", "service", "--time=0", f"unix://{one.socket}"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            waiting_until = time.monotonic() + 20
            while not one.socket.exists() and time.monotonic() < waiting_until:
                time.sleep(0.05)
            monkeypatch.setenv("DOCKER_HOST", f"unix://{one.socket}")
            yield one
        finally:
            service.terminate()
            service.wait(20)


async def test_an_image_is_loaded_into_a_daemon_and_read_from_it(
    podman: Podman, layout: ImageBuilder, tmp_path: Path
) -> None:
    image = real_image(layout)

    result = await copy_image(image.source, "docker-daemon:host.example/team/app:v1")

    assert result.reference == "docker-daemon:host.example/team/app:v1"
    assert json.loads(podman("inspect", "host.example/team/app:v1"))[0]["Id"] == image.blobs[0].digest.encoded

    for name in ("host.example/team/app:v1", image.blobs[0].digest.encoded):
        back = await copy_image(f"docker-daemon:{name}", f"oci:{tmp_path / 'back'}:v1")
        manifest, contents = await contents_of(LayoutSource(tmp_path / "back"), "v1")
        assert manifest.digest == back.digest
        assert contents == [image.content(blob) for blob in image.blobs]


async def test_an_image_that_the_daemon_does_not_have_is_named(podman: Podman, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"docker-daemon:host\.example/absent:v1") as caught:
        await copy_image("docker-daemon:host.example/absent:v1", f"oci:{tmp_path / 'out'}:v1")
    assert caught.value.side == "source"
    assert "\n" not in str(caught.value)


async def test_what_a_daemon_refuses_is_told_in_its_words(podman: Podman, layout: ImageBuilder) -> None:
    # Layers of random bytes are no tars.
    with pytest.raises(TransferError, match=r"docker-daemon:host\.example/app:v1: load: .+") as caught:
        await copy_image(layout.image().source, "docker-daemon:host.example/app:v1")
    assert caught.value.side == "target"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["unix:///absent/docker.sock", "tcp://127.0.0.1:1"])
@pytest.mark.parametrize("end", ["source", "target"])
async def test_a_daemon_that_does_not_run_is_named(
    address: str, end: str, layout: ImageBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    ends = (layout.image().source, "docker-daemon:app:v1")
    if end == "source":
        ends = (ends[1], f"oci:{tmp_path / 'out'}:v1")

    with pytest.raises(ConnectionFailed, match=f"{address}.*check that it runs") as caught:
        await copy_image(*ends)
    assert caught.value.side == end


async def test_an_address_of_another_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@host")
    with pytest.raises(InvalidConfig, match="only unix:// and tcp:// are"):
        await copy_image("docker-daemon:app:v1", f"oci:{tmp_path / 'out'}:v1")
