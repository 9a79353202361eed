"""skopeo as a client of the embedded registry: push, copy, inspect, list and delete, in both dialects."""

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.support.command import exported, served, started
from transfer.testing.images import BuiltImage, ImageBuilder, blocks

if TYPE_CHECKING:
    from transfer.server import Server

pytestmark = pytest.mark.skipif(
    shutil.which("skopeo") is None, reason="skopeo is not installed: apt-get install -y skopeo"
)

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def skopeo(verb: str, *arguments: object, code: int = 0) -> str:
    """Run skopeo, which must end with this code; returns its stdout, or its stderr where it must fail."""
    command = ["skopeo", "--insecure-policy", verb, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stderr if code else ended.stdout


def push(image: BuiltImage, server: "Server", name: str, *options: str) -> str:
    return skopeo(
        "copy", "--all", "--dest-tls-verify=false", "--dest-creds", KEYS, *options, image.source, at(server, name)
    )


KEYS = "transfer:transfer"
READ = ("--tls-verify=false", "--creds", KEYS)


def at(server: "Server", name: str) -> str:
    return f"docker://{server.url.removeprefix('http://')}/{name}"


def content_of(folder: Path) -> dict[str, bytes]:
    """All blobs and manifests of a layout, each checked against its name."""
    found = {path.name: path.read_bytes() for path in (folder / "blobs" / "sha256").iterdir()}
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in found.items())
    return found


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    """An image whose layers are what they say, since skopeo looks."""
    layers = [layout.blob(gzip.compress(b"".join(blocks(size, size)), mtime=0), GZIP) for size in (3_000_000, 1000)]
    return layout.image((), layers=layers)


@pytest.fixture(params=["oci", "ecr"])
def server(request: pytest.FixtureRequest) -> Iterator["Server"]:
    with served(dialect=request.param, create_on_push=True) as running:
        yield running


def test_an_image_comes_back_as_it_was_pushed(server: "Server", image: BuiltImage, tmp_path: Path) -> None:
    push(image, server, "team/app:v1")
    skopeo("copy", "--src-tls-verify=false", "--src-creds", KEYS, at(server, "team/app:v1"), f"oci:{tmp_path}/back:v1")
    assert content_of(tmp_path / "back") == content_of(image.path)
    assert server.requests.count("PatchUpload") == 3
    assert server.requests.count("PutUpload", 201) == 3
    assert server.requests.count("PutManifest", 201) == 1


def test_an_index_comes_back_as_it_was_pushed(server: "Server", layout: ImageBuilder, tmp_path: Path) -> None:
    index = layout.index()
    push(index, server, "app:v1", "--preserve-digests")
    read = ("--all", "--preserve-digests", "--src-tls-verify=false", "--src-creds", KEYS)
    skopeo("copy", *read, at(server, "app:v1"), f"oci:{tmp_path}/back:v1")
    assert content_of(tmp_path / "back") == content_of(index.path)
    assert server.requests.count("PutManifest", 201) == 3


def test_a_second_push_sends_no_blob(server: "Server", image: BuiltImage) -> None:
    push(image, server, "app:v1")
    server.requests.clear()
    push(image, server, "app:v2")
    assert server.requests.count("HeadBlob", 200) == 3
    assert server.requests.count("PostUpload") == server.requests.count("PatchUpload") == 0


def test_inspect_shows_what_was_pushed(server: "Server", image: BuiltImage) -> None:
    push(image, server, "app:v1")
    raw = skopeo("inspect", "--raw", *READ, at(server, "app:v1"))
    shown = json.loads(skopeo("inspect", *READ, at(server, "app:v1")))
    assert raw.encode() == image.content(image.root)
    assert (shown["Digest"], shown["RepoTags"]) == (image.root.digest, ["v1"])


def test_tags_are_listed(server: "Server", image: BuiltImage) -> None:
    for tag in ("v1", "v2", "v3"):
        push(image, server, f"app:{tag}")
    assert json.loads(skopeo("list-tags", *READ, at(server, "app")))["Tags"] == ["v1", "v2", "v3"]


def test_a_blob_is_mounted_where_the_registry_does_that(server: "Server", image: BuiltImage) -> None:
    push(image, server, "app:v1")
    server.requests.clear()
    both = ("--src-tls-verify=false", "--src-creds", KEYS, "--dest-tls-verify=false", "--dest-creds", KEYS)
    skopeo("copy", *both, at(server, "app:v1"), at(server, "other:v1"))
    mounts = server.requests.of("MountBlob")
    assert {record.status for record in mounts} <= {201, 202}
    assert server.requests.count("PutManifest", 201) == 1


def test_a_deleted_image_is_gone(server: "Server", image: BuiltImage) -> None:
    push(image, server, "app:v1")
    skopeo("delete", *READ, at(server, "app:v1"))
    assert "manifest unknown" in skopeo("inspect", *READ, at(server, "app:v1"), code=1)
    assert server.requests.of("DeleteManifest")[0].digest == image.root.digest


def test_wrong_credentials_are_refused(server: "Server", image: BuiltImage) -> None:
    refused = skopeo("inspect", "--tls-verify=false", "--creds", "transfer:wrong", at(server, "app:v1"), code=1)
    assert "authentication required" in refused or "unauthorized" in refused
    assert {record.status for record in server.requests} == {401}


def test_the_command_line_serves_skopeo_and_boto3(
    image: BuiltImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started("serve", "--port", "0", "--data", tmp_path / "data") as process:
        environment = exported(process)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        host = environment["AWS_ENDPOINT_URL_ECR"].removeprefix("http://")
        where = f"docker://{host}/app:v1"
        skopeo("copy", "--dest-tls-verify=false", "--dest-creds", KEYS, image.source, where)
        client = boto3.client("ecr")
        (detail,) = client.describe_images(repositoryName="app")["imageDetails"]
        token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        client.close()
        process.terminate()
    assert (detail["imageDigest"], detail["imageTags"]) == (image.root.digest, ["v1"])
    assert len(token) > 50
