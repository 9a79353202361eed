"""
Journal: how far each upload had come, kept across a kill; and, beside it, what need not be found out twice.

The protocol is narrow (get, put, drop by key), so that a database shared by several machines can stand behind it.
Losing the journal costs the resumption and never the push: `SqliteJournal` says once what is wrong and goes on
without. Knows no registry: a key is a string, a state is a value.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import filelock
import msgspec

T = TypeVar("T")

# Upload ids do not live for ever (how long is not published); older entries only take space.
_KEPT_SECONDS = 14 * 86_400
# Several processes share one journal; each write takes well under a millisecond.
_BUSY_SECONDS = 3.0

# A memory that nobody asked for in a quarter, or that is one too many, the oldest first.
_REMEMBERED_SECONDS = 90 * 86_400
_MOST_MEMORIES = 100_000
_DAY = 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    key TEXT PRIMARY KEY, state BLOB NOT NULL, owner TEXT NOT NULL, updated REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memories (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, used REAL NOT NULL
) STRICT, WITHOUT ROWID
"""
_FORGET = """
DELETE FROM memories WHERE used < (SELECT used FROM memories ORDER BY used DESC LIMIT 1 OFFSET :most) OR used < :before
"""
_PUT = """
INSERT INTO uploads VALUES (:key, :state, :owner, :now)
ON CONFLICT (key) DO UPDATE SET state = :state, updated = :now WHERE owner = :owner
"""


class UploadState(msgspec.Struct, frozen=True, array_like=True):
    """
    An upload session as far as the registry has confirmed it.

    Attributes:
        upload_id: the registry's name of the session.
        part_size: bytes of each part, as the registry asked for.
        offset: bytes confirmed; the next part starts here.
        guard: xxh3-64 over exactly the bytes that were sent, [0, offset).
    """

    upload_id: str
    part_size: Annotated[int, msgspec.Meta(gt=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    guard: int


class Journal(Protocol):
    """Where upload states are kept."""

    async def get(self, key: str) -> UploadState | None:
        """Take over the state under `key`; None when there is none or a live process is at work on it."""

    async def put(self, key: str, state: UploadState) -> None:
        """Record the state, unless a live process holds the key."""

    async def drop(self, key: str) -> None:
        """Forget the state: the upload is complete, or its session is lost."""


class Memory(Protocol):
    """Where is kept what was found out once and does not change; any of it may be forgotten."""

    async def recall(self, key: str) -> bytes | None:
        """What was remembered under `key`."""

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a few bytes under `key`."""


class NoMemory:
    """A memory that keeps nothing."""

    async def recall(self, key: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def remember(self, key: str, value: bytes) -> None:
        pass


class NoJournal:
    """A journal that remembers nothing."""

    async def get(self, key: str) -> UploadState | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def put(self, key: str, state: UploadState) -> None:
        pass

    async def drop(self, key: str) -> None:
        pass


class SqliteJournal:
    """
    A journal, and a memory, in one SQLite file that several processes may share.

    A row belongs to the journal that wrote it for as long as that one's lock file is held; the operating system
    lets go of it when the process dies, however it dies, and the next one to ask takes the row over.
    """

    def __init__(self, path: Path, *, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._owner = uuid.uuid4().hex
        self._alive = filelock.FileLock(self._lock_path(self._owner), thread_local=False)
        self._guard = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._failed = False

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self._path)!r})"

    async def get(self, key: str) -> UploadState | None:
        return await self._run(lambda database: self._take(database, key))

    async def put(self, key: str, state: UploadState) -> None:
        row = {"key": key, "state": msgspec.msgpack.encode(state), "owner": self._owner, "now": time.time()}
        await self._run(lambda database: database.execute(_PUT, row))

    async def drop(self, key: str) -> None:
        statement = "DELETE FROM uploads WHERE key = ? AND owner = ?"
        await self._run(lambda database: database.execute(statement, (key, self._owner)))

    async def recall(self, key: str) -> bytes | None:
        return await self._run(lambda database: self._recall(database, key))

    async def remember(self, key: str, value: bytes) -> None:
        row = (key, value, time.time())
        await self._run(lambda database: database.execute("INSERT OR REPLACE INTO memories VALUES (?, ?, ?)", row))

    async def close(self) -> None:
        """Let go of the file and of the rows: what is unfinished can be taken over at once."""
        await asyncio.to_thread(self._close)

    async def _run(self, step: Callable[[sqlite3.Connection], T]) -> T | None:
        return await asyncio.to_thread(self._step, step)

    def _step(self, step: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._guard:
            if self._failed:
                return None
            try:
                if self._database is None:
                    self._database = self._open()
                return step(self._database)
            except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
                self._failed = True
                self._on_failure(
                    f"journal {self._path}: {error}; this run cannot be resumed (mend or delete the file, "
                    "or name another with --state)"
                )
                return None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Of several that open a new file, SQLite tells all but one that it is locked, without letting them wait.
        turn = self._path.with_name(f"{self._path.name}.opening")
        with filelock.FileLock(turn, timeout=_BUSY_SECONDS, poll_interval=0.005):
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            # WAL with NORMAL keeps every commit across a kill of the process, without a disk flush for each part.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
            database.execute("DELETE FROM uploads WHERE updated < ?", (time.time() - _KEPT_SECONDS,))
            database.execute(_FORGET, {"most": _MOST_MEMORIES - 1, "before": time.time() - _REMEMBERED_SECONDS})
            self._alive.acquire(blocking=False)
        except BaseException:
            database.close()
            raise
        return database

    def _take(self, database: sqlite3.Connection, key: str) -> UploadState | None:
        row = database.execute("SELECT state, owner FROM uploads WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        state, owner = row
        if owner != self._owner:
            if not self._is_gone(owner):
                return None
            # Two that find the same dead owner: the update's own condition lets only one of them win.
            taken = database.execute(
                "UPDATE uploads SET owner = ? WHERE key = ? AND owner = ?", (self._owner, key, owner)
            )
            if taken.rowcount != 1:
                return None
        return msgspec.msgpack.decode(state, type=UploadState)

    def _recall(self, database: sqlite3.Connection, key: str) -> bytes | None:
        row = database.execute("SELECT value, used FROM memories WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, used = row
        if used < (now := time.time()) - _DAY:
            database.execute("UPDATE memories SET used = ? WHERE key = ?", (now, key))
        return bytes(value)

    def _is_gone(self, owner: str) -> bool:
        path = self._lock_path(owner)
        if not path.exists():
            return True
        probe = filelock.FileLock(path, thread_local=False)
        try:
            probe.acquire(blocking=False)
        except filelock.Timeout:
            return False
        probe.release()
        path.unlink(missing_ok=True)
        return True

    def _lock_path(self, owner: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{owner}.lock")

    def _close(self) -> None:
        with self._guard:
            self._failed = True
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._alive.is_locked:
                self._alive.release()
                with contextlib.suppress(OSError):
                    self._lock_path(self._owner).unlink(missing_ok=True)
