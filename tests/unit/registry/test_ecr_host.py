"""Which host names are ECR registries, and which merely look like one."""

import pytest

from transfer.registry.ecr.host import EcrHost, parse_ecr_host

A = "123456789012"


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        (f"{A}.dkr.ecr.us-east-1.amazonaws.com", EcrHost(A, "us-east-1")),
        (f"{A}.dkr.ecr.ap-southeast-4.amazonaws.com", EcrHost(A, "ap-southeast-4")),
        (f"{A}.dkr.ecr.us-gov-west-1.amazonaws.com", EcrHost(A, "us-gov-west-1")),
        (f"{A}.dkr.ecr-fips.us-east-2.amazonaws.com", EcrHost(A, "us-east-2", fips=True)),
        (f"{A}.dkr.ecr.cn-northwest-1.amazonaws.com.cn", EcrHost(A, "cn-northwest-1")),
        (f"{A}.dkr.ecr.eusc-de-east-1.amazonaws.eu", EcrHost(A, "eusc-de-east-1")),
        (f"{A}.dkr.ecr.us-iso-east-1.c2s.ic.gov", EcrHost(A, "us-iso-east-1")),
        (f"{A}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", EcrHost(A, "us-isob-east-1")),
        (f"{A}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", EcrHost(A, "eu-isoe-west-1")),
        (f"{A}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", EcrHost(A, "us-isof-south-1")),
        (f"{A}.dkr-ecr.eu-west-1.on.aws", EcrHost(A, "eu-west-1", dual_stack=True)),
        (f"{A}.dkr-ecr-fips.us-west-2.on.aws", EcrHost(A, "us-west-2", fips=True, dual_stack=True)),
        (f"{A}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", EcrHost(A, "cn-north-1", dual_stack=True)),
    ],
)
def test_a_registry_of_ecr_is_read(registry: str, host: EcrHost) -> None:
    assert parse_ecr_host(registry) == host


@pytest.mark.parametrize(
    "registry",
    [
        "",
        "docker.io",
        "public.ecr.aws",
        "localhost:5000",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com.evil.com",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com@evil.com",
        f"evil.com/{A}.dkr.ecr.us-east-1.amazonaws.com",
        f"evil@{A}.dkr.ecr.us-east-1.amazonaws.com",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com.",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com:443",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com\n",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com\x00.evil.com",
        f"{A}.DKR.ECR.us-east-1.amazonaws.com",
        f"{A}.dkr.ecr.US-EAST-1.amazonaws.com",
        f"{A}.dkr.ecr.us-east-1.amazonaws.org",
        f"{A}.dkr.ecr.us-east-1.evilamazonaws.com",
        f"{A}.dkr.ecr.us-east-1.amazonaws.com.cn",
        f"{A}.dkr.ecr.cn-north-1.amazonaws.com",
        f"{A}.dkr.ecr.us-east-1.amazonaws.eu",
        f"{A}.dkr.ecr.us-east-1.evil.amazonaws.com",
        f"{A}.dkr.ecr.evil.amazonaws.com",
        f"{A}.dkr.ecr..amazonaws.com",
        f"{A}.dkr.ecrfips.us-east-1.amazonaws.com",
        f"{A}.dkr-ecr.us-east-1.amazonaws.com",
        f"{A}.dkr.ecr.us-east-1.on.aws",
        f"{A}.dkr-ecr.us-east-1.on.aws.evil.com",
        "api.ecr.us-east-1.amazonaws.com",
        "12345678901.dkr.ecr.us-east-1.amazonaws.com",
        "1234567890123.dkr.ecr.us-east-1.amazonaws.com",
        "12345678901a.dkr.ecr.us-east-1.amazonaws.com",
        "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10\uff11\uff12.dkr.ecr.us-east-1.amazonaws.com",
        f"x{A}.dkr.ecr.us-east-1.amazonaws.com",
        f"{A}xdkr.ecr.us-east-1.amazonaws.com",
        f"{A}.dkr.ecr.us-east-\u0661.amazonaws.com",
    ],
)
def test_what_merely_looks_like_one_is_not_taken(registry: str) -> None:
    assert parse_ecr_host(registry) is None
