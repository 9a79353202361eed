"""
Layers into the ECR API, and the CPU that the client takes for it.

Run as `python -m benchmarks.clients.ecr_parts WHO LAYOUT REGISTRY`.

`transfer` is `push_image`. `boto3` is what one writes without it: a pool of threads, each of which reads a layer part
by part, hashes it and calls UploadLayerPart. Both make the same calls, count their CPU without imports, and say it in
a line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.clients.cpu import own_seconds
from benchmarks.clients.line_service import run, say

_THREADS = 8


def _transfer(layout: str, registry: str) -> Callable[[], None]:
    from transfer import push_image  # noqa: PLC0415 - imports are not counted

    return lambda: run(_push(push_image(f"oci:{layout}:v0", f"{registry}/app:v0")))


async def _push(pushing: Any) -> None:
    await pushing


def _boto3(layout: str, registry: str) -> Callable[[], None]:
    import boto3  # noqa: PLC0415 - imports are not counted
    from botocore.config import Config  # noqa: PLC0415 - as above

    del registry
    client = boto3.client("ecr", config=Config(max_pool_connections=_THREADS))
    return lambda: _push_by_boto3(client, Path(layout))


def _push_by_boto3(client: Any, layout: Path) -> None:
    blobs = layout / "blobs" / "sha256"
    (root,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = (blobs / root["digest"].removeprefix("sha256:")).read_text()
    document = json.loads(manifest)
    named = [document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]
    files = [blobs / digest.removeprefix("sha256:") for digest in named]
    client.batch_check_layer_availability(repositoryName="app", layerDigests=named)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(partial(_upload, client), files))
    client.put_image(repositoryName="app", imageManifest=manifest, imageTag="v0")


def _upload(client: Any, file: Path) -> None:
    session = client.initiate_layer_upload(repositoryName="app")
    hasher, first = sha256(), 0
    with file.open("rb") as content:
        while part := content.read(session["partSize"]):
            hasher.update(part)
            client.upload_layer_part(
                repositoryName="app",
                uploadId=session["uploadId"],
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
            first += len(part)
    digest = f"sha256:{hasher.hexdigest()}"
    client.complete_layer_upload(repositoryName="app", uploadId=session["uploadId"], layerDigests=[digest])


_WHO = {"transfer": _transfer, "boto3": _boto3}


def main(who: str, layout: str, registry: str) -> None:
    push = _WHO[who](layout, registry)
    began, cpu = time.monotonic(), own_seconds()
    push()
    say({"seconds": time.monotonic() - began, "cpu_seconds": own_seconds() - cpu})


if __name__ == "__main__":
    main(*sys.argv[1:])
