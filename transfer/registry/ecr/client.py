"""
The ECR API as typed async calls: boto3's own names, parameters and answers.

Every call is one run of the retry loop around one slot of the limits around one signed exchange.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from transfer.concurrency.limiters import BandwidthLimiter
from transfer.concurrency.limits import Limits, RegistryLimits
from transfer.concurrency.retry import Retrier
from transfer.config import UNPACED, Pace, TransferConfig
from transfer.errors import ConnectionFailed, InvalidConfig, RegistryError
from transfer.events import Observer, Requested
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest, origin
from transfer.http.ranges import Ranges
from transfer.http.settings import SYSTEM_TLS, Tls
from transfer.http.transport import Transport
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.aws_json import AwsJsonProtocol, Items, Pages
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.registry.ecr.errors import is_damage
from transfer.registry.ecr.upload_decisions import QUOTAS

if TYPE_CHECKING:
    from typing import Unpack

    import boto3
    from mypy_boto3_ecr import type_defs as t

R = TypeVar("R")


# What answers are useless without, which no model says: a registry that leaves it out, or a line that changed it.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "BatchCheckLayerAvailability": ("layers",),
    "BatchGetImage": ("images",),
    "GetDownloadUrlForLayer": ("downloadUrl",),
    "InitiateLayerUpload": ("uploadId", "partSize"),
}


class EcrClient:
    """
    The ECR API of one endpoint; `open_ecr` makes one. `tls` says whose certificates count besides AWS_CA_BUNDLE's.

    Every call raises RegistryError or one of its kinds for what the API refuses, ConnectionFailed when no answer is
    to be had, CredentialsMissing when the credentials ran out, and InvalidConfig for parameters that do not fit.
    """

    def __init__(
        self,
        session: AwsSession,
        *,
        transport: Transport,
        retrier: Retrier,
        limits: Limits,
        pace: Pace = UNPACED,
        tls: Tls = SYSTEM_TLS,
    ) -> None:
        self.tls = tls
        self.large_blob_bytes = limits.large_blob_bytes
        self._session = session
        self._transport = transport
        self._retrier = retrier
        self._limits = limits
        self._pace = pace
        self._observe: Observer | None = None
        self._protocol = AwsJsonProtocol(session.model)
        self.ranges = Ranges(limits.read_ahead)

    def __repr__(self) -> str:
        return f"EcrClient({self.url!r})"

    @property
    def url(self) -> str:
        """The address that is called."""
        return self._session.url

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._session.region

    @property
    def credentials_source(self) -> str:
        """The source of the credentials, as botocore names it."""
        return self._session.credentials_source

    @property
    def meter(self) -> BandwidthLimiter | None:
        """The bandwidth limiter of layers that this registry's storage sends."""
        return self._registry_limits().meter

    def reporting(self, observe: Observer) -> Self:
        """Return the same client, telling somebody of its requests and retries."""
        client = copy(self)
        client._observe = observe  # noqa: SLF001 - of the copy made here
        return client

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call any operation of the API by its API name, as in `call("GetLifecyclePolicy", repositoryName="app")`."""
        return await self._call(operation, params)

    def paginate(self, operation: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """
        Call an operation until it has no more pages, and give each page whole.

        Raises:
            InvalidConfig: the operation has no pages.
            RegistryError: on iteration: a page names a page that was already read.
        """
        return self._pages(operation, params)

    async def send_layer_part(
        self, body: RequestBody, progress: Callable[[int], None] | None = None
    ) -> "t.UploadLayerPartResponseTypeDef":
        """
        UploadLayerPart with a JSON body that is already built and hashed.

        Args:
            progress: told of the bytes of a large part that are on the wire; again from 0 where it is sent again.
        """
        return await self._run("UploadLayerPart", body, "UploadLayerPart", progress)

    async def batch_check_layer_availability(
        self, **kwargs: "Unpack[t.BatchCheckLayerAvailabilityRequestTypeDef]"
    ) -> "t.BatchCheckLayerAvailabilityResponseTypeDef":
        return await self._answered("BatchCheckLayerAvailability", kwargs)

    async def initiate_layer_upload(
        self, **kwargs: "Unpack[t.InitiateLayerUploadRequestTypeDef]"
    ) -> "t.InitiateLayerUploadResponseTypeDef":
        return await self._answered("InitiateLayerUpload", kwargs)

    async def upload_layer_part(
        self, **kwargs: "Unpack[t.UploadLayerPartRequestTypeDef]"
    ) -> "t.UploadLayerPartResponseTypeDef":
        return await self._call("UploadLayerPart", kwargs)

    async def complete_layer_upload(
        self, **kwargs: "Unpack[t.CompleteLayerUploadRequestTypeDef]"
    ) -> "t.CompleteLayerUploadResponseTypeDef":
        return await self._call("CompleteLayerUpload", kwargs)

    async def put_image(self, **kwargs: "Unpack[t.PutImageRequestTypeDef]") -> "t.PutImageResponseTypeDef":
        return await self._call("PutImage", kwargs)

    async def batch_get_image(
        self, **kwargs: "Unpack[t.BatchGetImageRequestTypeDef]"
    ) -> "t.BatchGetImageResponseTypeDef":
        return await self._answered("BatchGetImage", kwargs)

    async def batch_delete_image(
        self, **kwargs: "Unpack[t.BatchDeleteImageRequestTypeDef]"
    ) -> "t.BatchDeleteImageResponseTypeDef":
        return await self._call("BatchDeleteImage", kwargs)

    async def create_repository(
        self, **kwargs: "Unpack[t.CreateRepositoryRequestTypeDef]"
    ) -> "t.CreateRepositoryResponseTypeDef":
        return await self._call("CreateRepository", kwargs)

    async def delete_repository(
        self, **kwargs: "Unpack[t.DeleteRepositoryRequestTypeDef]"
    ) -> "t.DeleteRepositoryResponseTypeDef":
        return await self._call("DeleteRepository", kwargs)

    async def get_repository_policy(
        self, **kwargs: "Unpack[t.GetRepositoryPolicyRequestTypeDef]"
    ) -> "t.GetRepositoryPolicyResponseTypeDef":
        return await self._call("GetRepositoryPolicy", kwargs)

    async def set_repository_policy(
        self, **kwargs: "Unpack[t.SetRepositoryPolicyRequestTypeDef]"
    ) -> "t.SetRepositoryPolicyResponseTypeDef":
        return await self._call("SetRepositoryPolicy", kwargs)

    async def delete_repository_policy(
        self, **kwargs: "Unpack[t.DeleteRepositoryPolicyRequestTypeDef]"
    ) -> "t.DeleteRepositoryPolicyResponseTypeDef":
        return await self._call("DeleteRepositoryPolicy", kwargs)

    async def get_authorization_token(
        self, **kwargs: "Unpack[t.GetAuthorizationTokenRequestTypeDef]"
    ) -> "t.GetAuthorizationTokenResponseTypeDef":
        return await self._call("GetAuthorizationToken", kwargs)

    async def get_download_url_for_layer(
        self, **kwargs: "Unpack[t.GetDownloadUrlForLayerRequestTypeDef]"
    ) -> "t.GetDownloadUrlForLayerResponseTypeDef":
        return await self._answered("GetDownloadUrlForLayer", kwargs)

    def describe_images(
        self, **kwargs: "Unpack[t.DescribeImagesRequestTypeDef]"
    ) -> "AsyncIterator[t.ImageDetailTypeDef]":
        """Return every image, over all pages."""
        return self._items("DescribeImages", kwargs)

    def list_images(self, **kwargs: "Unpack[t.ListImagesRequestTypeDef]") -> "AsyncIterator[t.ImageIdentifierTypeDef]":
        """Return every image id, over all pages."""
        return self._items("ListImages", kwargs)

    def list_image_referrers(
        self, **kwargs: "Unpack[t.ListImageReferrersRequestTypeDef]"
    ) -> "AsyncIterator[t.ImageReferrerTypeDef]":
        """Return every referrer of an image, over all pages."""
        return self._items("ListImageReferrers", kwargs)

    def describe_repositories(
        self, **kwargs: "Unpack[t.DescribeRepositoriesRequestTypeDef]"
    ) -> "AsyncIterator[t.RepositoryTypeDef]":
        """Return every repository, over all pages."""
        return self._items("DescribeRepositories", kwargs)

    async def _answered(self, operation: str, params: Mapping[str, Any]) -> R:
        """Call an operation whose answer must hold what it is asked for."""
        answer: dict[str, Any] = await self._call(operation, params)
        missing = [name for name in _NEEDED[operation] if name not in answer]
        if missing:
            raise RegistryError(
                f"{_what(operation, params)}: the answer is not one of the ECR API: it has no {', '.join(missing)}; "
                "try again",
                status=200,
                code="UnreadableAnswer",
            )
        return cast("R", answer)

    async def _call(self, operation: str, params: Mapping[str, Any]) -> R:
        if operation == "UploadLayerPart":
            # Base64, JSON and SHA-256 of 20 MiB would hold up the event loop for a tenth of a second.
            body = await asyncio.to_thread(self._protocol.encode, operation, params)
        else:
            body = self._protocol.encode(operation, params)
        return await self._run(operation, body, _what(operation, params))

    async def _run(
        self, operation: str, body: RequestBody, what: str, progress: Callable[[int], None] | None = None
    ) -> R:
        limits = self._registry_limits()
        request = HttpRequest(
            "POST",
            self.url,
            self._protocol.headers(operation),
            body,
            tls=self.tls,
            meter=limits.meter,
            large=body.blob_bytes > self.large_blob_bytes,
            progress=progress,
        )

        damaged = False

        async def once() -> dict[str, Any]:
            nonlocal damaged
            if progress is not None:
                progress(0)
            if self._observe is not None:
                self._observe(Requested(operation))
            async with limits.slot(operation, rate=QUOTAS.get(operation)):
                reply = await self._transport.send(await self._session.sign(request), what=what)
                try:
                    decoded = self._protocol.decode(operation, reply, what=what)
                except RegistryError as error:
                    if damaged or not self._session.accepted or not is_damage(error):
                        raise
                    damaged = True
                    raise ConnectionFailed(f"{error}; the request seems to have been damaged on its way") from error
                self._session.accepted = True
                return decoded

        answer = await self._retrier.run(what, once, on_retry=self._observe)
        # What the answer holds is the model's word, which the type of each call repeats.
        return cast("R", answer)

    def _registry_limits(self) -> RegistryLimits:
        return self._limits.registry(origin(self.url), self._pace)

    def _pages(self, operation: str, params: Mapping[str, Any]) -> Pages:
        paginator = self._session.paginators.get(operation)
        if paginator is None:
            raise InvalidConfig(f"{operation} has no pages: use call()")
        return Pages(partial(self._call, operation), params, paginator, _what(operation, params))

    def _items(self, operation: str, params: Mapping[str, Any]) -> Items[R]:
        return Items(self._pages(operation, params), self._session.paginators[operation]["result_key"])


def _what(operation: str, params: Mapping[str, Any]) -> str:
    """Return the call as an error names it: the operation and what it is about."""
    repository = params.get("repositoryName")
    return f"{operation} {repository}" if isinstance(repository, str) else operation


@asynccontextmanager
async def open_ecr(
    *,
    region: str | None = None,
    fips: bool = False,
    dual_stack: bool = False,
    credentials: AwsCredentials | None = None,
    session: "boto3.Session | None" = None,
    config: TransferConfig | None = None,
) -> AsyncIterator[EcrClient]:
    """
    Open the ECR API as async calls, with boto3's names, parameters and answers.

        async with open_ecr(region="us-east-1") as ecr:
            async for image in ecr.describe_images(repositoryName="app"):
                print(image["imageDigest"], image.get("imageTags"))

    Connections live as long as the block.

    Args:
        region, fips, dual_stack: what the registry's host name says (`parse_ecr_host`); else the environment decides.
        credentials: used instead of what botocore's chain finds.
        session: a `boto3.Session` that has the credentials, and the region where none is named here.
        config: limits, retry and timeouts.

    Raises:
        CredentialsMissing, InvalidConfig, ConnectionFailed: as in `AwsSession.load`.
    """
    config = config or TransferConfig()
    if session is not None:
        credentials = replace(credentials or AwsCredentials(), session=session)
    resolved = await AwsSession.load(credentials, region=region, fips=fips, dual_stack=dual_stack)
    async with Transport(config) as transport:
        yield EcrClient(resolved, transport=transport, retrier=Retrier(config), limits=Limits(config))
