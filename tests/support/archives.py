"""Archives for tests: tars of any members, OCI layouts in a tar, and what `docker save` writes."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from transfer.compression import BLOCK_BYTES, compress
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.testing.images import BuiltImage, ImageBuilder


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar; attributes are those of TarInfo, lies included."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def tar_of(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of these members, whatever they say of themselves."""
    out = bytearray()
    for info, content in members:
        out += info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return bytes(out) + bytes(1024)


def tar_of_files(files: Mapping[str, bytes]) -> bytes:
    return tar_of(member(name, content) for name, content in files.items())


def tar_of_folder(path: Path) -> bytes:
    """A layout as skopeo would pack it: every folder and file, by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for file in sorted(path.rglob("*")):
            tar.add(file, file.relative_to(path), recursive=False)
    return out.getvalue()


def layer_content(size: int, seed: int = 0) -> bytes:
    """A layer as it lies on a disk: a tar of one file, half of it random."""
    half = Random(seed).randbytes(size // 2)
    return tar_of([member(f"file-{seed}", half + bytes(size - len(half)))])


@dataclass(frozen=True, slots=True)
class Saved:
    """One image of a `docker save` archive."""

    layers: Sequence[bytes]
    tags: Sequence[str] | None = ("app:v1",)
    diff_ids: Sequence[str] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> bytes:
        ids = self.diff_ids or [sha256(layer) for layer in self.layers]
        members = {"architecture": "amd64", "os": "linux", **self.extra}
        return json.dumps({**members, "rootfs": {"type": "layers", "diff_ids": list(ids)}}).encode()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def docker_archive(*images: Saved) -> bytes:
    """What `docker save` of these images writes, as docker before version 25 did."""
    members: dict[str, bytes] = {}
    listed = []
    for image in images:
        config = f"{sha256(image.config).partition(':')[2]}.json"
        names = [f"{sha256(layer).partition(':')[2]}/layer.tar" for layer in image.layers]
        members |= {config: image.config, **dict(zip(names, image.layers, strict=True))}
        listed.append({"Config": config, "RepoTags": image.tags, "Layers": names})
    return tar_of_files({**members, "manifest.json": json.dumps(listed).encode()})


def packed(content: bytes) -> bytes:
    """A layer as the docker source must compress it."""
    return b"".join(compress((content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)), "gzip"))


def expected_image(layout: ImageBuilder, saved: Saved) -> BuiltImage:
    """The image that must come out of an archive of `saved`, in a layout, tagged `v1`."""
    config = layout.blob(saved.config, OCI_CONFIG)
    layers = [layout.blob(packed(content), OCI_LAYER_GZIP) for content in saved.layers]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _members(config),
        "layers": [_members(layer) for layer in layers],
    }
    root = layout.blob(json.dumps(document, separators=(",", ":")).encode(), OCI_MANIFEST)
    blobs = {blob.digest: blob for blob in (config, *layers)}
    return BuiltImage(layout.path, root, (root,), tuple(blobs.values()), "v1")


def _members(blob: Descriptor) -> dict[str, object]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
