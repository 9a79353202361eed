"""
The table of operations: what each is called, what it is asked with, and what does it.

An operation on metadata is a function that runs whole inside one transaction; those that move layer bytes are
coroutines of `Uploads`, which opens its transactions itself.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from transfer.server.ecr import images, layers, reading, repositories, requests
from transfer.server.ecr.rules import read_request
from transfer.server.ecr.session import Session
from transfer.server.ecr.uploads import OpenSession, ReceivedPart, Uploads
from transfer.server.settings import Settings
from transfer.server.store import blobs
from transfer.server.store.database import Database
from transfer.server.store.files import Files
from transfer.server.store.uploads import UploadStore
from transfer.server.throttle import Throttle

R = TypeVar("R", bound=msgspec.Struct)

Answer = dict[str, Any]

_PREFIX = "AmazonEC2ContainerRegistry_V20150921."
PART_OPERATION = "UploadLayerPart"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its document, the host and time, and the layer part that came along, if any."""

    document: bytes
    host: str
    now: float
    part: ReceivedPart | None = None


Operation = Callable[["Registry", Call], Awaitable[Answer]]


class Registry:
    """All state of one registry, and the operations on it."""

    def __init__(self, settings: Settings, throttle: Throttle, database: Database, files: Files) -> None:
        self.settings = settings
        self.throttle = throttle
        self.database = database
        self.files = files
        self.upload_store = UploadStore(database, files, settings.upload_ttl)
        self.uploads = Uploads(settings, database, files, self.upload_store)

    async def perform(self, operation: str, call: Call) -> Answer:
        """
        Carry an operation out.

        Raises:
            ApiError: what the operation refuses.
        """
        return await OPERATIONS[operation](self, call)

    def session(self, call: Call) -> OpenSession:
        def opened(connection: sqlite3.Connection) -> Session:
            return Session(connection, self.settings, call.now, call.host)

        return opened

    def remove_unheld(self, connection: sqlite3.Connection) -> None:
        """
        Remove the blobs that a deleted repository was the last to hold.

        Files first: a kill in between leaves rows that the next call removes. The database's one thread keeps this
        apart from uploads that complete.
        """
        for digest in blobs.unheld(connection):
            self.files.remove_blob(digest)
            blobs.remove(connection, digest)


def _on_metadata(kind: type[R], work: Callable[[Session, R], Answer]) -> Operation:
    async def operation(registry: Registry, call: Call) -> Answer:
        request = read_request(call.document, kind)
        open_session = registry.session(call)
        return await registry.database.run(lambda connection: work(open_session(connection), request))

    return operation


async def _delete_repository(registry: Registry, call: Call) -> Answer:
    answer = await _on_metadata(requests.DeleteRepository, repositories.delete_repository)(registry, call)
    await registry.database.run(registry.remove_unheld)
    return answer


async def _initiate(registry: Registry, call: Call) -> Answer:
    request = read_request(call.document, requests.RepositoryRequest)
    return await registry.uploads.initiate(registry.session(call), request, call.now)


async def _add_part(registry: Registry, call: Call) -> Answer:
    request = read_request(call.document, requests.UploadLayerPart)
    assert call.part is not None, "a layer part without its content"  # noqa: S101  # a mistake in this package
    return await registry.uploads.add_part(registry.session(call), request, call.part)


async def _complete(registry: Registry, call: Call) -> Answer:
    request = read_request(call.document, requests.CompleteLayerUpload)
    return await registry.uploads.complete(registry.session(call), request)


OPERATIONS: dict[str, Operation] = {
    "BatchCheckLayerAvailability": _on_metadata(
        requests.BatchCheckLayerAvailability, layers.batch_check_layer_availability
    ),
    "BatchDeleteImage": _on_metadata(requests.BatchDeleteImage, reading.batch_delete_image),
    "BatchGetImage": _on_metadata(requests.BatchGetImage, reading.batch_get_image),
    "CompleteLayerUpload": _complete,
    "CreateRepository": _on_metadata(requests.CreateRepository, repositories.create_repository),
    "DeleteLifecyclePolicy": _on_metadata(requests.RepositoryRequest, repositories.delete_lifecycle_policy),
    "DeleteRepository": _delete_repository,
    "DeleteRepositoryPolicy": _on_metadata(requests.RepositoryRequest, repositories.delete_repository_policy),
    "DescribeImages": _on_metadata(requests.DescribeImages, reading.describe_images),
    "DescribeRepositories": _on_metadata(requests.DescribeRepositories, repositories.describe_repositories),
    "GetAuthorizationToken": _on_metadata(requests.GetAuthorizationToken, layers.get_authorization_token),
    "GetDownloadUrlForLayer": _on_metadata(requests.GetDownloadUrlForLayer, layers.get_download_url_for_layer),
    "GetLifecyclePolicy": _on_metadata(requests.RepositoryRequest, repositories.get_lifecycle_policy),
    "GetRepositoryPolicy": _on_metadata(requests.RepositoryRequest, repositories.get_repository_policy),
    "InitiateLayerUpload": _initiate,
    "ListImageReferrers": _on_metadata(requests.ListImageReferrers, reading.list_image_referrers),
    "ListImages": _on_metadata(requests.ListImages, reading.list_images),
    "ListTagsForResource": _on_metadata(requests.ListTagsForResource, repositories.list_tags_for_resource),
    "PutImage": _on_metadata(requests.PutImage, images.put_image),
    "PutLifecyclePolicy": _on_metadata(requests.PutLifecyclePolicy, repositories.put_lifecycle_policy),
    "SetRepositoryPolicy": _on_metadata(requests.SetRepositoryPolicy, repositories.set_repository_policy),
    PART_OPERATION: _add_part,
}

# By the X-Amz-Target header that asks for them.
TARGETS = {f"{_PREFIX}{name}": name for name in OPERATIONS}
