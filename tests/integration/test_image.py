"""Images that a program makes, without a layout on disk."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from transfer import (
    AwsCredentials,
    Engine,
    Image,
    InvalidConfig,
    InvalidReference,
    RegistryAccess,
    Server,
    TransferConfig,
    push_image,
)
from transfer.local.layout.source import LayoutSource

NO_JOURNAL = TransferConfig(journal=False)


def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "motd").write_text("hello\n")
    (tmp_path / "app.tar").write_bytes(tar_of(app=b"binary"))
    return Image(
        layers=[tmp_path / "root", str(tmp_path / "app.tar"), tar_of(a=b"1"), gzip.compress(tar_of(b=b"2"), mtime=0)],
        config={"Entrypoint": ["/app"], "Env": ["A=b"]},
        platform="linux/arm/v7",
        annotations={"org.opencontainers.image.title": "app"},
    )


async def test_it_is_pushed_and_read_back(image: Image, tmp_path: Path) -> None:
    access = RegistryAccess(plain_http=True)
    async with Server(auth=False) as server, Engine(NO_JOURNAL) as engine:
        pushed = await engine.push(image, f"{server.host}/app:v1", target_access=access)
        again = await engine.push(image, f"{server.host}/app:v2", target_access=access)
        await engine.pull(f"{server.host}/app:v1", tmp_path / "out", source_access=access)
    assert pushed.digest == again.digest
    assert again.uploaded.count == 0
    source = LayoutSource(tmp_path / "out")
    manifest = await source.manifest(await source.resolve(None))
    document = json.loads(manifest.raw)
    assert document["annotations"] == {"org.opencontainers.image.title": "app"}
    assert manifest.config is not None
    blobs = tmp_path / "out" / "blobs" / "sha256"
    config = json.loads((blobs / manifest.config.digest.encoded).read_bytes())
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert config["config"] == {"Entrypoint": ["/app"], "Env": ["A=b"]}
    assert len(config["rootfs"]["diff_ids"]) == len(config["history"]) == len(manifest.layers) == 4
    names = []
    for layer in manifest.layers:
        with tarfile.open(blobs / layer.digest.encoded) as archive:
            names.append([one for one in archive.getnames() if one not in ("", "etc")])
    assert names == [["etc/motd"], ["app"], ["a"], ["b"]]


async def test_ecr_takes_it_too(image: Image) -> None:
    async with Server() as server:
        keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
        pushed = await push_image(
            image, f"{server.registry}/app:v1", config=NO_JOURNAL, credentials=keys, create_repository=True
        )
    assert pushed.uploaded.count == 5


@pytest.mark.parametrize("layer", [b"no tar" * 200, b"BZh91AY&SY" + bytes(100), "/nowhere"])
async def test_what_is_no_layer_is_refused_in_one_line(layer: bytes | str, tmp_path: Path) -> None:
    with pytest.raises(InvalidReference, match=r"layer '(number 0|/nowhere)': ") as caught:
        await push_image(Image(layers=[layer]), tmp_path / "out", config=NO_JOURNAL)
    assert "\n" not in str(caught.value)


def test_an_image_has_a_layer_and_a_platform() -> None:
    with pytest.raises(InvalidConfig, match="has no layer"):
        Image(layers=[])
    with pytest.raises(InvalidConfig, match="platform"):
        Image(layers=[b""], platform="linux/")
