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
class EcrPlace:
    """An image of an ECR registry."""

    reference: Reference
    host: EcrHost

    @property
    def choice(self) -> str | None:
        return self.reference.digest or self.reference.tag


Place = LayoutPlace | ArchivePlace | EcrPlace

# A name that begins with a host: anything else that somebody passes as a source is a path or another tool's word.
_HOST_FIRST = re.compile(r"(docker://)?[A-Za-z0-9-]+([.:][A-Za-z0-9-]+)+/")


def read_source(text: str) -> Place:
    """
    The place that a source's spelling names.

    Raises:
        InvalidReference: it is not spelled as a source.
    """
    kind, colon, rest = text.partition(":")
    if text == "-":
        return ArchivePlace("docker", None, None)
    if colon and kind == "oci":
        return LayoutPlace(*parse_layout_reference(rest))
    if colon and kind == "ocidir" and rest.startswith("//"):
        return LayoutPlace(*parse_layout_reference(rest.removeprefix("//")))
    if colon and kind == "oci-archive":
        return _archive("oci", rest)
    if colon and kind == "docker-archive":
        return _archive("docker", rest)
    if not _HOST_FIRST.match(text):
        raise InvalidReference(
            f"source {text!r}: expected an OCI image layout, as in oci:DIR:TAG, an archive, as in oci-archive:PATH or "
            "docker-archive:PATH, or an image of ECR, as in 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            side="source",
        )
    return _or_latest(_parse(text, "source"))


def _archive(kind: Literal["oci", "docker"], text: str) -> ArchivePlace:
    """`PATH[:IMAGE]`: a text that is an existing file has no image, and a path cannot hold a ':' else."""
    path, _, choice = (text, "", "") if Path(text).exists() else text.partition(":")
    if not path:
        raise InvalidReference(f"{kind}-archive: name a file, as in {kind}-archive:PATH:TAG", side="source")
    return ArchivePlace(kind, None if path == "-" else Path(path), choice or None)


def read_target(text: str) -> EcrPlace:
    """
    The place that a target's spelling names.

    Raises:
        InvalidReference: it is not a reference, or its host is not one of ECR.
    """
    return _or_latest(_parse(text, "target"))


def read_repository(text: str) -> EcrPlace:
    """
    The repository that a spelling names.

    Raises:
        InvalidReference: it is not one, or it names an image in it.
    """
    place = _parse(text, "target")
    if place.reference.tag or place.reference.digest:
        raise InvalidReference(f"repository {text!r}: name it without a tag or digest", side="target")
    return place


def read_named(text: str) -> EcrPlace:
    """
    The image that a spelling names by its tag or digest, without a default for either.

    Raises:
        InvalidReference: neither is there.
    """
    place = _parse(text, "target")
    if not (place.reference.tag or place.reference.digest):
        raise InvalidReference(f"reference {text!r}: name a tag or a digest", side="target")
    return place


def check_apart(source: Place, target: Place) -> None:
    """
    Refuse a copy of an image onto itself.

    Raises:
        InvalidReference: both spellings name the same image.
    """
    if source == target:
        raise InvalidReference("the source and the target are the same image: name another tag or repository")


def _parse(text: str, side: Side) -> EcrPlace:
    try:
        reference = parse_reference(text.removeprefix("docker://"))
    except InvalidReference as error:
        error.side = side
        raise
    host = parse_ecr_host(reference.registry)
    if host is None:
        raise InvalidReference(
            f"{side} {text!r}: {reference.registry} is not an ECR registry, as in "
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            side=side,
        )
    return EcrPlace(reference, host)


def _or_latest(place: EcrPlace) -> EcrPlace:
    if place.reference.tag is None and place.reference.digest is None:
        return replace(place, reference=replace(place.reference, tag="latest"))
    return place
