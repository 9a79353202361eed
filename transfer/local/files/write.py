"""
The files of an artifact, written below a folder: by their titles, folders unpacked.

A title comes from a stranger, and so does every name in a tar: none leads out of the folder, no link on the way is
followed, and no link is made. A file appears whole and verified, or not at all. Sources: GHSA-8xwf-rjm4-xvhv,
GHSA-fxhp-mv3v-67qp and CVE-2007-4559 with its siblings, of other programs that write what they pull.
"""

import asyncio
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from transfer.compression import MAGIC_BYTES, CompressionRefused, Decompressed, blocks_of, sniff
from transfer.engine.protocols import BlobContext, Source
from transfer.errors import ContentMismatch, InvalidManifest
from transfer.events import Notice, Observer
from transfer.local.archive.file_slice import file_slice
from transfer.local.archive.tar import BLOCK, Member, TarRefused, index_tar
from transfer.local.files.artifact import TITLE, UNPACK
from transfer.local.layout.folder import PartialFile, open_folder, sweep
from transfer.local.verified_write import write_rest, write_verified, writing
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest, Hasher
from transfer.model.manifest import Manifest

_LONGEST_NAME = 255
_LONGEST_TITLE = 4096
# Windows knows devices by these names, whatever ending they have.
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{name}{n}" for name in ("COM", "LPT") for n in "123456789")})


def safe_names(title: str) -> tuple[str, ...]:
    """
    Return the parts of a path below a folder.

    Raises:
        ValueError: it leads elsewhere, or is no file's name on every system; the message tells why.
    """
    if not title or len(title) > _LONGEST_TITLE or not title.isprintable():
        raise ValueError("it is empty, too long, or holds control characters")
    if "\\" in title or title.startswith("/") or ":" in title:
        raise ValueError("it is an absolute path, or holds a '\\' or ':'")
    names = title.split("/")
    for name in names:
        if name in {"", ".", ".."} or len(os.fsencode(name)) > _LONGEST_NAME:
            raise ValueError("a part of it is empty, '.', '..', or too long")
        if name.partition(".")[0].upper() in _DEVICES or name.endswith((".", " ")):
            raise ValueError("a part of it is no file's name on Windows")
    return tuple(names)


async def write_files(source: Source, manifest: Manifest, folder: Path, *, notify: Observer) -> tuple[Path, ...]:
    """
    Write the layers of an artifact that have a title into a folder, which is made if it is not there.

    Args:
        source: where the blobs are read.
        notify: called with what is left out: a layer without a title.

    Returns:
        The files and folders that were written.

    Raises:
        InvalidManifest: it is an index, or a title or a tar would lead out of the folder; nothing is written then.
        ContentMismatch: a blob is not what its digest says.
        InvalidLayout: the folder cannot be written.
    """
    if manifest.config is None:
        raise InvalidManifest(f"index {manifest.digest}: an artifact is a single manifest", side="source")
    titled = [(layer, _names_of(manifest, layer)) for layer in manifest.layers]
    if len({names for _, names in titled if names}) < sum(names is not None for _, names in titled):
        raise InvalidManifest(f"artifact {manifest.digest}: two layers have one title", side="source")
    label = f"folder {str(folder)!r}"
    with writing(label, "it"):
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(sweep, folder)
    written = []
    for layer, names in titled:
        if names is None:
            notify(Notice(f"layer {layer.digest} has no title and is left out: it is no file"))
            continue
        blob = BlobContext(layer, notify)
        if (layer.annotations or {}).get(UNPACK) == "true":
            await _unpack(blob, source, folder, names, label)
        else:
            await _write(blob, source, folder, names, label)
        written.append(folder.joinpath(*names))
    return tuple(written)


def _names_of(manifest: Manifest, layer: Descriptor) -> tuple[str, ...] | None:
    title = (layer.annotations or {}).get(TITLE)
    if not title:
        return None
    try:
        return safe_names(title)
    except ValueError as error:
        raise InvalidManifest(
            f"artifact {manifest.digest}: the title {title[:100]!a} is no path below a folder: {error}", side="source"
        ) from None


async def _write(blob: BlobContext, source: Source, folder: Path, names: tuple[str, ...], label: str) -> None:
    draft, keep = PartialFile(folder, blob.descriptor.digest), True
    name = "/".join(names)
    try:
        with writing(label, name):
            kept = await asyncio.to_thread(draft.open, blob.descriptor.size)
        await write_rest(blob, source, draft, label, kept)
        with writing(label, name):
            await asyncio.to_thread(draft.publish, names)
    except ContentMismatch:
        keep = False
        raise
    finally:
        await asyncio.to_thread(draft.close, keep=keep)


class _FileSink:
    """A blob on its way into a temporary file."""

    def __init__(self, file: BinaryIO, hasher: Hasher) -> None:
        self._file = file
        self.hasher = hasher

    def write(self, data: bytes | memoryview) -> None:
        self.hasher.update(data)
        self._file.write(data)


async def _unpack(blob: BlobContext, source: Source, folder: Path, names: tuple[str, ...], label: str) -> None:
    descriptor = blob.descriptor
    with tempfile.TemporaryFile() as packed:
        await write_verified(blob, source, _FileSink(packed, descriptor.digest.hasher()), label)
        packed.flush()
        try:
            with writing(label, "/".join(names)):
                await asyncio.to_thread(_extract, packed, descriptor, folder, names)
        except (TarRefused, CompressionRefused, ValueError) as error:
            raise InvalidManifest(
                f"layer {descriptor.digest} ({'/'.join(names)}) cannot be unpacked: {error}", side="source"
            ) from None


def _extract(packed: BinaryIO, descriptor: Descriptor, folder: Path, names: tuple[str, ...]) -> None:
    with tempfile.TemporaryFile() as plain:
        with file_slice(packed.fileno(), 0, descriptor.size) as stream:
            method = sniff(stream.read(MAGIC_BYTES))
            stream.seek(0)
            for block in blocks_of(stream if method is None else Decompressed(stream, method)):
                plain.write(block)
        plain.flush()
        with file_slice(plain.fileno(), 0, plain.tell()) as whole:
            members = index_tar(whole).members
        # All names are looked at before the first file is written.
        places = {_place(name, names): member for name, member in members.items()}
        os.close(open_folder(folder, names, create=True))
        for place, member in places.items():
            _write_member(plain, member, folder, place, descriptor.digest)


def _place(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a member goes: tars of ORAS begin with the folder's own name, others with what is in it."""
    parts = safe_names(name)
    inside = parts[1:] if parts[0] == names[-1] and len(parts) > 1 else parts
    return (*names, *inside)


def _write_member(plain: BinaryIO, member: Member, folder: Path, place: tuple[str, ...], digest: Digest) -> None:
    draft = PartialFile(folder, Digest.of(f"{digest} {PurePosixPath(*place)}".encode()))
    try:
        draft.open(0)
        with file_slice(plain.fileno(), member.start, member.size) as content:
            for block in blocks_of(content):
                draft.write(block)
        draft.publish(place, executable=_is_executable(plain, member))
    finally:
        draft.close(keep=False)


def _is_executable(plain: BinaryIO, member: Member) -> bool:
    """Return whether the owner may execute a member; source: POSIX, ustar: the mode is octal at byte 100."""
    header = os.pread(plain.fileno(), BLOCK, member.start - BLOCK)
    try:
        return bool(int(header[100:107].strip(b" \0") or b"0", 8) & 0o100)
    except ValueError:
        return False
