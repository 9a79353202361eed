"""
Parse the locations of sources, targets, repositories and registries.

Opens nothing; only looks at the disk to tell whether the path of a layout contains a ':'.
"""

import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from transfer.errors import InvalidReference, Side
from transfer.local.layout.index import full_name
from transfer.local.reference import LocalReference, check_no_path, locate_path, parse_local_reference
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference
from transfer.registry.ecr.host import EcrHost, parse_ecr_host

if TYPE_CHECKING:
    from transfer.local.files.artifact import Artifact

# Where an image is: a text, spelled as for `push_image`, or the path of a layout or an archive.
Location: TypeAlias = str | PathLike[str]


class RemoteLocation(msgspec.Struct, frozen=True):
    """An image, repository or registry that is reached over the network; `reference` names it."""

    reference: Reference

    @property
    def choice(self) -> str | None:
        """The digest or tag."""
        return self.reference.digest or self.reference.tag

    @property
    def origin(self) -> str:
        """The registry."""
        return self.reference.registry

    @property
    def image(self) -> Reference:
        """The image, the same whichever API reaches it, with the default port or without."""
        return replace(self.reference, registry=self.reference.registry.removesuffix(":443"))

    @property
    def named(self) -> tuple[str | None, Digest | None]:
        """The tag to write, and the digest that the image must have."""
        return self.reference.tag, self.reference.digest

    def spelled(self, digest: Digest) -> str:
        """Return the reference by digest: what to pull, deploy or copy next."""
        return str(self.reference.at(digest))


class RegistryLocation(RemoteLocation, frozen=True):
    """An image of a registry that speaks OCI Distribution."""


class EcrLocation(RemoteLocation, frozen=True):
    """An image of an ECR registry, reached by its API."""

    host: EcrHost

    def spelled(self, digest: Digest) -> str:
        """Return the reference by digest, with its scheme where the host alone does not say that it is ECR."""
        return f"{_ECR_SCHEME if self.host.address is not None else ''}{self.reference.at(digest)}"


class DaemonLocation(msgspec.Struct, frozen=True):
    """An image of the docker or podman daemon, by `name`: with a tag, or its ID."""

    name: str

    @property
    def choice(self) -> None:
        """Nothing: the daemon is asked for this one image."""

    @property
    def origin(self) -> str:
        """The daemon and the image."""
        return f"{_DAEMON}{self.name}"

    @property
    def image(self) -> "DaemonLocation":
        """The image itself."""
        return self

    @property
    def named(self) -> tuple[str | None, Digest | None]:
        """The name to write."""
        return self.name, None

    def spelled(self, digest: Digest) -> str:  # noqa: ARG002 - a daemon knows images by their names
        """Return the reference."""
        return self.origin


class FilesLocation(msgspec.Struct, frozen=True):
    """An artifact that was made of files of this machine, to be pushed."""

    artifact: "Artifact"

    def __str__(self) -> str:
        return self.origin

    @property
    def choice(self) -> None:
        """Nothing: there is but one image."""

    @property
    def origin(self) -> str:
        """What the artifact is made of."""
        return f"files {self.artifact.manifest.digest}"

    @property
    def image(self) -> str:
        """The image itself."""
        return self.origin

    @property
    def named(self) -> tuple[str | None, Digest | None]:
        """No name, and the digest."""
        return None, self.artifact.manifest.digest

    def spelled(self, digest: Digest) -> str:
        """Return the artifact by its digest."""
        return f"files {digest}"


ImageLocation = LocalReference | RemoteLocation | DaemonLocation | FilesLocation


def _ecr(reference: Reference, *, by_api: bool) -> RemoteLocation | None:
    host = parse_ecr_host(reference.registry)
    if host is None and not by_api:
        return None
    return EcrLocation(reference, host or EcrHost(None, None, address=reference.registry))


def _oci(reference: Reference, *, by_api: bool) -> RemoteLocation | None:
    return None if by_api else RegistryLocation(reference)


# The kinds of registries: the first one that takes a reference has it. `endpoints` maps each to its provider.
_KINDS = (_ecr, _oci)

# Words of other tools before a ':' that would else be taken for the name of an image on Docker Hub.
_FOREIGN_KINDS = frozenset({"containers-storage", "dir", "ecr", "ostree", "sif", "tarball"})
# The prefix of a host that is reached by the ECR API though it is not one of AWS's.
_ECR_SCHEME = "ecr://"
# A host that resembles ECR's without being one is a mistake, or an attempt to obtain credentials.
_DAEMON = "docker-daemon:"
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_LIKE_ECR = re.compile(r"\.dkr[.-]ecr")


def locate_source(text: Location | Reference | FilesLocation) -> ImageLocation:
    """
    Parse the location of a source.

    Raises:
        InvalidReference: it is not written as a source.
    """
    if isinstance(text, FilesLocation):
        return text
    if isinstance(text, Reference):
        return _or_latest(locate(text, "source"))
    if not isinstance(text, str):
        return locate_path(Path(text), side="source")
    if text.startswith(_DAEMON):
        return _daemon(text, "source")
    local = parse_local_reference(text, side="source")
    if local is None:
        check_no_path(text)
    return local or _or_latest(_remote(text, "source", short_names=True))


def locate_target(text: Location | Reference) -> ImageLocation:
    """
    Parse the location of a target.

    Raises:
        InvalidReference: it is not written as a target, or it can only be read from.
    """
    if isinstance(text, Reference):
        return _or_latest(locate(text, "target"))
    if not isinstance(text, str):
        return locate_path(Path(text), side="target")
    if text.startswith(_DAEMON):
        return _daemon(text, "target")
    local = parse_local_reference(text, side="target")
    if local is None:
        return _or_latest(_remote(text, "target"))
    if local.kind == "docker-archive" and local.choice is not None:
        return replace(local, choice=_image_name(text, local.choice))
    return local


def _daemon(text: str, side: Side) -> DaemonLocation:
    name = text.removeprefix(_DAEMON)
    if side == "source" and _IMAGE_ID.fullmatch(name):
        return DaemonLocation(name)
    return DaemonLocation(_image_name(text, name, side))


def _image_name(text: str, name: str, side: Side = "target") -> str:
    """
    Return the name that an image has in docker, with its tag.

    Raises:
        InvalidReference: it is not a name as docker knows it.
    """
    try:
        found = parse_reference(full_name(name))
    except InvalidReference as error:
        raise InvalidReference(f"{side} {text!r}: {error}", side=side) from None
    if found.digest is not None or found.tag is None:
        raise InvalidReference(f"{side} {text!r}: docker knows an image by its name, as in app:v1", side=side)
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def check_pull_target(text: Location) -> None:
    """
    Check that the target of a pull is on this machine.

    Raises:
        InvalidReference: it is not written as a target, or it is in a registry.
    """
    if isinstance(locate_target(text), RemoteLocation):
        raise InvalidReference(
            f"target {str(text)!r}: an image is pulled to this machine, as in oci:DIR:TAG or oci-archive:FILE.tar; "
            "use copy for a registry",
            side="target",
        )


def locate_repository(text: str) -> RemoteLocation:
    """
    Parse `HOST/REPOSITORY`.

    Raises:
        InvalidReference: it is not one, or it names an image in it.
    """
    location = _remote(text, "target")
    if location.choice:
        raise InvalidReference(f"repository {text!r}: name it without a tag or digest", side="target")
    return location


def locate_image(text: str) -> RemoteLocation:
    """
    Parse `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`; there is no default tag.

    Raises:
        InvalidReference: it has neither a tag nor a digest.
    """
    location = _remote(text, "target")
    if not location.choice:
        raise InvalidReference(f"reference {text!r}: name a tag or a digest", side="target")
    return location


def locate_login(text: str) -> RemoteLocation:
    """
    Parse `HOST`, whose location has an empty repository, or `HOST/REPOSITORY`.

    Raises:
        InvalidReference: it is neither.
    """
    if "/" in text.removeprefix(_ECR_SCHEME).removeprefix("docker://"):
        return locate_repository(text)
    try:
        location = locate_repository(f"{text}/any")
    except InvalidReference:
        raise InvalidReference(f"registry {text!r}: expected a host, as in registry.example:5000") from None
    return replace(location, reference=replace(location.reference, repository=""))


def check_apart(source: ImageLocation, target: ImageLocation) -> None:
    """
    Refuse a copy of an image onto itself.

    Raises:
        InvalidReference: both name the same image.
    """
    if source.choice and source.image == target.image:
        raise InvalidReference("the source and the target are the same image: name another tag or repository")


def _remote(text: str, side: Side, *, short_names: bool = False) -> RemoteLocation:
    """Parse a remote reference; short names are for sources only, so that no image goes to Docker Hub by mistake."""
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
    return locate(reference, side, by_api=by_api)


def locate(reference: Reference, side: Side, *, by_api: bool = False) -> RemoteLocation:
    """
    Return the location of a reference, by its host; `by_api` for the ECR API at any host.

    Raises:
        InvalidReference: the host looks like one of ECR's and is not.
    """
    if _LIKE_ECR.search(reference.registry) and parse_ecr_host(reference.registry) is None:
        raise InvalidReference(
            f"{side} {str(reference)!r}: {reference.registry} is not an ECR registry, as in "
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            side=side,
        )
    return next(found for kind in _KINDS if (found := kind(reference, by_api=by_api)) is not None)


def _or_latest(location: RemoteLocation) -> RemoteLocation:
    return replace(location, reference=location.reference.or_latest())


def mount_source(source: ImageLocation, target: ImageLocation) -> str | None:
    """Return the source's repository, where the target's registry may take blobs from it; None where it cannot."""
    if not isinstance(source, RemoteLocation) or not isinstance(target, RemoteLocation):
        return None
    read, written = source.reference, target.reference
    return read.repository if read.registry == written.registry and read.repository != written.repository else None
