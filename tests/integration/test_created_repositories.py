"""Repositories of ECR that are missing and created on the way, counted and looked at on the server."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from transfer import AwsCredentials, Engine, RepositorySettings, Server, TransferConfig, TransferError, open_ecr
from transfer.endpoints.registry_access import RegistryAccess
from transfer.mirror import CreateRepository, MirrorConfig, MirrorReport, MirrorRule, RegistryConfig, mirror
from transfer.mirror.config.settings import Encryption
from transfer.registry.ecr.create_repository import creation, policies
from transfer.testing.images import ImageBuilder

IMAGES = 20
LIFECYCLE = json.dumps(
    {"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan"}}]}
)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}]})
SETTINGS = RepositorySettings(
    tags=(("team", "blue"), ("cost", "7")),
    mutability="IMMUTABLE_WITH_EXCLUSION",
    mutability_exclude=("dev-*",),
    encryption="KMS",
    kms_key="arn:aws:kms:us-east-1:123456789012:key/1",
    scan_on_push=True,
    lifecycle_policy=LIFECYCLE,
    repository_policy=POLICY,
)
CREATING = ("CreateRepository", "PutLifecyclePolicy", "SetRepositoryPolicy")


def credentials(server: Server) -> AwsCredentials:
    return AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)


def engine(server: Server) -> Engine:
    return Engine(TransferConfig(journal=False, backoff_base=0.01), credentials=credentials(server))


def counts(server: Server, *operations: str) -> Counter[str]:
    return Counter(record.operation for record in server.requests if record.operation in operations)


async def stored(server: Server, name: str) -> dict[str, Any]:
    """All that the registry knows of a repository's settings."""
    async with open_ecr(region="us-east-1", credentials=credentials(server)) as ecr:
        (shown,) = [one async for one in ecr.describe_repositories(repositoryNames=[name])]
        names = {"repositoryName": name}
        return {
            **shown,
            "tags": (await ecr.call("ListTagsForResource", resourceArn=shown["repositoryArn"]))["tags"],
            "lifecycle": (await ecr.call("GetLifecyclePolicy", **names))["lifecyclePolicyText"],
            "policy": (await ecr.call("GetRepositoryPolicy", **names))["policyText"],
        }


def check_stored(found: dict[str, Any]) -> None:
    assert found["tags"] == [{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "7"}]
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "dev-*"}]
    assert found["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": SETTINGS.kms_key}
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert (found["lifecycle"], found["policy"]) == (LIFECYCLE, POLICY)


def test_settings_that_are_left_out_are_the_registrys_own() -> None:
    assert creation(RepositorySettings()) == {}
    assert policies(RepositorySettings()) == {}
    assert creation(RepositorySettings(encryption="AES256")) == {
        "encryptionConfiguration": {"encryptionType": "AES256"}
    }


@pytest.mark.parametrize("protocol", ["api", "registry"])
async def test_twenty_images_into_one_missing_repository_create_it_once(protocol: Any, layout: ImageBuilder) -> None:
    images = [layout.image([10], seed=number, tag=f"v{number}") for number in range(IMAGES)]
    async with Server(dialect="ecr") as server:
        async with engine(server) as pushing:
            await asyncio.gather(
                *(
                    pushing.push(
                        image.source,
                        f"{server.registry}/team/app:{image.tag}",
                        create_repository=SETTINGS,
                        ecr_protocol=protocol,
                    )
                    for image in images
                )
            )
        assert counts(server, *CREATING) == dict.fromkeys(CREATING, 1)
        assert server.requests.count("DescribeRepositories") == (1 if protocol == "registry" else 0)
        check_stored(await stored(server, "team/app"))


async def test_a_repository_that_somebody_else_creates_meanwhile_keeps_its_policies(
    server: Server, layout: ImageBuilder
) -> None:
    images = [layout.image([10], seed=number, tag=f"v{number}") for number in range(2)]
    async with engine(server) as one, engine(server) as other:
        await asyncio.gather(
            *(
                pushing.push(image.source, f"{server.registry}/app:{image.tag}", create_repository=SETTINGS)
                for pushing, image in zip((one, other), images, strict=True)
            )
        )
    assert counts(server, *CREATING[1:]) == dict.fromkeys(CREATING[1:], 1)
    assert server.requests.count("CreateRepository", 200) == 1


async def test_a_repository_that_was_deleted_again_is_created_again(server: Server, layout: ImageBuilder) -> None:
    async with engine(server) as pushing, open_ecr(region="us-east-1", credentials=credentials(server)) as ecr:
        for seed in (1, 2):
            image = layout.image([10], seed=seed, tag=f"v{seed}")
            await pushing.push(image.source, f"{server.registry}/app:v1", create_repository=True)
            await ecr.delete_repository(repositoryName="app", force=True)
    assert server.requests.count("CreateRepository", 200) == 2


async def test_a_policy_that_is_refused_is_named_with_what_was_created(server: Server, layout: ImageBuilder) -> None:
    wrong = RepositorySettings(repository_policy='{"Statement": []}')
    async with engine(server) as pushing:
        with pytest.raises(TransferError, match="SetRepositoryPolicy app: ") as caught:
            await pushing.push(layout.image().source, f"{server.registry}/app:v1", create_repository=wrong)
    assert caught.value.__notes__ == ["app was created, and is left without that policy"]
    assert server.requests.count("InitiateLayerUpload") == 0


async def test_a_push_that_is_cancelled_while_it_creates_leaves_the_others_to_it(
    server: Server, layout: ImageBuilder
) -> None:
    image = layout.image()
    async with engine(server) as pushing:
        target = f"{server.registry}/app:v1"
        first = asyncio.create_task(pushing.push(image.source, target, create_repository=SETTINGS))
        second = asyncio.create_task(pushing.push(image.source, target, create_repository=SETTINGS))
        while not server.requests.count("CreateRepository"):
            await asyncio.sleep(0)
        first.cancel()
        assert (await second).digest == image.root.digest
        with pytest.raises(asyncio.CancelledError):
            await first


CREATE = CreateRepository(
    tags=dict(SETTINGS.tags),
    mutability="IMMUTABLE_WITH_EXCLUSION",
    mutability_exclude=("dev-*",),
    encryption=Encryption(type="KMS", kms_key=SETTINGS.kms_key),
    scan_on_push=True,
    lifecycle_policy=LIFECYCLE,
    repository_policy=POLICY,
)


async def mirrored(server: Server, create: CreateRepository | None, state: Path) -> MirrorReport:
    source = server.url.removeprefix("http://")
    mapping = MirrorRule(source=f"{source}/source", targets=(f"{server.registry}/target",), create=create)
    return await mirror(
        MirrorConfig(mappings=(mapping,)),
        limits=TransferConfig(state_path=state, backoff_base=0.01),
        credentials=credentials(server),
        accesses={source: RegistryAccess(login="transfer:transfer")},
    )


async def test_a_mirror_creates_what_is_missing_as_its_configuration_says(
    server: Server, layout: ImageBuilder, tmp_path: Path
) -> None:
    async with engine(server) as pushing:
        for number in range(IMAGES):
            image = layout.image([10], seed=number, tag=f"v{number}")
            await pushing.push(image.source, f"{server.registry}/source:v{number}", create_repository=True)
    report = await mirrored(server, None, tmp_path / "state")
    assert (report.counts, server.requests.count("CreateRepository")) == ({"failed": IMAGES}, 1)
    assert "give 'create' in the mapping" in report.failed[0].notes[0]
    server.requests.clear()
    report = await mirrored(server, CREATE, tmp_path / "state")
    assert report.counts == {"copied": IMAGES}
    assert counts(server, *CREATING) == dict.fromkeys(CREATING, 1)
    check_stored(await stored(server, "target"))


async def test_a_configuration_sends_a_registrys_requests_to_its_endpoint(
    server: Server, layout: ImageBuilder, tmp_path: Path
) -> None:
    async with engine(server) as pushing:
        await pushing.push(layout.image([10]).source, f"{server.registry}/source:v1", create_repository=True)
    mapping = MirrorRule(source=f"{server.registry}/source", targets=(f"{server.registry}/target",), create=CREATE)
    report = await mirror(
        MirrorConfig(mappings=(mapping,), registries={server.registry: RegistryConfig(endpoint_url=server.url)}),
        limits=TransferConfig(state_path=tmp_path / "state", backoff_base=0.01),
        credentials=AwsCredentials(access_key_id="transfer", secret_access_key="transfer"),
    )
    assert report.counts == {"copied": 1}
