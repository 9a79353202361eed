"""The settings of an embedded registry, checked, and the names that follow from them."""

import re
from dataclasses import dataclass

from transfer.errors import InvalidConfig

MIB = 1024 * 1024
LARGEST_PART = 20_971_520  # service model: layerPartBlob, max
SMALLEST_PART = 5 * MIB  # service quotas: "Minimum layer part size", the last part excepted

DIALECTS = ("oci", "ecr")

# Partitions whose names differ: AWS partition data (region prefix, partition, DNS suffix).
_PARTITIONS = (("cn-", "aws-cn", "amazonaws.com.cn"), ("us-gov-", "aws-us-gov", "amazonaws.com"))
_DEFAULT_PARTITION = ("", "aws", "amazonaws.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Account, region, credentials and limits of one registry. Times are in seconds, sizes in bytes.

    Raises:
        InvalidConfig: a value is outside its range.
    """

    account: str
    region: str
    access_key: str
    secret_key: str
    auth: bool
    part_size: int
    url_ttl: float
    upload_ttl: float
    token_ttl: float
    dialect: str
    create_on_push: bool
    blob_mounting: bool

    def __post_init__(self) -> None:
        checks = (
            (re.fullmatch(r"[0-9]{12}", self.account), f"account {self.account!r}: expected 12 digits"),
            (re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", self.region), f"region {self.region!r}: expected one like us-east-1"),
            (self.access_key and self.secret_key, "access key and secret key: neither may be empty"),
            (0 < self.part_size <= LARGEST_PART, f"part size {self.part_size}: expected 1 to {LARGEST_PART} bytes"),
            # S3 signs URLs for a whole number of seconds, a week at most.
            (1 <= self.url_ttl <= 604_800, f"URL lifetime {self.url_ttl}: expected 1 to 604800 seconds"),
            # Service model, expiresAt: "Authorization tokens are valid for 12 hours".
            (0 < self.token_ttl <= 43_200, f"token lifetime {self.token_ttl}: expected up to 43200 seconds"),
            (self.dialect in DIALECTS, f"dialect {self.dialect!r}: expected {' or '.join(DIALECTS)}"),
            (self.upload_ttl > 0, f"upload lifetime {self.upload_ttl}: expected more than 0 seconds"),
        )
        for holds, message in checks:
            if not holds:
                raise InvalidConfig(message)

    @property
    def smallest_part(self) -> int:
        """The least bytes of every part but the last: ECR's 5 MiB, or less where this registry asks for less."""
        return min(SMALLEST_PART, self.part_size)

    @property
    def registry(self) -> str:
        """The host that the account's images are named after."""
        return f"{self.account}.dkr.ecr.{self.region}.{self._partition[2]}"

    def arn(self, repository: str) -> str:
        return f"arn:{self._partition[1]}:ecr:{self.region}:{self.account}:repository/{repository}"

    @property
    def _partition(self) -> tuple[str, str, str]:
        matching = (partition for partition in _PARTITIONS if self.region.startswith(partition[0]))
        return next(matching, _DEFAULT_PARTITION)
