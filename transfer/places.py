"""
Places: what the spelling of a source or target means.

Pure but for one look at the disk, which tells whether a layout's path has a ':' of its own. Opens nothing.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transfer.errors import InvalidReference, Side
from transfer.local.layout import parse_layout_reference
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference
from transfer.registry.ecr.host import EcrHost, parse_ecr_host


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """An OCI image layout on this machine, and the tag or digest of an image in it."""

    path: Path
    choice: str | None


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """A tar of an OCI layout or of `docker save`, the standard input where there is no path; and an image in it."""

    kind: Literal["oci", "docker"]
    path: Path | None
    choice: str | None


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """An image of a registry that speaks OCI Distribution."""

    reference: Reference

    @property
    def choice(self) -> str | None:
        return self.reference.digest or self.reference.tag


@dataclass(frozen=True, slots=True)
class EcrPlace:
    """An image of an ECR registry, reached by its API."""

    reference: Reference
    host: EcrHost

    @property
    def choice(self) -> str | None:
        return self.reference.digest or self.reference.tag


RemotePlace = RegistryPlace | EcrPlace
Place = LayoutPlace | ArchivePlace | RemotePlace
TargetPlace = LayoutPlace | RemotePlace

# Words of other tools before a ':' that would else be taken for the name of an image on Docker Hub.
_FOREIGN_KINDS = frozenset(
    {"containers-storage", "dir", "docker-archive", "docker-daemon", "ecr", "oci-archive", "ostree", "sif", "tarball"}
)
# A name that wants to be taken for one of ECR's is that, or a mistake, or somebody's trap.
_LIKE_ECR = re.compile(r"\.dkr[.-]ecr")


def read_source(text: str) -> Place:
    """
    The place that a source's spelling names.

    Raises:
        InvalidReference: it is not spelled as a source.
    """
    kind, colon, rest = text.partition(":")
    if text == "-":
        return ArchivePlace("docker", None, None)
    if colon and kind == "oci-archive":
        return _archive("oci", rest)
    if colon and kind == "docker-archive":
        return _archive("docker", rest)
    return _layout(text, "source") or _or_latest(_remote(text, "source", short_names=True))


def read_target(text: str) -> TargetPlace:
    """
    The place that a target's spelling names.

    Raises:
        InvalidReference: it is not spelled as a target.
    """
    return _layout(text, "target") or _or_latest(_remote(text, "target"))


def read_repository(text: str) -> RemotePlace:
    """
    The repository that a spelling names.

    Raises:
        InvalidReference: it is not one, or it names an image in it.
    """
    place = _remote(text, "target")
    if place.choice:
        raise InvalidReference(f"repository {text!r}: name it without a tag or digest", side="target")
    return place


def read_named(text: str) -> RemotePlace:
    """
    The image that a spelling names by its tag or digest, without a default for either.

    Raises:
        InvalidReference: neither is there.
    """
    place = _remote(text, "target")
    if not place.choice:
        raise InvalidReference(f"reference {text!r}: name a tag or a digest", side="target")
    return place


def check_apart(source: Place, target: TargetPlace) -> None:
    """
    Refuse a copy of an image onto itself.

    Raises:
        InvalidReference: both spellings name the same image.
    """
    if source == target and source.choice:
        raise InvalidReference("the source and the target are the same image: name another tag or repository")


def _layout(text: str, side: Side) -> LayoutPlace | None:
    for start in ("oci:", "ocidir://"):
        if text.startswith(start):
            try:
                return LayoutPlace(*parse_layout_reference(text.removeprefix(start)))
            except InvalidReference as error:
                error.side = side
                raise
    return None


def _archive(kind: Literal["oci", "docker"], text: str) -> ArchivePlace:
    """`PATH[:IMAGE]`: a text that is an existing file has no image, and a path cannot hold a ':' else."""
    path, _, choice = (text, "", "") if Path(text).exists() else text.partition(":")
    if not path:
        raise InvalidReference(f"{kind}-archive: name a file, as in {kind}-archive:PATH:TAG", side="source")
    return ArchivePlace(kind, None if path == "-" else Path(path), choice or None)


def _remote(text: str, side: Side, *, short_names: bool = False) -> RemotePlace:
    """What is written to is named in full: nobody shall send an image to Docker Hub by leaving out a host."""
    kind, colon, _ = text.partition(":")
    if (colon and kind in _FOREIGN_KINDS) or text.startswith(("/", "./", "../", "~")):
        raise InvalidReference(
            f"{side} {text!r}: expected an image of a registry, as in registry.example/app:v1, or an OCI image layout, "
            "as in oci:DIR:TAG" + (", or an archive, as in oci-archive:PATH" if side == "source" else ""),
            side=side,
        )
    try:
        reference = parse_reference(text.removeprefix("docker://"), short_names=short_names)
    except InvalidReference as error:
        error.side = side
        raise
    host = parse_ecr_host(reference.registry)
    if host is None and _LIKE_ECR.search(reference.registry):
        raise InvalidReference(
            f"{side} {text!r}: {reference.registry} is not an ECR registry, as in "
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            side=side,
        )
    return RegistryPlace(reference) if host is None else EcrPlace(reference, host)


def _or_latest(place: RemotePlace) -> RemotePlace:
    return replace(place, reference=place.reference.or_latest())


def mount_source(source: Place, target: TargetPlace) -> str | None:
    """The source's repository, where the target's registry may take blobs from it; None where it cannot."""
    if not isinstance(source, RegistryPlace) or not isinstance(target, RegistryPlace):
        return None
    same = source.reference.registry == target.reference.registry
    return source.reference.repository if same and source.reference.repository != target.reference.repository else None


def named(place: TargetPlace) -> tuple[str | None, Digest | None]:
    """The tag to write, and the digest that the image must have."""
    if not isinstance(place, LayoutPlace):
        return place.reference.tag, place.reference.digest
    if isinstance(place.choice, Digest):
        return None, place.choice
    return place.choice, None


def spelled(place: TargetPlace, digest: Digest) -> str:
    """What was written, by digest: what to pull, deploy or copy on."""
    if isinstance(place, LayoutPlace):
        return f"oci:{place.path}@{digest}"
    return str(place.reference.at(digest))
