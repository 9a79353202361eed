"""A `boto3.Session` wherever AWS credentials are taken: its keys, its region, and keys that it renews."""

from datetime import UTC, datetime, timedelta

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

from transfer import Engine, TransferConfig, open_ecr, push_image
from transfer.errors import InvalidConfig, Unauthorized
from transfer.registry.ecr.credentials import AwsCredentials
from transfer.server import Server
from transfer.testing.images import ImageBuilder

NO_JOURNAL = TransferConfig(journal=False, max_attempts=1)


@pytest.fixture
def session(server: Server, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """A session with the server's key; the environment has its address alone."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", server.environment["AWS_ENDPOINT_URL_ECR"])
    return boto3.Session(
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


async def test_an_image_is_pushed_with_the_keys_of_a_session(
    server: Server, layout: ImageBuilder, session: boto3.Session
) -> None:
    target = f"{server.registry}/app:v1"
    result = await push_image(layout.image().source, target, config=NO_JOURNAL, session=session, create_repository=True)
    assert result.uploaded.count > 0
    async with Engine(NO_JOURNAL, session=session) as engine:
        again = await engine.push(layout.image().source, target)
    assert (again.uploaded.count, again.digest) == (0, result.digest)


async def test_the_api_is_open_to_a_session_in_its_region(server: Server, session: boto3.Session) -> None:
    async with open_ecr(session=session, config=NO_JOURNAL) as ecr:
        assert ecr.region == "us-east-1"
        await ecr.create_repository(repositoryName="app")
        assert [one["repositoryName"] async for one in ecr.describe_repositories()] == ["app"]


async def test_a_session_with_a_wrong_key_is_refused(
    server: Server, layout: ImageBuilder, session: boto3.Session
) -> None:
    wrong = boto3.Session(aws_access_key_id="transfer", aws_secret_access_key="wrong", region_name="us-east-1")
    with pytest.raises(Unauthorized):
        await push_image(layout.image().source, f"{server.registry}/app:v1", config=NO_JOURNAL, session=wrong)


async def test_keys_that_a_session_renews_are_renewed(server: Server, session: boto3.Session) -> None:
    renewed = 0

    def renew() -> dict[str, str]:
        nonlocal renewed
        renewed += 1
        # Soon enough over for botocore to ask again before each call.
        expiry = datetime.now(UTC) + timedelta(seconds=30)
        return {
            "access_key": server.environment["AWS_ACCESS_KEY_ID"],
            "secret_key": server.environment["AWS_SECRET_ACCESS_KEY"],
            "token": "",
            "expiry_time": expiry.isoformat(),
        }

    inner = botocore.session.get_session()
    inner._credentials = RefreshableCredentials.create_from_metadata(renew(), refresh_using=renew, method="test")  # type: ignore[attr-defined]
    refreshing = boto3.Session(botocore_session=inner, region_name="us-east-1")
    async with open_ecr(session=refreshing, config=NO_JOURNAL) as ecr:
        before = renewed
        await ecr.create_repository(repositoryName="app")
        assert renewed > before


def test_a_session_and_keys_exclude_each_other(session: boto3.Session) -> None:
    with pytest.raises(InvalidConfig, match="boto3 session"):
        AwsCredentials(session=session, profile="other")
