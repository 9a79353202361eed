"""boto3, as it comes, keeps repositories and their policies in the embedded registry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.boto3_ecr import ACCOUNT, POLICY, Ecr
from transfer.server import Server


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("describe_repositories", {"nextToken": "bad"}),
        ("describe_repositories", {"repositoryNames": ["app"], "maxResults": 5}),
        ("describe_repositories", {"maxResults": 1001}),
        ("describe_images", {"repositoryName": "app", "imageIds": [{"imageTag": "x"}], "nextToken": "x"}),
        ("describe_images", {"repositoryName": "app", "imageIds": [{}]}),
        ("list_images", {"repositoryName": "app", "nextToken": "bad"}),
        ("create_repository", {"repositoryName": "UPPER"}),
        ("create_repository", {"repositoryName": "mine", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}),
        ("set_repository_policy", {"repositoryName": "app", "policyText": "{}"}),
        ("put_lifecycle_policy", {"repositoryName": "app", "lifecyclePolicyText": "{}".ljust(100)}),
        ("list_tags_for_resource", {"resourceArn": "app"}),
        ("initiate_layer_upload", {"repositoryName": "app", "registryId": "1"}),
        ("get_download_url_for_layer", {"repositoryName": "app", "layerDigest": "bad"}),
    ],
)
async def test_a_bad_parameter_is_refused(ecr: Ecr, operation: str, parameters: dict[str, Any]) -> None:
    refused = await ecr.refused("InvalidParameter", operation, **parameters)
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400


async def test_a_repository_has_its_names(ecr: Ecr) -> None:
    (found,) = (await ecr.describe_repositories(repositoryNames=["app"]))["repositories"]
    assert found["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
    assert found["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app"
    assert found["imageTagMutability"] == "MUTABLE"
    assert datetime.now(UTC) - found["createdAt"] < timedelta(minutes=1)
    refused = await ecr.refused("RepositoryAlreadyExists", "create_repository", repositoryName="app")
    words = f"The repository with name 'app' already exists in the registry with id '{ACCOUNT}'"
    assert refused["Error"]["Message"] == words


async def test_a_repository_that_is_not_empty_is_deleted_by_force_only(ecr: Ecr, server: Server) -> None:
    await ecr.put_image(repositoryName="app", imageManifest=await ecr.image())
    await ecr.refused("RepositoryNotEmpty", "delete_repository", repositoryName="app")
    deleted = await ecr.delete_repository(repositoryName="app", force=True)
    assert deleted["repository"]["repositoryName"] == "app"
    await ecr.refused("RepositoryNotFound", "list_images", repositoryName="app")


@pytest.mark.parametrize("names", [{"repositoryName": "absent"}, {"repositoryName": "app", "registryId": "1" * 12}])
async def test_an_unknown_repository_is_not_found(ecr: Ecr, names: dict[str, str]) -> None:
    refused = await ecr.refused("RepositoryNotFound", "initiate_layer_upload", **names)
    account = names.get("registryId", ACCOUNT)
    words = f"The repository with name '{names['repositoryName']}' does not exist in the registry with id '{account}'"
    assert refused["Error"]["Message"] == words


async def test_another_accounts_registry_is_out_of_bounds(ecr: Ecr) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await ecr.describe_repositories(registryId="1" * 12)


async def test_a_policy_is_set_read_and_deleted(ecr: Ecr) -> None:
    await ecr.refused("RepositoryPolicyNotFound", "get_repository_policy", repositoryName="app")
    await ecr.set_repository_policy(repositoryName="app", policyText=POLICY)
    assert (await ecr.get_repository_policy(repositoryName="app"))["policyText"] == POLICY
    assert (await ecr.delete_repository_policy(repositoryName="app"))["policyText"] == POLICY
    await ecr.refused("RepositoryPolicyNotFound", "delete_repository_policy", repositoryName="app")


async def test_a_lifecycle_policy_is_put_read_and_deleted(ecr: Ecr) -> None:
    text = '{"rules": [{"rulePriority": 1}]}'.ljust(100)
    names = {"repositoryName": "app"}
    refused = await ecr.refused("LifecyclePolicyNotFound", "get_lifecycle_policy", **names)
    assert "Lifecycle policy does not exist for the repository with name 'app'" in refused["Error"]["Message"]
    await ecr.put_lifecycle_policy(**names, lifecyclePolicyText=text)
    assert (await ecr.get_lifecycle_policy(**names))["lifecyclePolicyText"] == text
    assert (await ecr.delete_lifecycle_policy(**names))["lifecyclePolicyText"] == text
    await ecr.refused("LifecyclePolicyNotFound", "delete_lifecycle_policy", **names)


async def test_a_repository_keeps_the_tags_that_it_was_created_with(ecr: Ecr) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    for name, wanted in (("tagged", tags), ("plain", [])):
        created = await ecr.create_repository(repositoryName=name, tags=wanted)
        arn = created["repository"]["repositoryArn"]
        assert (await ecr.list_tags_for_resource(resourceArn=arn))["tags"] == wanted


async def test_an_operation_that_the_registry_does_not_have_is_unknown(ecr: Ecr) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        await ecr.describe_registry()
