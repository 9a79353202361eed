"""Unsigned calls of the ECR API, for tests of the embedded registry that look at the wire."""

import asyncio
import base64
import hashlib
import io
import json
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

PREFIX = "AmazonEC2ContainerRegistry_V20150921."


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.code = body["__type"]


class Calls:
    """A client without credentials, retries or a model."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def __call__(self, operation: str, **parameters: Any) -> Any:
        body = json.dumps({"repositoryName": "app"} | parameters).encode()
        return await self.send(operation, io.BytesIO(body))

    async def send(self, operation: str, body: Any, **headers: str) -> Any:
        sent = {"X-Amz-Target": PREFIX + operation} | headers
        async with self._session.post(self._url, data=body, headers=sent) as reply:
            members = json.loads(await reply.read())
            if reply.status != 200:
                raise Refused(reply.status, members)
            return members

    async def part(self, upload_id: str, first: int, content: bytes) -> int:
        """Upload a part; returns the next byte."""
        reply = await self(
            "UploadLayerPart",
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(content) - 1,
            layerPartBlob=base64.b64encode(content).decode(),
        )
        return int(reply["lastByteReceived"]) + 1

    async def start(self) -> str:
        return str((await self("InitiateLayerUpload"))["uploadId"])

    async def complete(self, upload_id: str, digest: str) -> Any:
        return await self("CompleteLayerUpload", uploadId=upload_id, layerDigests=[digest])

    async def upload(self, content: bytes) -> str:
        upload_id, digest = await self.start(), digest_of(content)
        await self.part(upload_id, 0, content)
        await self.complete(upload_id, digest)
        return digest

    async def image(self, tag: str) -> str:
        """Push a small image; returns its manifest."""
        blobs = [b"{}", tag.encode()]
        named = [{"mediaType": "application/x", "digest": await self.upload(blob), "size": len(blob)} for blob in blobs]
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": named[0], "layers": named[1:]})
        await self("PutImage", imageManifest=manifest, imageTag=tag)
        return manifest

    async def availability(self, *digests: str) -> list[str]:
        reply = await self("BatchCheckLayerAvailability", layerDigests=digests)
        return [layer["layerAvailability"] for layer in reply["layers"]]


async def begin_part(url: str, upload_id: str, content: bytes, *, promised: int) -> asyncio.StreamWriter:
    """Send the beginning of a part of `promised` bytes and leave the connection there."""
    place = urlsplit(url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    before = json.dumps(
        {"repositoryName": "app", "uploadId": upload_id, "partFirstByte": 0, "partLastByte": promised - 1}
    )
    body = f'{before[:-1]},"layerPartBlob":"{base64.b64encode(content).decode()}'
    length = len(body) + promised * 4 // 3
    target = f"X-Amz-Target: {PREFIX}UploadLayerPart"
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{target}\r\nContent-Length: {length}\r\n\r\n{body}".encode())
    await writer.drain()
    return writer
