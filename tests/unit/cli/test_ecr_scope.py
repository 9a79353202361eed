"""Which repository of which registry an ECR command is about."""

import pytest

from transfer.cli.commands.ecr.session import Scope, repository_scope
from transfer.cli.options.common import AwsOptions, EcrOptions
from transfer.errors import InvalidReference

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def options(*, region: str | None = None, registry_id: str | None = None) -> EcrOptions:
    return EcrOptions(aws=AwsOptions(), region=region, registry_id=registry_id, as_json=False)


@pytest.mark.parametrize(
    ("text", "given", "scope"),
    [
        ("app", options(), Scope("app", None, None)),
        ("team/app", options(region="eu-west-1"), Scope("team/app", None, "eu-west-1")),
        ("my.org/app", options(registry_id="210987654321"), Scope("my.org/app", "210987654321", None)),
        (f"{HOST}/team/app", options(), Scope("team/app", "123456789012", "eu-west-1")),
        (f"{HOST.upper()}/app", options(), Scope("app", "123456789012", "eu-west-1")),
        (f"{HOST}/app", options(region="eu-west-1"), Scope("app", "123456789012", "eu-west-1")),
        (
            f"{HOST}/app".replace("ecr", "ecr-fips").replace("eu-west-1", "us-east-1"),
            options(),
            Scope("app", "123456789012", "us-east-1", fips=True),
        ),
    ],
)
def test_a_repository_is_a_name_or_a_host_with_a_name(text: str, given: EcrOptions, scope: Scope) -> None:
    assert repository_scope(text, given) == scope


@pytest.mark.parametrize(
    ("text", "given", "complaint"),
    [
        ("", options(), "is not a repository name"),
        ("App", options(), "is not a repository name"),
        ("../app", options(), "is not a repository name"),
        ("app\n", options(), "is not a repository name"),
        ("team/app:v1", options(), "without a tag or digest"),
        (f"{HOST}/app:v1", options(), "without a tag or digest"),
        (HOST, options(), "must start with a registry host"),
        (f"{HOST}.evil.com/app", options(), "is not the host of an ECR registry"),
        (f"{HOST}:443/app", options(), "is not the host of an ECR registry"),
        (f"{HOST}@evil.com/app", options(), "is not the host of an ECR registry"),
        ("localhost:5000/app", options(), "is not the host of an ECR registry"),
        (f"{HOST}/app", options(region="us-east-1"), "its host says eu-west-1, but --region says us-east-1"),
        (f"{HOST}/app", options(registry_id="210987654321"), "but --registry-id says 210987654321"),
    ],
)
def test_what_is_no_repository_is_refused_by_name(text: str, given: EcrOptions, complaint: str) -> None:
    with pytest.raises(InvalidReference, match=complaint) as refused:
        repository_scope(text, given)
    assert str(refused.value).startswith(f"repository {text!r}: ")
    assert "registry.invalid" not in str(refused.value)


def test_a_request_has_only_the_members_that_are_known() -> None:
    assert Scope("app", None, None).request(force=None, filter={}) == {"repositoryName": "app", "filter": {}}
    assert Scope(None, "123456789012", None).request() == {"registryId": "123456789012"}
