"""A source without files: parts, resumption and verification are those of a layout on disk."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

import pytest
import pytest_asyncio

from tests.support.behind_peer import PART, Site, starting
from tests.support.copying import copy_image, new_sharing
from tests.support.interposer import refusal
from transfer import ContentMismatch, TransferConfig, Unauthorized
from transfer.concurrency.limits import Limits
from transfer.concurrency.retry import Retrier
from transfer.engine.copy import Copied
from transfer.http.transport import Transport
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.state.sqlite_journal import SqliteJournal
from transfer.testing.images import blocks
from transfer.testing.memory import MemorySource

SIZE = 4 * PART + 7
LAYER = b"".join(blocks(SIZE, 1))
CONFIG = b'{"architecture": "amd64", "os": "linux"}'


class Stream:
    """One image in memory, copied through the peer."""

    def __init__(self, site: Site, session: AwsSession) -> None:
        self.source = MemorySource()
        self.layer = self.source.add_blob(LAYER, OCI_LAYER_GZIP)
        named = [self._named(self.source.add_blob(CONFIG, OCI_CONFIG)), self._named(self.layer)]
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named[0], "layers": named[1:]}
        self._root = self.source.add_manifest(json.dumps(document).encode())
        self._site = site
        self._session = copy(session)
        self._session.url = site.between.url

    @staticmethod
    def _named(blob: Descriptor) -> dict[str, object]:
        return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}

    async def copy(self) -> Copied:
        async with self._target() as (target, limits):
            return await copy_image(self.source, self._root, target, tag="v1", sharing=new_sharing(limits))

    async def copy_stopped(self, *, at: int) -> None:
        self._site.between.on("UploadLayerPart", refusal("AccessDeniedException"), when=starting(at))
        with pytest.raises(Unauthorized):
            await self.copy()
        self._site.server.requests.clear()

    @asynccontextmanager
    async def _target(self) -> AsyncIterator[tuple[EcrTarget, Limits]]:
        config = TransferConfig(backoff_base=0.01, backoff_max=0.05)
        limits, journal = Limits(config), SqliteJournal(self._site.state, on_failure=pytest.fail)
        async with Transport(config) as transport:
            client = EcrClient(self._session, transport=transport, retrier=Retrier(config), limits=limits)
            uploads = UploadSite("app", client, "123456789012", "app", journal, limits.bytes, limits.steps)
            try:
                yield EcrTarget(uploads, known=set()), limits
            finally:
                await journal.close()


@pytest_asyncio.fixture
async def stream(site: Site, aws_session: AwsSession) -> Stream:
    await site.add(CONFIG)
    site.server.requests.clear()
    return Stream(site, aws_session)


async def test_a_stream_arrives_whole(site: Site, stream: Stream) -> None:
    copied = await stream.copy()
    assert site.parts() == [(first, 200) for first in range(0, SIZE, PART)]
    assert copied.blobs[1].sent == SIZE
    assert await site.stored(stream.layer) == LAYER


async def test_a_stream_continues_inside_its_layer(site: Site, stream: Stream) -> None:
    await stream.copy_stopped(at=3 * PART)
    copied = await stream.copy()
    assert site.parts() == [(3 * PART, 200), (4 * PART, 200)]
    assert (copied.blobs[1].status, copied.blobs[1].resumed) == ("resumed", 3 * PART)
    assert await site.stored(stream.layer) == LAYER


async def test_a_stream_moves_back_with_its_registry(site: Site, stream: Stream) -> None:
    await stream.copy_stopped(at=PART)
    await site.save()
    await stream.copy_stopped(at=3 * PART)
    await site.roll_back()
    await stream.copy()
    assert site.parts() == [(3 * PART, 400), *((first, 200) for first in range(PART, SIZE, PART))]
    assert await site.stored(stream.layer) == LAYER


@pytest.mark.parametrize("at", [5, SIZE - 1])
async def test_a_stream_with_other_content_is_refused_before_complete(site: Site, stream: Stream, at: int) -> None:
    damaged = bytearray(LAYER)
    damaged[at] ^= 1
    stream.source.blobs[stream.layer.digest] = bytes(damaged)
    with pytest.raises(ContentMismatch, match=f"memory:{stream.layer.digest}"):
        await stream.copy()
    assert site.server.requests.count("CompleteLayerUpload") == 0
    assert await site.tags() == {}


async def test_a_stream_that_changed_between_the_runs_starts_over(site: Site, stream: Stream) -> None:
    right, wrong = LAYER, bytes(PART) + LAYER[PART:]
    stream.source.blobs[stream.layer.digest] = wrong
    await stream.copy_stopped(at=2 * PART)
    stream.source.blobs[stream.layer.digest] = right
    copied = await stream.copy()
    assert copied.blobs[1].sent == (SIZE - 2 * PART) + SIZE, "only the registry's digest could tell, at the end"
    assert await site.stored(stream.layer) == LAYER
