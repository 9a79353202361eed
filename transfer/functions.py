"""The Python API for one image or artifact: `push_image`, `copy_image`, `pull_image`, `push_files` and `pull_files`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from transfer.api import Engine
from transfer.config import TransferConfig
from transfer.endpoints.image import Image
from transfer.endpoints.locations import Location
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.result import PushResult
from transfer.events import Observer
from transfer.job import CopyOptions, FilesOptions
from transfer.registry.ecr.credentials import AwsCredentials

if TYPE_CHECKING:
    import boto3


async def push_image(
    source: Location | Image,
    target: Location,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    session: "boto3.Session | None" = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """
    Push one image into a registry, or continue a push that was stopped, inside its layers.

        result = await push_image("oci:build/image:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")
        print(result.reference, result.uploaded.count, result.uploaded.size)

    Args:
        source: `oci:DIR[:TAG]` or `oci:DIR@DIGEST`, an OCI image layout; `oci-archive:PATH[:TAG]`, one in a tar;
            `docker-archive:PATH[:NAME]`, what `docker save` writes; `-`, the same from the standard input;
            `docker-daemon:NAME`, an image of docker or podman; an image of a registry, written as a target; or the
            `Path` of a layout's folder or of an archive; or an `Image` that a program made.
        target: `REGISTRY/REPOSITORY[:TAG]`, or `REGISTRY/REPOSITORY@DIGEST` to push without a tag. The tag is `latest`
            where neither is given. `ACCOUNT.dkr.ecr.REGION.amazonaws.com/…` is reached by the ECR API, and so is any
            other host written as `ecr://HOST/REPOSITORY:TAG`. `oci:DIR[:TAG]`, `oci-archive:PATH[:TAG]`,
            `docker-archive:PATH[:NAME]`, `docker-daemon:NAME` and `-`, the standard output, are targets too.
        config: limits, timeouts, retry and the path of the journal.
        credentials: used instead of what the AWS credential chain finds.
        session: a `boto3.Session` that has the AWS credentials; they are refreshed as boto3 does.
        **options: see `CopyOptions`, as in `platforms=["linux/arm64"]` or `create_repository=True`.

    Returns:
        The digest and reference that were pushed, and what became of each blob, in counts and bytes.

    Raises:
        InvalidReference: the source or target is not written as one, or both are the same image.
        InvalidConfig: an option, the configuration or the credentials file is wrong.
        CredentialsMissing, Unauthorized: no credentials were found, or they were refused.
        NotFound: the source, or the target's repository, does not exist.
        TagImmutable: the tag holds another image and cannot be moved.
        TransferError: every other failure, see `transfer.errors`. The target's tag is unchanged then.
    """
    return await copy_image(source, target, config=config, credentials=credentials, session=session, **options)


async def copy_image(
    source: Location | Image,
    target: Location,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    session: "boto3.Session | None" = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """
    Copy one image between any source and any target.

        await copy_image("alpine:3", "123456789012.dkr.ecr.us-east-1.amazonaws.com/alpine:3", create_repository=True)

    Arguments, result and errors are those of `push_image`.
    """
    async with Engine(config, credentials=credentials, session=session) as engine:
        return await engine.copy(source, target, **options)


async def pull_image(
    source: Location,
    target: Location,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    session: "boto3.Session | None" = None,
    **options: Unpack[CopyOptions],
) -> PushResult:
    """
    Pull one image into a layout or archive on this machine.

        await pull_image("registry.example/app:v1", "oci:images:v1")

    Arguments, result and errors are those of `push_image`; a target in a registry is InvalidReference.
    """
    async with Engine(config, credentials=credentials, session=session) as engine:
        return await engine.pull(source, target, **options)


async def push_files(
    target: str,
    files: Sequence[str | PathLike[str]],
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    **options: Unpack[FilesOptions],
) -> PushResult:
    """
    Push files and folders as an artifact, as `oras push` does; files are read where they lie, and resume like layers.

        await push_files("registry.example/models/llama:v1", ["llama.gguf", "tokenizer:application/json"])

    Args:
        target: as of `push_image`.
        files: paths, each with `:MEDIATYPE` behind it where it has one. A file is a layer, a folder a compressed tar
            that is unpacked when it is pulled. Links to files are taken as the files, links to folders are left out.
        config: limits, timeouts, retry and the path of the journal.
        credentials: used instead of what the AWS credential chain finds.
        **options: see `FilesOptions`, as in `artifact_type="application/vnd.example.model"`, and `CopyOptions`.

    Returns:
        The digest and reference of the artifact, and what became of each blob.

    Raises:
        InvalidReference: a file is not there, two have one title, or the target is not written as one.
        TransferError: every other failure, as of `push_image`.
    """
    async with Engine(config, credentials=credentials) as engine:
        return await engine.push_files(target, files, **options)


async def pull_files(
    source: str,
    folder: str | PathLike[str],
    *,
    access: RegistryAccess = DEFAULT_ACCESS,
    observer: Observer | None = None,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
) -> tuple[Path, ...]:
    """
    Pull the files of an artifact into a folder, as `oras pull` does; a pull that was stopped continues inside a file.

        await pull_files("registry.example/models/llama:v1", "models")

    Args:
        source: as of `copy_image`.
        folder: made if it is not there; files of the same names are replaced.
        access: how the source's registry is reached.
        observer: called with each event.
        config: limits, timeouts and retry.
        credentials: used instead of what the AWS credential chain finds.

    Returns:
        The files and folders that were written, in the artifact's order.

    Raises:
        InvalidManifest: it is an index, or a name in it leads out of the folder.
        ContentMismatch: a file is not what its digest says.
        TransferError: every other failure; files that were whole stay.
    """
    async with Engine(config, credentials=credentials) as engine:
        return await engine.pull_files(source, folder, access=access, observer=observer)
