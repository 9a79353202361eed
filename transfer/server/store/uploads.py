"""
Upload sessions: begun, appended to, hashed, kept as blobs; both APIs work on the same ones.

What is appended is written and hashed first and then recorded; only what is recorded was ever answered with success,
so a kill between the two loses nothing and the next piece overwrites what it left. Whoever changes a session holds
its lock, for one piece and never while a body is being read.
"""

import asyncio
import hashlib
import sqlite3
import uuid
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from transfer.model.digest import Digest
from transfer.server.store import blobs
from transfer.server.store.blobs import StoredUpload
from transfer.server.store.database import Database
from transfer.server.store.files import Files, RunningHash


class UploadStore:
    """All upload sessions, with the running hash and the lock of each that is going on."""

    def __init__(self, database: Database, files: Files, lifetime: float) -> None:
        self._database = database
        self._files = files
        self._lifetime = lifetime
        # The hash of so many bytes; one that is lost, to a restart for example, is computed again from the file.
        self._hashes: dict[str, tuple[int, RunningHash]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self, now: float) -> None:
        """Clear away what a killed server left: uploads that expired, and files that no upload owns."""
        known = await self._database.run(self._known, now)
        await self._files.run(self._sweep, known)

    async def begin(self, owner: Callable[[sqlite3.Connection], int], now: float, algorithm: str = "sha256") -> str:
        """
        Begin a session in the repository that `owner` finds or makes, and forget those that expired.

        Args:
            algorithm: which digest the content will most likely be asked for; another one costs reading it again.
        """
        upload_id = str(uuid.uuid4())
        expired = await self._database.run(self._begin, owner, upload_id, now)
        self._hashes[upload_id] = (0, hashlib.new(algorithm))
        for old in expired:
            await self._forget(old)
        return upload_id

    def lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id, asyncio.Lock())

    def find(self, connection: sqlite3.Connection, upload_id: str, repository: int, now: float) -> StoredUpload | None:
        """Return a session of this repository that has not expired."""
        return blobs.find_upload(connection, upload_id, repository, now - self._lifetime)

    async def append(self, upload: StoredUpload, grown: StoredUpload, pieces: Iterable[bytes], now: float) -> bool:
        """Put pieces behind what was received, making the session `grown`; False when it is gone."""
        hasher = await self._hash(upload)
        await self._files.run(self._files.append, upload.id, upload.received, pieces, hasher)
        if not await self._database.run(blobs.save_upload, grown, now):
            await self._forget(upload.id)
            return False
        self._hashes[upload.id] = (grown.received, hasher)
        return True

    async def digest(self, upload: StoredUpload, algorithm: str = "sha256") -> Digest:
        """Return the digest of what was received."""
        hasher = await self._hash(upload)
        if hasher.name != algorithm:
            hasher = await self._files.run(self._files.hash_upload, upload.id, upload.received, algorithm)
        return Digest(f"{algorithm}:{hasher.hexdigest()}")

    async def keep(self, upload: StoredUpload, digest: Digest) -> bool:
        """End a session and make what it received a blob of its repository; False when the repository had that."""
        is_new = await self._database.run(self._keep, upload, digest)
        await self._forget(upload.id)
        return is_new

    async def cancel(self, upload: StoredUpload) -> None:
        """End a session and drop what it received."""
        await self._database.run(blobs.end_upload, upload.id)
        await self._forget(upload.id)

    async def _forget(self, upload_id: str) -> None:
        self._hashes.pop(upload_id, None)
        await self._files.run(self._files.discard, upload_id)

    async def _hash(self, upload: StoredUpload) -> RunningHash:
        """Return a hash of what was received, of which the caller may make what it likes."""
        size, hasher = self._hashes.get(upload.id, (0, hashlib.sha256()))
        if size != upload.received:
            hasher = await self._files.run(self._files.hash_upload, upload.id, upload.received, hasher.name)
            self._hashes[upload.id] = (upload.received, hasher)
        return hasher.copy()

    def _known(self, connection: sqlite3.Connection, now: float) -> set[str]:
        blobs.expire_uploads(connection, now - self._lifetime)
        return blobs.upload_ids(connection)

    def _sweep(self, known: set[str]) -> None:
        for upload_id in self._files.upload_ids():
            if upload_id not in known:
                self._files.discard(upload_id)

    def _begin(
        self, connection: sqlite3.Connection, owner: Callable[[sqlite3.Connection], int], upload_id: str, now: float
    ) -> list[str]:
        blobs.start_upload(connection, upload_id, owner(connection), now)
        return blobs.expire_uploads(connection, now - self._lifetime)

    def _keep(self, connection: sqlite3.Connection, upload: StoredUpload, digest: Digest) -> bool:
        blobs.end_upload(connection, upload.id)
        if blobs.sizes(connection, upload.repository, [digest]):
            return False
        if not blobs.is_held(connection, digest):
            self._files.keep(upload.id, upload.received, digest)
        blobs.add(connection, upload.repository, digest, upload.received)
        return True
