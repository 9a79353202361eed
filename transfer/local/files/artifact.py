"""
Files and folders as an artifact: its manifest, and where the bytes of its blobs lie.

A file is a layer as it is, a folder a tar that has the same bytes whenever and by whomever it is made. Titles and the
marks of what is to be unpacked are those of ORAS. Sources: OCI image-spec 1.1, manifest.md ("Guidelines for Artifact
Usage") and annotations.md; oras.land, "How to pull and push artifacts". Blocks.
"""

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from transfer.compression import Packed, blocks_of, pack
from transfer.errors import InvalidConfig, InvalidReference
from transfer.local.archive.tar import END_MARK_BYTES
from transfer.local.storage import temporary_files
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, parse_manifest

FolderCompression = Literal["gzip", "zstd", "none"]

TITLE = "org.opencontainers.image.title"
# Of the tar before compression, and that it is to be unpacked: ORAS's names, from Deis.
CONTENT_DIGEST = "io.deis.oras.content.digest"
UNPACK = "io.deis.oras.content.unpack"

DEFAULT_TYPE = "application/vnd.unknown.artifact.v1"
_FILE_TYPE = OCI_LAYER
_FOLDER_TYPES: Mapping[FolderCompression, str] = {
    "gzip": OCI_LAYER_GZIP,
    "zstd": OCI_LAYER_ZSTD,
    "none": OCI_LAYER,
}
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """
    An artifact, ready to be pushed.

    Attributes:
        manifest: its manifest.
        contents: where each blob lies: a file, an unnamed temporary file, or bytes.
    """

    manifest: Manifest
    contents: Mapping[Digest, "Path | BinaryIO | bytes"]

    def close(self) -> None:
        """Remove the temporary files; the artifact cannot be pushed any more."""
        _close(self.contents.values())


def split_media_type(text: str) -> tuple[str, str | None]:
    """Read `FILE[:MEDIATYPE]`; a text that is an existing file has no media type."""
    path, colon, media_type = text.rpartition(":")
    if not colon or "/" not in media_type or os.path.lexists(text):
        return text, None
    return path, media_type


def build_artifact(
    files: Iterable[str | os.PathLike[str]],
    *,
    artifact_type: str | None = None,
    annotations: Mapping[str, str] | None = None,
    subject: Descriptor | None = None,
    compression: FolderCompression = "gzip",
) -> Artifact:
    """
    Read files and folders, and return the artifact that they make.

    Args:
        files: paths, each with `:MEDIATYPE` behind it where it has another one than the default.
        artifact_type: what the artifact is; `application/vnd.unknown.artifact.v1` where nothing is named, as in ORAS.
        annotations: of the manifest.
        subject: the manifest that the artifact refers to.
        compression: of folders.

    Raises:
        InvalidReference: a file that is not there or cannot be read, no file at all, or one title for two.
        InvalidConfig: an artifact type or media type that is none.
    """
    contents: dict[Digest, Path | BinaryIO | bytes] = {}
    try:
        layers = _layers(files, contents, compression)
        return _artifact(layers, contents, artifact_type or DEFAULT_TYPE, annotations, subject)
    except BaseException:
        _close(contents.values())
        raise


def _layers(
    files: Iterable[str | os.PathLike[str]],
    contents: "dict[Digest, Path | BinaryIO | bytes]",
    compression: FolderCompression,
) -> list[Descriptor]:
    layers: dict[str, Descriptor] = {}
    for one in files:
        path, media_type = split_media_type(os.fspath(one))
        title = title_of(path)
        if title in layers:
            raise InvalidReference(f"{path!r}: another file is called {title!r} too; a pull could write one alone")
        try:
            with temporary_files(repr(path)):
                layer, content = _layer(Path(path), title, media_type, compression)
        except OSError as error:
            raise InvalidReference(f"{path!r}: cannot be read: {error.strerror or error}", side="source") from None
        layers[title] = layer
        contents[layer.digest] = content
    if not layers:
        raise InvalidReference("no file is named: an artifact has one at least", side="source")
    return list(layers.values())


def _artifact(
    layers: list[Descriptor],
    contents: "dict[Digest, Path | BinaryIO | bytes]",
    artifact_type: str,
    annotations: Mapping[str, str] | None,
    subject: Descriptor | None,
) -> Artifact:
    config = Descriptor(media_type=_EMPTY_TYPE, digest=Digest.of(_EMPTY), size=len(_EMPTY))
    contents[config.digest] = _EMPTY
    for kind in (artifact_type, *(layer.media_type for layer in layers)):
        _check_type(kind)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config,
        "layers": layers,
    }
    if subject is not None:
        document["subject"] = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    if annotations:
        document["annotations"] = dict(annotations)
    members = msgspec.to_builtins(document, enc_hook=str)
    return Artifact(parse_manifest(json.dumps(members, separators=(",", ":")).encode()), contents)


def _close(contents: "Iterable[Path | BinaryIO | bytes]") -> None:
    for content in contents:
        if not isinstance(content, (Path, bytes)):
            content.close()


def title_of(path: str) -> str:
    """Return the name that a file is pulled as: its relative path, or its own name where it lies elsewhere."""
    parts = [part for part in os.path.normpath(path).replace(os.sep, "/").split("/") if part]
    if Path(path).is_absolute() or ".." in parts or parts in ([], ["."]):
        parts = [Path(path).resolve().name]
    return "/".join(parts)


def _layer(
    path: Path, title: str, media_type: str | None, compression: FolderCompression
) -> "tuple[Descriptor, Path | BinaryIO]":
    if path.is_dir():
        return _folder(path, title, media_type or _FOLDER_TYPES[compression], compression)
    if not path.is_file():
        raise FileNotFoundError(None, "it is no file and no folder" if path.exists() else "there is no such file")
    with path.open("rb") as file:
        made = _as_it_is(file)
    digest = Digest(f"sha256:{made.packed}")
    kind = media_type or _FILE_TYPE
    return Descriptor(media_type=kind, digest=digest, size=made.size, annotations={TITLE: title}), path.absolute()


def _as_it_is(file: BinaryIO) -> Packed:
    hasher, size = hashlib.sha256(), 0
    for block in blocks_of(file):
        hasher.update(block)
        size += len(block)
    return Packed(hasher.hexdigest(), hasher.hexdigest(), size)


def _folder(path: Path, title: str, media_type: str, compression: FolderCompression) -> tuple[Descriptor, BinaryIO]:
    plain, packed = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - one of them is handed on
    try:
        write_tar(plain, path, title.rpartition("/")[2])
        plain.flush()
        plain.seek(0)
        if compression == "none":
            packed.close()
            packed, made = plain, _as_it_is(plain)
        else:
            made = pack(plain, packed, compression)
            plain.close()
    except BaseException:
        plain.close()
        packed.close()
        raise
    notes = {TITLE: title, CONTENT_DIGEST: f"sha256:{made.content}", UNPACK: "true"}
    digest = Digest(f"sha256:{made.packed}")
    return Descriptor(media_type=media_type, digest=digest, size=made.size, annotations=notes), packed


def write_tar(file: BinaryIO, folder: Path, name: str) -> None:
    """
    Write a folder as a tar that has the same bytes whenever and by whomever it is made.

    Args:
        name: what the folder is called in it; what is in the folder stands at the root where this is empty.
    """
    with tarfile.open(mode="w", fileobj=file, format=tarfile.PAX_FORMAT) as archive:
        for path, inside in _walk(folder, name):
            info = tarfile.TarInfo(inside)
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            # A link to a file is the file: an artifact is unpacked without links.
            with path.open("rb") as content:
                status = os.fstat(content.fileno())
                info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                archive.addfile(info, content)
        end = archive.offset + END_MARK_BYTES
    # tarfile fills the last record up with zeros, which ORAS does not count when it compares digests.
    file.truncate(end)
    file.seek(end)


def _walk(folder: Path, inside: str) -> Iterator[tuple[Path, str]]:
    """Yield a folder and all in it, in the order of the names; links to folders are left out."""
    if inside:
        yield folder, inside
    for path in sorted(folder.iterdir(), key=lambda one: os.fsencode(one.name)):
        if path.is_dir():
            if not path.is_symlink():
                yield from _walk(path, f"{inside}/{path.name}".lstrip("/"))
        elif path.is_file():
            yield path, f"{inside}/{path.name}".lstrip("/")


def _check_type(text: str) -> None:
    kind, slash, name = text.partition("/")
    if not (kind and slash and name) or not text.isascii() or not text.isprintable() or " " in text or len(text) > 255:
        raise InvalidConfig(f"media type {text[:100]!r}: expected TYPE/NAME, as in application/octet-stream")


def empty_image(config: Mapping[str, Any], annotations: Mapping[str, str]) -> Artifact:
    """Return an image without layers, for layers to be appended to."""
    raw = json.dumps(config, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    described = Descriptor(media_type=OCI_CONFIG, digest=Digest.of(raw), size=len(raw))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": msgspec.to_builtins(described, enc_hook=str),
        "layers": [],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    manifest = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Artifact(parse_manifest(manifest, media_type=OCI_MANIFEST), {described.digest: raw})
