"""
The AWS session: credentials, region, endpoint and signature, all by botocore.

All of it is botocore's own: its credential chain (environment, profiles, roles, SSO, container and instance roles),
its configuration files, its endpoint rules and its SigV4 signer. botocore blocks, so everything but the arithmetic of
a signature runs in a worker thread.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import botocore.session
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    EndpointProviderError,
    EndpointVariantError,
    HTTPClientError,
    NoCredentialsError,
    SSOError,
)
from botocore.model import ServiceModel

from transfer.errors import ConnectionFailed, CredentialsMissing, InvalidConfig, TransferError
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest
from transfer.registry.ecr.credentials import AwsCredentials

if TYPE_CHECKING:
    import boto3

# botocore reads AWS_DEFAULT_REGION alone; the AWS CLI and the other SDKs read AWS_REGION first.
_REGION = {"region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)}
# Pages that botocore's model of the API has, and its model of pages has not (1.43).
_MORE_PAGINATORS: dict[str, Any] = {
    "ListImageReferrers": {"input_token": "nextToken", "output_token": "nextToken", "result_key": "referrers"},
}


class _Signer(SigV4Auth):
    """botocore's signer, told the hash of a body instead of reading it."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])


class AwsSession:
    """
    A resolved place to call and the credentials to call it with.

    Attributes:
        url: the endpoint of the ECR API.
        region: the region that requests are signed for.
        model: botocore's model of the API.
        paginators: botocore's paginator models, by operation.
        credentials_source: botocore's word for how it found the credentials, as in `env`.
        accepted: whether a signature of these credentials has been accepted.
    """

    def __init__(self, session: botocore.session.Session, credentials: Credentials, client: BaseClient) -> None:
        self.url = _endpoint(client)
        self.region = client.meta.region_name
        self.model: ServiceModel = client.meta.service_model
        paginators = session.get_component("data_loader").load_data(f"ecr/{self.model.api_version}/paginators-1")
        self.paginators: Mapping[str, Any] = _MORE_PAGINATORS | paginators["pagination"]
        self._ca_bundle: str | None = session.get_config_variable("ca_bundle")
        self.credentials_source = str(credentials.method)
        self.accepted = False
        self._credentials = credentials
        self._frozen: ReadOnlyCredentials = credentials.get_frozen_credentials()

    def __repr__(self) -> str:
        return f"AwsSession({self.url!r}, {self.region!r})"

    @classmethod
    async def load(
        cls,
        credentials: AwsCredentials | None = None,
        *,
        region: str | None = None,
        fips: bool = False,
        dual_stack: bool = False,
    ) -> "AwsSession":
        """
        Resolve everything, off the event loop.

        Args:
            credentials: what was said explicitly.
            region: the region of the registry's own name; wins over every other.
            fips, dual_stack: the kind of endpoint that the registry's name asks for.

        Raises:
            CredentialsMissing: none found, or those found cannot be used: expired, incomplete, refused.
            InvalidConfig: no region, or a configuration file or endpoint that cannot be read.
            ConnectionFailed: the place that hands out credentials did not answer.
        """
        wanted = credentials or AwsCredentials()
        return await asyncio.to_thread(
            _load, replace(wanted, region=region or wanted.region), fips=fips, dual_stack=dual_stack
        )

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """
        Return the same request, signed, and trusting the CA certificates that AWS_CA_BUNDLE or the profile names.

        Credentials are refreshed when they are about to expire.

        Raises:
            CredentialsMissing: the credentials expired and no new ones are to be had.
            ConnectionFailed: as in `load`.
        """
        if isinstance(self._credentials, RefreshableCredentials) and self._credentials.refresh_needed():
            self._frozen = await asyncio.to_thread(_freeze, self._credentials)
        signed = AWSRequest(method=request.method, url=request.url, headers=dict(request.headers))
        if request.body is not None and not isinstance(request.body, RequestBody):
            raise TypeError("a signature covers the body's hash, which a part of a blob does not have yet")
        signed.context["sha256"] = request.body.sha256 if request.body else _NOTHING
        _Signer(self._frozen, "ecr", self.region).add_auth(signed)
        tls = msgspec.structs.replace(request.tls, ca_bundle=self._ca_bundle)
        return msgspec.structs.replace(request, headers=dict(signed.headers.items()), tls=tls)


# SHA-256 of no bytes.
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _load(wanted: AwsCredentials, *, fips: bool, dual_stack: bool) -> AwsSession:
    with _translated():
        given = wanted.session
        profile = _profile_of(given) if given else wanted.profile
        session = botocore.session.Session(profile=profile, session_vars=_REGION)
        region = wanted.region or (given and given.region_name) or session.get_config_variable("region")
        if not region:
            raise InvalidConfig(
                "no AWS region: set AWS_REGION, or a region in the profile, or name the registry by its ECR host"
            )
        if wanted.access_key_id and wanted.secret_access_key:
            session.set_credentials(wanted.access_key_id, wanted.secret_access_key, wanted.session_token)
        credentials = given.get_credentials() if given else session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        create = given.client if given else session.create_client
        if wanted.role is not None:
            credentials = _assumed(create, credentials, wanted.role, region)
        # Only what the host asks for is passed on: None leaves it to AWS_USE_FIPS_ENDPOINT and its like.
        config = Config(use_fips_endpoint=fips or None, use_dualstack_endpoint=dual_stack or None)
        client = create("ecr", region_name=region, endpoint_url=wanted.endpoint_url, config=config)
        try:
            return AwsSession(session, credentials, client)
        finally:
            client.close()


def _profile_of(session: "boto3.Session") -> str | None:
    """Return the profile of a boto3 session; "default" is what boto3 says of none, and it need not exist."""
    return None if session.profile_name == "default" else session.profile_name


def _assumed(create: Callable[..., Any], credentials: Credentials, role: str, region: str) -> Credentials:
    """Return the credentials of a role, by STS where AWS_ENDPOINT_URL_STS or the region says that it is."""
    ask = partial(create, region_name=region)
    fetcher = AssumeRoleCredentialFetcher(ask, credentials, role)
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _freeze(credentials: Credentials) -> ReadOnlyCredentials:
    with _translated():
        return credentials.get_frozen_credentials()


class _Resolved(Exception):
    """Carries the address of a call out of botocore, before the call is made."""


def _endpoint(client: Any) -> str:
    """
    Return the URL that botocore would send a call to.

    Asked by making one and stopping it at its last hook before the network: `client.meta.endpoint_url` disagrees
    with the endpoint rules on FIPS and dual-stack endpoints (botocore 1.44.5), and the rules are not public.
    """

    def stop(params: Mapping[str, Any], **_: object) -> NoReturn:
        raise _Resolved(params["url"])

    client.meta.events.register("before-call.ecr.DescribeRegistry", stop)
    try:
        client.describe_registry()
    except _Resolved as resolved:
        return _checked(str(resolved))
    raise RuntimeError("botocore made a call past its before-call hook")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.query:
        raise InvalidConfig(
            "the configured ECR endpoint is not of the form http[s]://host[:port]; check AWS_ENDPOINT_URL"
        )
    return url


# First match counts. What is wrong is botocore's sentence where there is a {reason}; then what to do.
_ERRORS: tuple[tuple[type[Exception], type[TransferError], str], ...] = (
    (ConfigNotFound, InvalidConfig, "AWS configuration: {reason}"),
    (ConfigParseError, InvalidConfig, "AWS configuration: {reason}"),
    (EndpointProviderError, InvalidConfig, "AWS endpoint: {reason}; check AWS_ENDPOINT_URL and the region"),
    (EndpointVariantError, InvalidConfig, "AWS endpoint: {reason}; check AWS_USE_FIPS_ENDPOINT and its like"),
    (HTTPClientError, ConnectionFailed, "AWS credentials: {reason}; check the network, or choose another AWS_PROFILE"),
    (
        NoCredentialsError,
        CredentialsMissing,
        "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    (SSOError, CredentialsMissing, "AWS credentials: {reason}; run: aws sso login"),
    (BotoCoreError, CredentialsMissing, "AWS credentials: {reason}; check AWS_PROFILE and the AWS configuration files"),
    (ClientError, CredentialsMissing, "AWS credentials: {reason}; check the role, and who may assume it"),
    (RuntimeError, CredentialsMissing, "AWS credentials: {reason}; check the clock, and what hands them out"),
    (ValueError, InvalidConfig, "AWS configuration: {reason}; check AWS_PROFILE and the AWS configuration files"),
)
_FOREIGN = tuple(foreign for foreign, _, _ in _ERRORS)


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where an exception of botocore becomes ours; without its context, which may hold keys."""
    try:
        yield
    except TransferError:
        raise
    except _FOREIGN as error:
        kind, text = next((kind, text) for foreign, kind, text in _ERRORS if isinstance(error, foreign))
        raise kind(text.format(reason=" ".join(str(error).split()).rstrip("."))) from None
