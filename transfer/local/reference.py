"""
References to images on this machine: `oci:`, `ocidir://`, `oci-archive:`, `docker-archive:` and `-`.

The spellings are those of skopeo and podman (containers-transports(5)) and of regclient. Does not open anything; a
layout's spelling alone looks at the disk, whether a folder has the ':' in its name.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from transfer.errors import InvalidReference, Side
from transfer.local.layout.source import parse_layout_reference
from transfer.model.digest import Digest

LocalKind = Literal["oci", "oci-archive", "docker-archive"]

_LAYOUTS = ("ocidir://", "oci:")
_ARCHIVES: dict[str, LocalKind] = {"oci-archive:": "oci-archive", "docker-archive:": "docker-archive"}
_PIPE = "-"
_DIGESTS = ("sha256:", "sha512:")


class LocalReference(msgspec.Struct, frozen=True):
    """
    An end on this machine.

    Attributes:
        kind: what lies there; `docker-archive` takes an OCI archive too, where the archive itself says so.
        path: where; None for the standard input, or as a target the standard output.
        choice: which of the images: a tag, a digest, or a name and tag.
    """

    kind: LocalKind
    path: Path | None
    choice: str | None = None

    @property
    def origin(self) -> str:
        """The layout or archive."""
        return f"{self.kind}:{self.path}"

    @property
    def image(self) -> "LocalReference":
        """The image itself."""
        return self

    @property
    def named(self) -> tuple[str | None, Digest | None]:
        """The tag to write, and the digest that the image must have."""
        if self.choice and self.choice.startswith(_DIGESTS):
            return None, Digest(self.choice)
        return self.choice, None

    def spelled(self, digest: Digest) -> str:
        """Return the reference by digest."""
        return f"{self.kind}:{self.path}@{digest}"


def parse_local_reference(text: str, *, side: Side) -> LocalReference | None:
    """
    Return the local end that a text spells, or None when it spells none.

    The first ':' ends an archive's path, as in skopeo; a layout's choice follows the last one.

    Raises:
        InvalidReference: a part is missing or malformed.
    """
    if text == _PIPE:
        return LocalReference("docker-archive", None)
    for prefix in _LAYOUTS:
        if text.startswith(prefix):
            return _layout(text, text.removeprefix(prefix), side)
    for prefix, kind in _ARCHIVES.items():
        if text.startswith(prefix):
            return _archive(text, text.removeprefix(prefix), kind, side)
    return None


def locate_path(path: Path, *, side: Side) -> LocalReference:
    """Return the end that a path names: a folder is a layout; a file is an archive, as a target one by its suffix."""
    if side == "source":
        return LocalReference("docker-archive" if path.is_file() else "oci", path)
    return LocalReference("oci-archive" if path.suffix == ".tar" else "oci", path)


def check_no_path(text: str) -> None:
    """
    Refuse what is the path of a layout or an archive, and would be taken for an image of Docker Hub.

    Raises:
        InvalidReference: it is one.
    """
    is_layout = is_file = False
    with suppress(OSError, ValueError):
        is_layout = (Path(text) / "oci-layout").is_file()
        is_file = "/" in text and Path(text).is_file()
    if is_layout:
        hint = f"this is a folder here: write oci:{text}, or the image with its registry"
        raise InvalidReference(f"source {text!r}: {hint}", side="source")
    if is_file:
        hint = f"this is a file here: write oci-archive:{text}, or docker-archive:{text}"
        raise InvalidReference(f"source {text!r}: {hint}", side="source")


def _layout(text: str, rest: str, side: Side) -> LocalReference:
    try:
        path, choice = parse_layout_reference(rest)
    except InvalidReference as error:
        raise InvalidReference(f"{text!r}: {error}", side=side) from None
    return _checked(text, LocalReference("oci", path, choice), side)


def _archive(text: str, rest: str, kind: LocalKind, side: Side) -> LocalReference:
    path, colon, choice = rest.partition(":")
    at, digest = path.rpartition("@")[1:]
    if at and digest in ("sha256", "sha512"):
        path, choice = path.removesuffix(f"@{digest}"), f"{digest}:{choice}"
    if not path or "\0" in path:
        raise InvalidReference(f"{text!r}: name a file, as in {kind}:FILE.tar:TAG", side=side)
    if colon and not choice:
        raise InvalidReference(f"{text!r}: what follows the ':' is empty: name a tag, or leave it out", side=side)
    return _checked(text, LocalReference(kind, None if path == _PIPE else Path(path), choice or None), side)


def _checked(text: str, found: LocalReference, side: Side) -> LocalReference:
    if found.choice is not None and not found.choice.isprintable():
        raise InvalidReference(f"{text!r}: a name cannot hold control characters", side=side)
    return found
