"""
Job: one image, its source, its targets and how to reach them, as a plain value.

A job pickles, and running it twice is harmless.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

import msgspec
from msgspec import UNSET, UnsetType

from transfer.endpoints.image import Image
from transfer.endpoints.locations import FilesLocation, Location
from transfer.endpoints.provider import EcrProtocol
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.result import PushResult
from transfer.errors import TransferError
from transfer.events import Observer
from transfer.model.digest import Digest
from transfer.model.reference import Reference
from transfer.registry.ecr.create_repository import RepositorySettings

if TYPE_CHECKING:
    from transfer.local.files.artifact import FolderCompression

# What became of one target.
Outcome = PushResult | TransferError


class CopyOptions(TypedDict, total=False):
    """
    The options of a copy, under the same names in Python, in the commands and in a mirror's rules.

    Attributes:
        platforms: of an index, only the images for these, as in `"linux/arm64"`: one is copied as a single image,
            several as an index of them. All where none is named.
        append: tars (plain, gzip or zstd) and folders of this machine that become further layers of the image; of an
            index, of the image for the one platform, or for this machine. The base's layers stay as they are.
        source_access, target_access: how the registry of each side is reached, and with which credentials.
        ecr_protocol: how a target in ECR is written to: by its API (`auto`, `api`), or by its Docker endpoint
            (`registry`), which mounts blobs of other repositories where the account has that switched on.
        create_repository: create a missing ECR repository: with these settings, or with the registry's own.
        referrers: copy what refers to the image too: signatures, SBOMs, attestations, and those under cosign's tags.
        include_foreign: copy layers too that registries need not hold (Windows base layers), from their addresses.
        observer: called with each event, in the event loop; it must return at once.
    """

    platforms: str | Sequence[str]
    append: Sequence[Location]
    source_access: RegistryAccess
    target_access: RegistryAccess
    ecr_protocol: EcrProtocol
    create_repository: bool | RepositorySettings
    referrers: bool
    include_foreign: bool
    observer: Observer | None


class FilesOptions(CopyOptions, total=False):
    """
    The options of an artifact that is made of files, besides those of a copy.

    Attributes:
        artifact_type: what the artifact is, as in `application/vnd.example.model`.
        annotations: of its manifest.
        subject: an image in the same repository that it refers to, as a signature does.
        compression: of folders: `gzip`, `zstd` or `none`.
    """

    artifact_type: str | None
    annotations: Mapping[str, str]
    subject: str | None
    compression: "FolderCompression"


def copy_options(options: FilesOptions) -> CopyOptions:
    """Return the options of the copy alone."""
    names = CopyOptions.__annotations__
    return cast("CopyOptions", {name: value for name, value in options.items() if name in names})


class Destination(msgspec.Struct, frozen=True):
    """
    A target, and how it is written to.

    Attributes:
        reference: spelled as for `copy_image`.
        access: how its registry is reached, and with which credentials.
        ecr_protocol: how one in ECR is written to: by its API (`auto`, `api`), or by its Docker endpoint (`registry`),
            which mounts blobs of other repositories where the account has that switched on.
        create_repository: create a repository of ECR when it is missing: with these settings, or the registry's own.
        tagged: the digest that the tag has just been seen to hold, None where there was none: saves asking for it.
    """

    reference: Location | Reference
    access: RegistryAccess = DEFAULT_ACCESS
    ecr_protocol: EcrProtocol = "auto"
    create_repository: bool | RepositorySettings = False
    tagged: Digest | UnsetType | None = UNSET

    @property
    def creation(self) -> RepositorySettings | None:
        """The settings to create a missing repository with; None to leave it missing."""
        if isinstance(self.create_repository, RepositorySettings):
            return self.create_repository
        return RepositorySettings() if self.create_repository else None


class Job(msgspec.Struct, frozen=True):
    """
    One image to copy.

    Attributes:
        source: spelled as for `copy_image`, or files that are pushed as an artifact.
        targets: where to.
        platforms: of an index, only the images for these; all where none is named.
        append: tars and folders of this machine that become further layers of the image.
        referrers: take along what refers to the image: signatures, SBOMs, attestations, and those under cosign's tags.
        include_foreign: take along layers that registries need not hold, from wherever their addresses say.
        access: how the source's registry is reached, and with which credentials.
    """

    source: Location | Reference | FilesLocation
    targets: tuple[Destination, ...]
    platforms: tuple[str, ...] = ()
    access: RegistryAccess = DEFAULT_ACCESS
    referrers: bool = False
    include_foreign: bool = False
    append: tuple[str | bytes, ...] = ()


def make_job(source: Location | Image | FilesLocation, targets: Sequence[Location], options: CopyOptions) -> Job:
    """Return the job of a copy to targets that are all reached alike."""
    layers: tuple[str | bytes, ...] = ()
    if isinstance(source, Image):
        layers, source = source.given, source.location
    destinations = (
        Destination(
            target,
            options.get("target_access", DEFAULT_ACCESS),
            options.get("ecr_protocol", "auto"),
            options.get("create_repository", False),
        )
        for target in targets
    )
    platforms = options.get("platforms", ())
    return Job(
        source,
        tuple(destinations),
        tuple(platforms.split(",")) if isinstance(platforms, str) else tuple(platforms),
        access=options.get("source_access", DEFAULT_ACCESS),
        referrers=options.get("referrers", False),
        include_foreign=options.get("include_foreign", False),
        append=(*layers, *map(str, options.get("append", ()))),
    )


def only_result(outcomes: Sequence[Outcome]) -> PushResult:
    """Return the result for the only target, or raise the error that ended it."""
    (outcome,) = outcomes
    if isinstance(outcome, TransferError):
        raise outcome
    return outcome
