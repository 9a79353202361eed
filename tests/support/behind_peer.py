"""A repository of the embedded registry with a peer before it, pushes through the peer, and what arrived."""

import hashlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.interposer import Interposer, Members, refusal
from tests.support.scripted import listening
from transfer import AwsCredentials, Engine, PushResult, Server, TransferConfig, Unauthorized
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.events import Observer
from transfer.http.transport import Transport
from transfer.model.descriptor import Descriptor
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.testing.images import BuiltImage

if TYPE_CHECKING:
    from mypy_boto3_ecr.literals import ImageTagMutabilityType

# Neither a multiple of three nor of the slices that parts are read in.
PART = 100_000
KEYS = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", region="us-east-1")


def starting(first: int) -> Callable[[Members], bool]:
    """Of parts: whether it begins at this byte."""
    return lambda part: part["partFirstByte"] == first


class Site:
    """
    A repository `app` that pushes reach through a peer only.

    Attributes:
        server: the registry; another object after a restart, with a log of its own.
        between: the peer.
        ecr: somebody else's client, past the peer.
        state: the journal of the pushes.
    """

    def __init__(self, folder: Path, session: AwsSession) -> None:
        self._folder = folder
        self._session = session
        self._resources = AsyncExitStack()
        self._running = AsyncExitStack()
        self.state = folder / "journal.sqlite"
        self.server: Server
        self.between: Interposer
        self.ecr: EcrClient

    async def open(self) -> None:
        self._resources.push_async_callback(self.stop)
        await self.start()
        self.between = Interposer(self.server.url)
        await self._resources.enter_async_context(listening(self.between))
        transport = await self._resources.enter_async_context(Transport())
        config = TransferConfig()
        self.ecr = EcrClient(self._session, transport=transport, retrier=Retrier(config), limits=Limits(config))
        await self.ecr.create_repository(repositoryName="app")

    async def renew(self, mutability: "ImageTagMutabilityType" = "MUTABLE") -> None:
        """Delete the repository with all it has, and create it again."""
        await self.ecr.delete_repository(repositoryName="app", force=True)
        await self.ecr.create_repository(repositoryName="app", imageTagMutability=mutability)

    async def close(self) -> None:
        await self._resources.aclose()

    async def start(self, **settings: Any) -> None:
        """Start the registry on what the one before it kept."""
        server = Server(data=self._folder / "registry", **{"part_size": PART} | settings)
        self.server = await self._running.enter_async_context(server)
        self._session.url = self.server.url

    async def stop(self) -> None:
        await self._running.aclose()

    async def restart(self) -> None:
        """Stop the registry, start it anew on the same data, and lead the peer there."""
        await self.stop()
        await self.start()
        self.between.upstream = self.server.url

    async def save(self) -> None:
        """Keep the registry's state of this moment."""
        await self.stop()
        shutil.copytree(self._folder / "registry", self._folder / "saved")
        await self.start()
        self.between.upstream = self.server.url

    async def roll_back(self) -> None:
        """Restart the registry with the state that was saved: what it confirmed since then is lost."""
        await self.stop()
        shutil.rmtree(self._folder / "registry")
        shutil.copytree(self._folder / "saved", self._folder / "registry")
        await self.start()
        self.between.upstream = self.server.url

    def engine(self, **settings: Any) -> Engine:
        """An engine of its own, patient for a fraction of a second."""
        patience: dict[str, Any] = {"backoff_base": 0.01, "backoff_max": 0.05, "state_path": self.state}
        config = TransferConfig(**patience | settings)
        keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=self.between.url)
        return Engine(config, credentials=keys)

    async def push(
        self, image: BuiltImage, tag: str = "v1", *, observer: Observer | None = None, **settings: Any
    ) -> PushResult:
        async with self.engine(**settings) as engine:
            return await engine.push(image.source, self.name(tag), observer=observer)

    async def push_stopped(self, image: BuiltImage, *, at: int) -> str:
        """Push, have it fail for good at the part that begins there, and forget the requests; its upload id."""
        self.between.on("UploadLayerPart", refusal("AccessDeniedException"), when=starting(at))
        with pytest.raises(Unauthorized):
            await self.push(image)
        upload_id = self.last_upload() if at else ""
        self.server.requests.clear()
        return upload_id

    def name(self, tag: str = "v1") -> str:
        return f"{self.server.registry}/app:{tag}"

    async def add(self, content: bytes) -> None:
        """Upload a blob past the peer."""
        upload_id = (await self.ecr.initiate_layer_upload(repositoryName="app"))["uploadId"]
        await self.add_part(upload_id, 0, content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        await self.ecr.complete_layer_upload(repositoryName="app", uploadId=upload_id, layerDigests=[digest])

    async def add_part(self, upload_id: str, first: int, content: bytes) -> None:
        await self.ecr.upload_layer_part(
            repositoryName="app",
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(content) - 1,
            layerPartBlob=content,
        )

    async def put(self, image: BuiltImage, tag: str = "v1") -> None:
        """Put a manifest whose layers are there under a tag, past the peer."""
        manifest = image.content(image.root).decode()
        await self.ecr.put_image(repositoryName="app", imageManifest=manifest, imageTag=tag)

    async def add_config(self, image: BuiltImage) -> None:
        """Upload the config past the peer, so that only the layers are left."""
        await self.add(image.content(image.blobs[0]))
        self.server.requests.clear()

    async def tags(self) -> dict[str, str]:
        images = self.ecr.list_images(repositoryName="app")
        return {one["imageTag"]: one["imageDigest"] async for one in images if "imageTag" in one}

    async def stored(self, blob: Descriptor) -> bytes:
        """A blob as the registry gives it out."""
        reply = await self.ecr.get_download_url_for_layer(repositoryName="app", layerDigest=blob.digest)
        async with aiohttp.ClientSession() as http, http.get(reply["downloadUrl"]) as response:
            return await response.read()

    async def assert_whole(self, image: BuiltImage, tag: str = "v1") -> None:
        """The tag holds the image, and every blob of it can be read back."""
        assert (await self.tags())[tag] == image.root.digest
        for blob in image.blobs:
            assert await self.stored(blob) == image.content(blob)

    def journal_rows(self) -> int:
        """How many uploads the journal holds."""
        with closing(sqlite3.connect(self.state)) as database:
            return int(database.execute("SELECT count(*) FROM uploads").fetchone()[0])

    def last_upload(self) -> str:
        """The upload id of the part that arrived last."""
        upload_id = self.server.requests.of("UploadLayerPart")[-1].upload_id
        assert upload_id is not None
        return upload_id

    def parts(self) -> list[tuple[int | None, int]]:
        """First byte and status of each part that arrived."""
        return [(one.first_byte, one.status) for one in self.server.requests.of("UploadLayerPart")]


@asynccontextmanager
async def opened(folder: Path, session: AwsSession) -> AsyncIterator[Site]:
    site = Site(folder, copy(session))
    try:
        await site.open()
        yield site
    finally:
        await site.close()
