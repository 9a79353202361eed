"""
An OCI image layout in a folder as a Source, and how one is spelled.

Source of the rules: OCI image-spec 1.1, image-layout.md. Below the root only blobs may be links, as Bazel and Nix
write them.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from transfer.errors import InvalidDigest, InvalidReference
from transfer.local.layout.files import open_below, open_blob_below
from transfer.local.layout.reader import FileSource
from transfer.model.digest import Digest

# The beginning of a repository's full name, which no folder needs to be called.
_HOST = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?::[0-9]+)?/")
_AT_DIGEST = re.compile(r"(.*)@(sha[0-9]+:[^/]*)", re.DOTALL)


def parse_layout_reference(text: str) -> tuple[Path, str | None]:
    """
    Read `DIR[:NAME]` or `DIR@sha256:…`: the folder, and the name or digest where there is one.

    A name may be a tag or, as containerd and skopeo write it, all of `docker.io/library/app:v1`. Both a folder and a
    name may hold a ':', so this looks at the disk: the longest folder that exists wins, as skopeo splits. Where none
    does, a registry's host begins a name, and any other ':' with a '/' behind it is part of the path.

    Raises:
        InvalidReference: no folder, an empty name, or a malformed digest.
    """
    if "\0" in text:
        raise InvalidReference(f"layout reference {text!r}: a path cannot hold a NUL character", side="source")
    match = _AT_DIGEST.fullmatch(text)
    if match is not None and not os.path.isdir(text):  # noqa: PTH112 - Path("") is the current folder, this is none
        try:
            choice: str | None = Digest(match[2])
        except InvalidDigest as error:
            raise InvalidReference(f"layout reference {text!r}: {error}", side="source") from None
        folder = match[1]
    else:
        folder, choice = _split(text)
    if not folder:
        raise InvalidReference(f"layout reference {text!r}: name a folder, as in oci:DIR:TAG", side="source")
    return Path(folder), choice


def _split(text: str) -> tuple[str, str | None]:
    colons = [match.start() for match in re.finditer(":", text)]
    existing = next((at for at in reversed(colons) if os.path.isdir(text[:at])), None)  # noqa: PTH112 - as above
    full_name = next((at for at in colons if _HOST.match(text, at + 1)), None)
    tag = colons[-1] if colons and "/" not in text[colons[-1] :] else None
    at = next((one for one in (existing, full_name, tag) if one is not None), None)
    if at is None or os.path.isdir(text):  # noqa: PTH112 - as above
        return text, None
    folder, name = text[:at], text[at + 1 :]
    if folder and not name:
        raise InvalidReference(f"layout reference {text!r}: the tag after ':' is empty", side="source")
    return folder, name


class _Folder:
    """Files below a folder."""

    how_to_choose = "choose with oci:DIR:TAG or oci:DIR@sha256:…"

    def __init__(self, root: Path) -> None:
        self._root = root
        self.label = f"layout {str(root)!r}"
        self._known_links: set[tuple[int, int, int, int]] = set()

    def open(self, names: Sequence[str]) -> BinaryIO:
        if names[0] == "blobs":
            digest = Digest(f"{names[1]}:{names[2]}")
            return open_blob_below(self._root, names, digest, self._known_links)
        return open_below(self._root, names)

    def locate(self, names: Sequence[str]) -> str:
        return str(self._root.joinpath(*names))


class LayoutSource(FileSource):
    """The images of one OCI image layout in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(_Folder(path))
        self.path = path

    def __repr__(self) -> str:
        return f"LayoutSource({str(self.path)!r})"
