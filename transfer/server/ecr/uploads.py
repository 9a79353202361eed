"""
Layer uploads: initiate, part, complete.

A part is appended to the upload's file, hashed on the way, and then recorded; only what is recorded was ever
answered with success, so a kill between the two loses nothing and the next part overwrites what it left. One call
works on an upload at a time. Does not know HTTP or how a part came in.
"""

import asyncio
import hashlib
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import Any
from weakref import WeakValueDictionary

from transfer.model.digest import Digest
from transfer.server.ecr import refusals
from transfer.server.ecr.requests import CompleteLayerUpload, RepositoryRequest, UploadLayerPart
from transfer.server.ecr.session import Session
from transfer.server.errors import ApiError, invalid_parameter
from transfer.server.settings import LARGEST_PART, Settings
from transfer.server.store import blobs
from transfer.server.store.blobs import Upload
from transfer.server.store.database import Database
from transfer.server.store.files import Files, RunningHash

_MAX_PARTS = 4_200  # service quotas: "Layer parts"


@dataclass(frozen=True, slots=True)
class Part:
    """A part's content. `size` counts all of it, `spool` may hold less when that is more than allowed."""

    spool: SpooledTemporaryFile[bytes]
    size: int


OpenSession = Callable[[sqlite3.Connection], Session]


class Uploads:
    """The upload operations, with the running hash and the lock of each upload that is going on."""

    def __init__(self, settings: Settings, database: Database, files: Files) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        # The hash of so many bytes; one that is lost, to a restart for example, is computed again from the file.
        self._hashes: dict[str, tuple[int, RunningHash]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self, now: float) -> None:
        """Clear away what a killed server left: uploads that expired, and files that no upload owns."""
        known = await self._database.run(self._known, now)
        await self._files.run(self._sweep, known)

    async def initiate(self, open_session: OpenSession, request: RepositoryRequest) -> dict[str, Any]:
        upload_id = str(uuid.uuid4())
        expired = await self._database.run(self._begin, open_session, request, upload_id)
        for old in expired:
            self._hashes.pop(old, None)
            await self._files.run(self._files.discard, old)
        return {"uploadId": upload_id, "partSize": self._settings.part_size}

    async def add_part(self, open_session: OpenSession, request: UploadLayerPart, part: Part) -> dict[str, Any]:
        async with self._lock(request.upload_id):
            upload, now = await self._database.run(self._find, open_session, request)
            check_part(upload, request, part.size, self._settings)
            hasher = await self._hash(upload)
            await self._files.run(self._files.append, upload.id, upload.received, part.spool, hasher)
            grown = grow(upload, part.size, self._settings.smallest_part)
            if not await self._database.run(blobs.save_upload, grown, now):
                raise refusals.upload_not_found(upload.id, request.repository_name, self._settings.account)
            self._hashes[upload.id] = (grown.received, hasher)
        return self._answer(request) | {"lastByteReceived": grown.received - 1}

    async def complete(self, open_session: OpenSession, request: CompleteLayerUpload) -> dict[str, Any]:
        async with self._lock(request.upload_id):
            upload, _ = await self._database.run(self._find, open_session, request)
            if upload.parts == 0:
                raise refusals.empty_upload(upload.id, request.repository_name, self._settings.account)
            if upload.undersized:
                raise refusals.layer_part_too_small()
            digest = Digest(f"sha256:{(await self._hash(upload)).hexdigest()}")
            if digest not in request.layer_digests:
                raise refusals.layer_mismatch()
            is_new = await self._database.run(self._keep, upload, digest)
            self._hashes.pop(upload.id, None)
            await self._files.run(self._files.discard, upload.id)
        if not is_new:
            raise refusals.layer_exists(digest, request.repository_name, self._settings.account)
        return self._answer(request) | {"layerDigest": digest}

    def _answer(self, request: UploadLayerPart | CompleteLayerUpload) -> dict[str, Any]:
        return {
            "registryId": self._settings.account,
            "repositoryName": request.repository_name,
            "uploadId": request.upload_id,
        }

    def _lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id.lower(), asyncio.Lock())

    async def _hash(self, upload: Upload) -> RunningHash:
        """A hash of what was received, of which the caller may make what it likes."""
        size, hasher = self._hashes.get(upload.id, (0, hashlib.sha256()))
        if size != upload.received:
            hasher = await self._files.run(self._files.hash_upload, upload.id, upload.received)
            self._hashes[upload.id] = (upload.received, hasher)
        return hasher.copy()

    def _known(self, connection: sqlite3.Connection, now: float) -> set[str]:
        blobs.expire_uploads(connection, now - self._settings.upload_ttl)
        return blobs.upload_ids(connection)

    def _sweep(self, known: set[str]) -> None:
        for upload_id in self._files.upload_ids():
            if upload_id not in known:
                self._files.discard(upload_id)

    def _begin(
        self, connection: sqlite3.Connection, open_session: OpenSession, request: RepositoryRequest, upload_id: str
    ) -> list[str]:
        session = open_session(connection)
        repository = session.repository(request)
        blobs.start_upload(connection, upload_id, repository.id, session.now)
        return blobs.expire_uploads(connection, session.now - self._settings.upload_ttl)

    def _find(
        self, connection: sqlite3.Connection, open_session: OpenSession, request: UploadLayerPart | CompleteLayerUpload
    ) -> tuple[Upload, float]:
        session = open_session(connection)
        repository = session.repository(request)
        oldest = session.now - self._settings.upload_ttl
        upload = blobs.find_upload(connection, request.upload_id.lower(), repository.id, oldest)
        if upload is None:
            raise refusals.upload_not_found(request.upload_id, repository.name, self._settings.account)
        return upload, session.now

    def _keep(self, connection: sqlite3.Connection, upload: Upload, digest: Digest) -> bool:
        """Turn an upload into a blob of its repository; False when the repository had that blob."""
        blobs.end_upload(connection, upload.id)
        if blobs.sizes(connection, upload.repository, [digest]):
            return False
        if not blobs.is_held(connection, digest):
            self._files.keep(upload.id, upload.received, digest)
        blobs.add(connection, upload.repository, digest, upload.received)
        return True


def check_part(upload: Upload, request: UploadLayerPart, size: int, settings: Settings) -> None:
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


def grow(upload: Upload, size: int, smallest: int) -> Upload:
    """The upload with one more part. Only now is the part before it known not to be the last."""
    return replace(
        upload,
        received=upload.received + size,
        parts=upload.parts + 1,
        last_size=size,
        undersized=upload.undersized or (upload.parts > 0 and upload.last_size < smallest),
    )


def _invalid_part(upload: Upload, request: UploadLayerPart, message: str, settings: Settings) -> ApiError:
    members: dict[str, Any] = {
        "registryId": settings.account,
        "repositoryName": request.repository_name,
        "uploadId": upload.id,
    }
    # Before any byte there is no last valid one; the model's minimum of 0 rules out the -1 that moto gives.
    received = {"lastValidByteReceived": upload.received - 1} if upload.received else {}
    return ApiError("InvalidLayerPartException", message, members=members | received)
