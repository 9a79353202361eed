"""
The names of ECR's registries: hosts, and how a call of the API names a registry or repository.

Forms of hosts: AWS's documentation of ECR endpoints, and the suffixes in botocore's partition data. Strict, because
credentials are sent on the strength of a name: a lookalike is no ECR host. No I/O.
"""

import re
from typing import NotRequired, TypedDict

import msgspec


class EcrHost(msgspec.Struct, frozen=True):
    """
    A registry of ECR, as far as its host says what it is.

    Attributes:
        account, region: who owns it, and where; None where the host is not one of AWS's.
        fips, dual_stack: the kind of endpoint that its name asks for.
        address: `host[:port]` of the API, where that is not AWS's own.
    """

    account: str | None
    region: str | None
    fips: bool = False
    dual_stack: bool = False
    address: str | None = None


# Which regions live under which suffix: botocore's partitions.json (`regionRegex`, `dnsSuffix`). A name that joins a
# region to another partition's suffix belongs to nobody at AWS.
_PARTITIONS = {
    "amazonaws.com": re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-(gov-)?[a-z]+-\d+"),
    "amazonaws.com.cn": re.compile(r"cn-[a-z]+-\d+"),
    "amazonaws.eu": re.compile(r"eusc-de-[a-z]+-\d+"),
    "c2s.ic.gov": re.compile(r"us-iso-[a-z]+-\d+"),
    "sc2s.sgov.gov": re.compile(r"us-isob-[a-z]+-\d+"),
    "cloud.adc-e.uk": re.compile(r"eu-isoe-[a-z]+-\d+"),
    "csp.hci.ic.gov": re.compile(r"us-isof-[a-z]+-\d+"),
}
# Dual-stack registry names exist in the standard and the Chinese partition ("Getting started with making requests
# over IPv6" of the ECR user guide).
_DUAL_STACK = {"on.aws": _PARTITIONS["amazonaws.com"], "on.amazonwebservices.com.cn": _PARTITIONS["amazonaws.com.cn"]}

_HOST = re.compile(r"([0-9]{12})\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)")
_DUAL_STACK_HOST = re.compile(r"([0-9]{12})\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)")


def parse_ecr_host(registry: str) -> EcrHost | None:
    """Return the ECR registry that a host name means; None for every other host, lookalikes included."""
    for form, suffixes in ((_HOST, _PARTITIONS), (_DUAL_STACK_HOST, _DUAL_STACK)):
        match = form.fullmatch(registry)
        if match is None:
            continue
        account, fips, region, suffix = match.groups()
        regions = suffixes.get(suffix)
        if regions is not None and regions.fullmatch(region):
            return EcrHost(account, region, fips is not None, suffixes is _DUAL_STACK)
    return None


class RepositoryNames(TypedDict):
    """A repository's name, and the account that owns its registry; without one it is the caller's own."""

    repositoryName: str
    registryId: NotRequired[str]


class RegistryNames(TypedDict):
    """The account that owns a registry; without one it is the caller's own."""

    registryId: NotRequired[str]


def registry_of(registry_id: str | None) -> RegistryNames:
    """Return the name of a registry, by the API's own word."""
    return {} if registry_id is None else {"registryId": registry_id}


def names_of(registry_id: str | None, repository: str) -> RepositoryNames:
    """Return the names of a repository, by the API's own words."""
    return {**registry_of(registry_id), "repositoryName": repository}
