"""
Layer uploads: initiate, part, complete.

One call works on an upload at a time.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

from transfer.server.ecr import refusals
from transfer.server.ecr.requests import CompleteLayerUpload, RepositoryRequest, UploadLayerPart
from transfer.server.ecr.session import Session
from transfer.server.errors import ApiError, invalid_parameter
from transfer.server.settings import LARGEST_PART, Settings
from transfer.server.store.blobs import StoredUpload
from transfer.server.store.database import Database
from transfer.server.store.files import Files
from transfer.server.store.uploads import UploadStore

_MAX_PARTS = 4_200  # service quotas: "Layer parts"


@dataclass(frozen=True, slots=True)
class ReceivedPart:
    """A part's content. `size` counts all of it, `spool` may hold less when that is more than allowed."""

    spool: SpooledTemporaryFile[bytes]
    size: int


OpenSession = Callable[[sqlite3.Connection], Session]


class Uploads:
    """The upload operations of the API."""

    def __init__(self, settings: Settings, database: Database, files: Files, store: UploadStore) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._store = store

    async def initiate(self, open_session: OpenSession, request: RepositoryRequest, now: float) -> dict[str, Any]:
        upload_id = await self._store.begin(lambda connection: open_session(connection).repository(request).id, now)
        return {"uploadId": upload_id, "partSize": self._settings.part_size}

    async def add_part(self, open_session: OpenSession, request: UploadLayerPart, part: ReceivedPart) -> dict[str, Any]:
        async with self._store.lock(request.upload_id.lower()):
            upload, now = await self._database.run(self._find, open_session, request)
            check_part(upload, request, part.size, self._settings)
            grown = upload.grown(part.size, self._settings.smallest_part)
            if not await self._store.append(upload, grown, self._files.pieces(part.spool), now):
                raise refusals.upload_not_found(upload.id, request.repository_name, self._settings.account)
        return self._answer(request) | {"lastByteReceived": grown.received - 1}

    async def complete(self, open_session: OpenSession, request: CompleteLayerUpload) -> dict[str, Any]:
        async with self._store.lock(request.upload_id.lower()):
            upload, _ = await self._database.run(self._find, open_session, request)
            if upload.parts == 0:
                raise refusals.empty_upload(upload.id, request.repository_name, self._settings.account)
            if upload.undersized:
                raise refusals.layer_part_too_small()
            digest = await self._store.digest(upload)
            if digest not in request.layer_digests:
                raise refusals.layer_mismatch()
            is_new = await self._store.keep(upload, digest)
        if not is_new:
            raise refusals.layer_exists(digest, request.repository_name, self._settings.account)
        return self._answer(request) | {"layerDigest": digest}

    def _answer(self, request: UploadLayerPart | CompleteLayerUpload) -> dict[str, Any]:
        return {
            "registryId": self._settings.account,
            "repositoryName": request.repository_name,
            "uploadId": request.upload_id,
        }

    def _find(
        self, connection: sqlite3.Connection, open_session: OpenSession, request: UploadLayerPart | CompleteLayerUpload
    ) -> tuple[StoredUpload, float]:
        session = open_session(connection)
        repository = session.repository(request)
        upload = self._store.find(connection, request.upload_id.lower(), repository.id, session.now)
        if upload is None:
            raise refusals.upload_not_found(request.upload_id, repository.name, self._settings.account)
        return upload, session.now


def check_part(upload: StoredUpload, request: UploadLayerPart, size: int, settings: Settings) -> None:
    """
    Whether a part may be the next of its upload.

    Raises:
        ApiError: InvalidLayerPartException when it does not begin where the upload ends or is not as long as it says,
            InvalidParameterException above 20,971,520 bytes, LimitExceededException above 4,200 parts.
    """
    # Unconfirmed which exception it is; ECR answers the maximum of any other field with this one.
    if size > LARGEST_PART:
        raise invalid_parameter("layerPartBlob", f"Member must have length less than or equal to {LARGEST_PART}")
    if request.part_first_byte != upload.received:
        words = f"First byte of the layer part is {request.part_first_byte} instead of {upload.received}"
        raise _invalid_part(upload, request, words, settings)
    claimed = request.part_last_byte - request.part_first_byte + 1
    if claimed != size or size == 0:
        words = f"Size of the layer part is {size} bytes instead of {claimed}"
        raise _invalid_part(upload, request, words, settings)
    if upload.parts >= _MAX_PARTS:
        raise ApiError("LimitExceededException", f"The layer has more than {_MAX_PARTS} parts")


def _invalid_part(upload: StoredUpload, request: UploadLayerPart, message: str, settings: Settings) -> ApiError:
    members: dict[str, Any] = {
        "registryId": settings.account,
        "repositoryName": request.repository_name,
        "uploadId": upload.id,
    }
    # Before any byte there is no last valid one; the model's minimum of 0 rules out the -1 that moto gives.
    received = {"lastValidByteReceived": upload.received - 1} if upload.received else {}
    return ApiError("InvalidLayerPartException", message, members=members | received)
