"""AWS credentials as a value; importing this module does not import botocore."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transfer.config import state_without_secrets
from transfer.errors import InvalidConfig

if TYPE_CHECKING:
    import boto3

# IAM's "ARNs" and the characters of its names (IAM user guide, "IAM and AWS STS quotas").
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """
    AWS credentials, region and endpoint, instead of the environment's; each member is optional.

    Attributes:
        access_key_id, secret_access_key, session_token: keys to sign with as they are.
        profile: the profile of the AWS configuration files to take everything else from.
        role: the ARN of a role to assume with those credentials, renewed before it ends.
        region: the region, where no registry host names one.
        endpoint_url: the API's address, instead of the configured one or AWS's own.
        session: a `boto3.Session` that has the keys, refreshed as boto3 does, and the region.
    """

    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    role: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    session: "boto3.Session | None" = field(default=None, repr=False)

    def __getstate__(self) -> list[object]:
        """
        Return the state to pickle.

        Raises:
            InvalidConfig: it holds a key or a session.
        """
        return state_without_secrets(self, "secret_access_key", "session_token", "session")

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise InvalidConfig("credentials: an access key id and its secret access key must be given together")
        if self.session_token is not None and self.access_key_id is None:
            raise InvalidConfig("credentials: a session token is nothing without its access key")
        if self.session is not None and (self.access_key_id, self.profile) != (None, None):
            raise InvalidConfig(
                "credentials: a boto3 session has keys and a profile of its own; give nothing beside it"
            )
        if self.role is not None and not _ROLE.fullmatch(self.role):
            raise InvalidConfig(
                f"role {self.role[:200]!a}: expected the ARN of one, as in arn:aws:iam::123456789012:role/pusher"
            )
