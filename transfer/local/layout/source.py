"""
An OCI image layout in a folder as a Source, and how one is spelled.

Source of the rules: OCI image-spec 1.1, image-layout.md. No link below the root is followed.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from transfer.errors import InvalidDigest, InvalidReference
from transfer.local.layout.files import open_below
from transfer.local.layout.reader import FileSource
from transfer.model.digest import Digest

_AT_DIGEST = re.compile(r"(.*)@(sha[0-9]+:[^/]*)", re.DOTALL)


def parse_layout_reference(text: str) -> tuple[Path, str | None]:
    """
    Read `DIR[:TAG]` or `DIR@sha256:…`: the folder, and the tag or digest where there is one.

    A text that is an existing folder has no tag, so this looks at the disk once. A ':' with a '/' behind it is part
    of the path.

    Raises:
        InvalidReference: no folder, an empty tag, or a malformed digest.
    """
    if "\0" in text:
        raise InvalidReference(f"layout reference {text!r}: a path cannot hold a NUL character", side="source")
    if os.path.isdir(text):  # noqa: PTH112 - Path("") is the current folder, this is none
        return Path(text), None
    folder, choice = _split(text)
    if not folder:
        raise InvalidReference(f"layout reference {text!r}: name a folder, as in oci:DIR:TAG", side="source")
    return Path(folder), choice


def _split(text: str) -> tuple[str, str | None]:
    match = _AT_DIGEST.fullmatch(text)
    if match is not None:
        try:
            return match[1], Digest(match[2])
        except InvalidDigest as error:
            raise InvalidReference(f"layout reference {text!r}: {error}", side="source") from None
    folder, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    if folder and not tag:
        raise InvalidReference(f"layout reference {text!r}: the tag after ':' is empty", side="source")
    return folder, tag


class _Folder:
    """Files below a folder."""

    how_to_choose = "choose with oci:DIR:TAG or oci:DIR@sha256:…"

    def __init__(self, root: Path) -> None:
        self._root = root
        self.label = f"layout {str(root)!r}"

    def open(self, names: Sequence[str]) -> BinaryIO:
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
