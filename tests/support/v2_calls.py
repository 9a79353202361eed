"""Plain calls of `/v2/`, for tests of the embedded registry that look at the wire."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from transfer.model.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the one error, whose form is checked on the way."""
        assert self.headers["Content-Type"] == "application/json"
        codes = {error["code"] for error in self.json["errors"]}
        assert len(codes) == 1
        return str(codes.pop())


class V2:
    """A client without credentials, redirects or retries; paths are below `/v2/`, or Locations."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.url = URL(url) / "v2/"
        self.session = aiohttp.ClientSession(headers=headers, auto_decompress=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def __call__(
        self, method: str, path: str, data: Any = None, *, query: Sequence[tuple[str, str]] = (), **headers: str
    ) -> Answer:
        place = self.url.join(URL(path)).extend_query(list(query))
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        without = {"Content-Type"} if "Content_Type" not in headers else set()
        async with self.session.request(
            method, place, data=body, headers=named, allow_redirects=False, skip_auto_headers=without
        ) as reply:
            answer = Answer(reply.status, reply.headers, await reply.read())
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        return answer

    async def start(self, name: str = "app", **query: str) -> str:
        """Begin an upload; returns its Location."""
        answer = await self("POST", f"{name}/blobs/uploads/", query=list(query.items()))
        assert answer.status == 202, answer.body
        return answer.headers["Location"]

    async def finish(self, location: str, digest: str, data: bytes | None = None, **headers: str) -> Answer:
        return await self("PUT", location, data, query=[("digest", digest)], **headers)

    async def blob(self, content: bytes, name: str = "app", algorithm: str = "sha256") -> str:
        """Push a blob; returns its digest."""
        digest = digest_of(content, algorithm)
        answer = await self.finish(await self.start(name), digest, content)
        assert answer.status == 201, answer.body
        return digest

    async def manifest(self, document: bytes, reference: str, name: str = "app", kind: str = OCI_MANIFEST) -> Answer:
        return await self("PUT", f"{name}/manifests/{reference}", document, Content_Type=kind)

    async def image(self, tag: str, name: str = "app", **members: Any) -> bytes:
        """Push a small image under a tag; returns its manifest."""
        config, layer = b"{}", tag.encode()
        for content in (config, layer):
            await self.blob(content, name)
        document = image(config, layer, **members)
        answer = await self.manifest(document, tag, name)
        assert answer.status == 201, answer.body
        return document


def descriptor(content: bytes, media_type: str, algorithm: str = "sha256") -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content, algorithm), "size": len(content)}


def image(config: bytes, /, *layers: bytes, algorithm: str = "sha256", **members: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, OCI_CONFIG, algorithm),
        "layers": [descriptor(layer, OCI_LAYER_GZIP, algorithm) for layer in layers],
    }
    return json.dumps(document | members).encode()


def index(*manifests: bytes, **members: Any) -> bytes:
    entries = [descriptor(manifest, OCI_MANIFEST) for manifest in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries} | members).encode()
