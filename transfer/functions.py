"""The Python API for one image: `push_image`, `copy_image` and `pull_image`."""

from typing import TYPE_CHECKING, Unpack

from transfer.api import Engine
from transfer.config import TransferConfig
from transfer.engine.result import PushResult
from transfer.job import CopyOptions
from transfer.registry.ecr.credentials import AwsCredentials

if TYPE_CHECKING:
    import boto3


async def push_image(
    source: str,
    target: str,
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
            `docker-daemon:NAME`, an image of docker or podman; or an image of a registry, written as a target.
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
    source: str,
    target: str,
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
    source: str,
    target: str,
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
