"""boto3's client of ECR as tests use it, against the embedded registry."""

import asyncio
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from email.message import Message
from typing import Any

import boto3
import pytest
from botocore.config import Config

from transfer.server import Server

MIB = 1024 * 1024
ACCOUNT = "123456789012"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}'


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Ecr:
    """boto3's client, each call in a thread, so that the server's loop goes on."""

    def __init__(self, session: boto3.Session, server: Server, **changed: str) -> None:
        environment = server.environment
        options: dict[str, Any] = {
            "endpoint_url": environment["AWS_ENDPOINT_URL_ECR"],
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            "region_name": environment["AWS_REGION"],
        }
        self.client: Any = session.client("ecr", config=Config(retries={"total_max_attempts": 1}), **options | changed)
        self.exceptions = self.client.exceptions

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**parameters: Any) -> Any:
            return await asyncio.to_thread(getattr(self.client, operation), **parameters)

        return call

    async def pages(self, operation: str, size: int, **parameters: Any) -> list[Any]:
        paginator = self.client.get_paginator(operation)
        return await asyncio.to_thread(list, paginator.paginate(PaginationConfig={"PageSize": size}, **parameters))

    async def refused(self, name: str, operation: str, **parameters: Any) -> Any:
        """The answer to a call that must end in boto3's exception class of this name."""
        with pytest.raises(getattr(self.exceptions, f"{name}Exception")) as caught:
            await getattr(self, operation)(**parameters)
        return caught.value.response

    async def part(self, upload_id: str, first: int, content: bytes, repository: str = "app") -> Any:
        return await self.upload_layer_part(
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(content) - 1,
            layerPartBlob=content,
        )

    async def upload(self, content: bytes, repository: str = "app") -> str:
        upload_id = (await self.initiate_layer_upload(repositoryName=repository))["uploadId"]
        await self.part(upload_id, 0, content, repository)
        digest = digest_of(content)
        await self.complete_layer_upload(repositoryName=repository, uploadId=upload_id, layerDigests=[digest])
        return digest

    async def image(self, seed: str = "1") -> str:
        """Upload what an image needs and return its manifest."""
        blobs = [f'{{"{seed}":1}}'.encode(), seed.encode()]
        names = [{"mediaType": "application/x", "digest": await self.upload(b), "size": len(b)} for b in blobs]
        return manifest(names[0], *names[1:])


def manifest(config: dict[str, Any], *layers: dict[str, Any], **members: Any) -> str:
    named = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(named | members)


def index(*children: str) -> str:
    entries = [{"mediaType": OCI_MANIFEST, "digest": digest_of(c.encode()), "size": len(c)} for c in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def fetch(url: str, **headers: str) -> tuple[int, bytes, Message]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers
