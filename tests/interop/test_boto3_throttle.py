"""boto3 takes the embedded registry's throttling for what it is, and tries again by itself."""

import asyncio

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from transfer.server import Server


async def test_boto3_sees_a_throttling_error_and_retries_it(session: boto3.Session) -> None:
    async with Server(throttle={"DescribeRepositories": 0.001}) as server:
        environment = server.environment
        client = session.client(
            "ecr",
            endpoint_url=environment["AWS_ENDPOINT_URL_ECR"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
            config=Config(retries={"mode": "standard", "total_max_attempts": 2}),
        )
        try:
            await asyncio.to_thread(client.describe_repositories)
            with pytest.raises(ClientError) as caught:
                await asyncio.to_thread(client.describe_repositories)
        finally:
            client.close()
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["Error"]["Message"]) == ("ThrottlingException", "Rate exceeded")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert answer["ResponseMetadata"]["RetryAttempts"] == 1, "botocore knows it for throttling"
        assert server.requests.count("DescribeRepositories", 400) == 2
