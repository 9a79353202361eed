"""
Places: what the spelling of a source or target means.

Pure but for one look at the disk, which tells whether a layout's path has a ':' of its own. Opens nothing.
"""

import re

import msgspec
from msgspec.structs import replace

from transfer.errors import InvalidReference, Side
from transfer.local.reference import LocalReference, parse_local_reference
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference
from transfer.registry.ecr.host import EcrHost, parse_ecr_host


class RegistryLocation(msgspec.Struct, frozen=True):
    """An image of a registry that speaks OCI Distribution."""

    reference: Reference

    @property
    def choice(self) -> str | None:
        return self.reference.digest or self.reference.tag

    @property
    def origin(self) -> str:
        """The registry."""
        return self.reference.registry


class EcrLocation(msgspec.Struct, frozen=True):
    """An image of an ECR registry, reached by its API."""

    reference: Reference
    host: EcrHost

    @property
    def choice(self) -> str | None:
        return self.reference.digest or self.reference.tag

    @property
    def origin(self) -> str:
        """The registry."""
        return self.reference.registry


RemotePlace = RegistryLocation | EcrLocation
Place = LocalReference | RemotePlace

# Words of other tools before a ':' that would else be taken for the name of an image on Docker Hub.
_FOREIGN_KINDS = frozenset({"containers-storage", "dir", "docker-daemon", "ecr", "ostree", "sif", "tarball"})
# Before a host that is to be spoken to by the ECR API, whoever's it is.
_ECR_SCHEME = "ecr://"
# A name that wants to be taken for one of ECR's is that, or a mistake, or somebody's trap.
_LIKE_ECR = re.compile(r"\.dkr[.-]ecr")


def read_source(text: str) -> Place:
    """
    The place that a source's spelling names.

    Raises:
        InvalidReference: it is not spelled as a source.
    """
    local = parse_local_reference(text, side="source")
    return local or _or_latest(_remote(text, "source", short_names=True))


def read_target(text: str) -> Place:
    """
    The place that a target's spelling names.

    Raises:
        InvalidReference: it is not spelled as a target, or it can only be read from.
    """
    local = parse_local_reference(text, side="target")
    if local is None:
        return _or_latest(_remote(text, "target"))
    if local.kind == "docker-archive" or local.path is None:
        raise InvalidReference(
            f"target {text!r}: it can only be read from; write an OCI archive, as in oci-archive:PATH:TAG",
            side="target",
        )
    return local


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


def read_login(text: str) -> RemotePlace:
    """
    The registry that a spelling names, its repository being empty, or a repository of one.

    Raises:
        InvalidReference: it is neither.
    """
    if "/" in text.removeprefix(_ECR_SCHEME).removeprefix("docker://"):
        return read_repository(text)
    try:
        place = read_repository(f"{text}/any")
    except InvalidReference:
        raise InvalidReference(f"registry {text!r}: expected a host, as in registry.example:5000") from None
    return replace(place, reference=replace(place.reference, repository=""))


def check_apart(source: Place, target: Place) -> None:
    """
    Refuse a copy of an image onto itself.

    Raises:
        InvalidReference: both spellings name the same image.
    """
    if source.choice and _image(source) == _image(target):
        raise InvalidReference("the source and the target are the same image: name another tag or repository")


def _image(place: Place) -> LocalReference | Reference:
    """What a place is whichever way it is reached: by whose API, and with the default port or without."""
    if isinstance(place, LocalReference):
        return place
    return replace(place.reference, registry=place.reference.registry.removesuffix(":443"))


def _remote(text: str, side: Side, *, short_names: bool = False) -> RemotePlace:
    """What is written to is named in full: nobody shall send an image to Docker Hub by leaving out a host."""
    by_api = text.startswith(_ECR_SCHEME)
    kind, colon, _ = text.partition(":")
    if (colon and kind in _FOREIGN_KINDS and not by_api) or text.startswith(("/", "./", "../", "~")):
        raise InvalidReference(
            f"{side} {text!r}: expected an image of a registry, as in registry.example/app:v1, or an OCI image layout, "
            "as in oci:DIR:TAG" + (", or an archive, as in oci-archive:PATH" if side == "source" else ""),
            side=side,
        )
    try:
        bare = text.removeprefix(_ECR_SCHEME if by_api else "docker://")
        reference = parse_reference(bare, short_names=short_names and not by_api)
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
    if host is None and not by_api:
        return RegistryLocation(reference)
    return EcrLocation(reference, host or EcrHost(None, None, address=reference.registry))


def _or_latest(place: RemotePlace) -> RemotePlace:
    return replace(place, reference=place.reference.or_latest())


def mount_source(source: Place, target: Place) -> str | None:
    """The source's repository, where the target's registry may take blobs from it; None where it cannot."""
    if isinstance(source, LocalReference) or isinstance(target, LocalReference):
        return None
    read, written = source.reference, target.reference
    return read.repository if read.registry == written.registry and read.repository != written.repository else None


def named(place: Place) -> tuple[str | None, Digest | None]:
    """The tag to write, and the digest that the image must have."""
    if not isinstance(place, LocalReference):
        return place.reference.tag, place.reference.digest
    if place.choice and ":" in place.choice:
        return None, Digest(place.choice)
    return place.choice, None


def spelled(place: Place, digest: Digest) -> str:
    """What was written, by digest: what to pull, deploy or copy on."""
    if isinstance(place, LocalReference):
        return f"{place.kind}:{place.path}@{digest}"
    by_api = isinstance(place, EcrLocation) and place.host.address is not None
    return f"{_ECR_SCHEME if by_api else ''}{place.reference.at(digest)}"
