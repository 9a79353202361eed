"""
The metadata: one SQLite file, one thread that touches it, one transaction for each piece of work.

Work is a function that gets the connection; it runs whole or not at all.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from transfer.errors import InvalidConfig

P = ParamSpec("P")
T = TypeVar("T")

_VERSION = 3
_SCHEMA = """
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL, settings TEXT NOT NULL, policy TEXT,
    lifecycle TEXT, labels TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE repository_blobs (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES blobs,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    received INTEGER NOT NULL DEFAULT 0,
    parts INTEGER NOT NULL DEFAULT 0,
    last_size INTEGER NOT NULL DEFAULT 0,
    undersized INTEGER NOT NULL DEFAULT 0,
    first_size INTEGER NOT NULL DEFAULT 0,
    updated REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_age ON uploads (updated);
CREATE TABLE images (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL,
    manifest BLOB NOT NULL,
    media_type TEXT NOT NULL,
    artifact_media_type TEXT,
    subject TEXT,
    size INTEGER NOT NULL,
    pushed REAL NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX images_by_subject ON images (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE TABLE image_contents (
    repository INTEGER NOT NULL,
    digest TEXT NOT NULL,
    content TEXT NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (repository, content, digest),
    FOREIGN KEY (repository, digest) REFERENCES images ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX image_contents_by_image ON image_contents (repository, digest);
CREATE TABLE tags (
    repository INTEGER NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (repository, tag),
    FOREIGN KEY (repository, digest) REFERENCES images ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX tags_by_image ON tags (repository, digest);
"""

# What makes a file of one version one of the next.
_UPGRADES = {
    1: """
ALTER TABLE uploads ADD COLUMN first_size INTEGER NOT NULL DEFAULT 0;
CREATE INDEX images_by_subject ON images (repository, subject, digest) WHERE subject IS NOT NULL;
""",
    2: """
ALTER TABLE repositories ADD COLUMN lifecycle TEXT;
ALTER TABLE repositories ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
""",
}


class Database:
    """Open with `open`, close with `close`; both and `run` belong to one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry-database")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """
        Open or create the file.

        Raises:
            InvalidConfig: it is no database of this registry.
        """
        await self._in_thread(self._connect)

    async def close(self) -> None:
        await self._in_thread(self._disconnect)
        self._thread.shutdown()

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction of its own: committed when it returns, undone when it raises."""
        return await self._in_thread(lambda: self._transact(work, *args, **kwargs))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _connect(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            # In WAL mode NORMAL is safe against a killed process; only a power cut can take the newest commits.
            connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT")
            while version in _UPGRADES:
                connection.executescript(f"BEGIN; {_UPGRADES[version]} PRAGMA user_version={version + 1}; COMMIT")
                version += 1
        except sqlite3.DatabaseError as error:
            connection.close()
            raise InvalidConfig(f"{self._path}: cannot be used as the registry's database: {error}") from None
        self._connection = connection
        if version not in (0, _VERSION):
            raise InvalidConfig(f"{self._path}: its format is {version}, this version of transfer reads {_VERSION}")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _transact(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        connection = self._connection
        assert connection is not None, "the database is not open"  # noqa: S101  # a mistake in this package
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection, *args, **kwargs)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result
