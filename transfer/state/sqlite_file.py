"""
The file of a journal: upload states and memories in SQLite, and the lock files that tell whose process is alive.

A row belongs to the journal that wrote it for as long as that one's lock file is held; the operating system lets go of
it when the process dies, however it dies, and the next one to ask takes the row over. Blocks everywhere, and is called
by one thread at a time.
"""

import contextlib
import sqlite3
import time
import uuid
from pathlib import Path

import filelock
import msgspec

from transfer.state.journal import UploadState

# What any call may raise: a file that is damaged, locked, read-only, or no database at all.
FAILURES = (sqlite3.Error, OSError, msgspec.MsgspecError)

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


class JournalFile:
    """One journal's hold on the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = uuid.uuid4().hex
        self._alive = filelock.FileLock(self._lock_path(self._owner), thread_local=False)
        self._database = self._open()

    def put(self, key: str, state: UploadState) -> None:
        """Record the state, unless another living journal owns the row."""
        row = {"key": key, "state": msgspec.msgpack.encode(state), "owner": self._owner, "now": time.time()}
        self._database.execute(_PUT, row)

    def drop(self, key: str) -> None:
        """Forget the state, if the row is this journal's."""
        self._database.execute("DELETE FROM uploads WHERE key = ? AND owner = ?", (key, self._owner))

    def take(self, key: str) -> UploadState | None:
        """Return the state under `key`, the row being this journal's from now on; None where it is a living one's."""
        row = self._database.execute("SELECT state, owner FROM uploads WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        state, owner = row
        if owner != self._owner:
            if not self._is_gone(owner):
                return None
            # Two that find the same dead owner: the update's own condition lets only one of them win.
            taken = self._database.execute(
                "UPDATE uploads SET owner = ? WHERE key = ? AND owner = ?", (self._owner, key, owner)
            )
            if taken.rowcount != 1:
                return None
        return msgspec.msgpack.decode(state, type=UploadState)

    def recall(self, key: str) -> bytes | None:
        """Return what is remembered under `key`, and keep it for longer."""
        row = self._database.execute("SELECT value, used FROM memories WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, used = row
        if used < (now := time.time()) - _DAY:
            self._database.execute("UPDATE memories SET used = ? WHERE key = ?", (now, key))
        return bytes(value)

    def remember(self, key: str, value: bytes) -> None:
        """Keep it under `key`, instead of what was there."""
        self._database.execute("INSERT OR REPLACE INTO memories VALUES (?, ?, ?)", (key, value, time.time()))

    def close(self) -> None:
        """Let go of the file and of the rows."""
        self._database.close()
        if self._alive.is_locked:
            self._alive.release()
            with contextlib.suppress(OSError):
                self._lock_path(self._owner).unlink(missing_ok=True)

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
