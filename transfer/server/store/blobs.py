"""Blobs and upload sessions in the database."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

from transfer.model.digest import Digest


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """
    An upload session.

    Attributes:
        received: bytes that were answered with success.
        parts: how many parts they came in.
        last_size: of the newest part.
        undersized: a part with another one behind it was smaller than allowed.
        first_size: of the first part.
    """

    id: str
    repository: int
    received: int = 0
    parts: int = 0
    last_size: int = 0
    undersized: bool = False
    first_size: int = 0

    def grown(self, size: int, smallest: int, *, goes_on: bool = False) -> Self:
        """
        Return the session with so many bytes more, as one more part or, where it `goes_on`, as more of its newest.

        Only another part tells that the part before it was not the last.
        """
        undersized = self.parts > 0 and not goes_on and self.last_size < smallest
        parts = self.parts if goes_on else self.parts + 1
        return replace(
            self,
            received=self.received + size,
            parts=parts,
            last_size=size + (self.last_size if goes_on else 0),
            undersized=self.undersized or undersized,
            first_size=self.first_size + (size if parts == 1 else 0),
        )


def start_upload(connection: sqlite3.Connection, upload_id: str, repository: int, now: float) -> None:
    connection.execute(
        "INSERT INTO uploads (id, repository, updated) VALUES (?, ?, ?)",
        (upload_id, repository, now),
    )


def find_upload(connection: sqlite3.Connection, upload_id: str, repository: int, oldest: float) -> StoredUpload | None:
    """Return an upload of this repository that was used at `oldest` or later."""
    row = connection.execute(
        "SELECT id, repository, received, parts, last_size, undersized, first_size FROM uploads "
        "WHERE id = ? AND repository = ? AND updated >= ?",
        (upload_id, repository, oldest),
    ).fetchone()
    return None if row is None else StoredUpload(*row)


def save_upload(connection: sqlite3.Connection, upload: StoredUpload, now: float) -> bool:
    """Record what an upload has received; False when it is gone."""
    cursor = connection.execute(
        "UPDATE uploads SET received = ?, parts = ?, last_size = ?, undersized = ?, first_size = ?, updated = ? "
        "WHERE id = ?",
        (upload.received, upload.parts, upload.last_size, upload.undersized, upload.first_size, now, upload.id),
    )
    return cursor.rowcount == 1


def end_upload(connection: sqlite3.Connection, upload_id: str) -> None:
    connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def expire_uploads(connection: sqlite3.Connection, oldest: float) -> list[str]:
    """Forget the uploads last used before `oldest`; returns their ids."""
    rows = connection.execute("DELETE FROM uploads WHERE updated < ? RETURNING id", (oldest,)).fetchall()
    return [upload_id for (upload_id,) in rows]


def upload_ids(connection: sqlite3.Connection) -> set[str]:
    return {upload_id for (upload_id,) in connection.execute("SELECT id FROM uploads")}


def is_held(connection: sqlite3.Connection, digest: Digest) -> bool:
    """Return whether any repository holds a blob."""
    return connection.execute("SELECT 1 FROM repository_blobs WHERE digest = ?", (digest,)).fetchone() is not None


def add(connection: sqlite3.Connection, repository: int, digest: Digest, size: int) -> None:
    connection.execute("INSERT INTO blobs VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, size))
    connection.execute("INSERT INTO repository_blobs VALUES (?, ?) ON CONFLICT DO NOTHING", (repository, digest))


def held_size(connection: sqlite3.Connection, digest: Digest, repository: int | None) -> int | None:
    """Return the size of a blob, if this repository holds it, or, without one, if any does."""
    query = (
        "SELECT size FROM repository_blobs JOIN blobs USING (digest) "
        "WHERE digest = :digest AND (:repository IS NULL OR repository = :repository) LIMIT 1"
    )
    row = connection.execute(query, {"digest": digest, "repository": repository}).fetchone()
    return None if row is None else int(row[0])


def release(connection: sqlite3.Connection, repository: int, digest: Digest) -> bool:
    """End a repository's hold on a blob; False when it had none."""
    query = "DELETE FROM repository_blobs WHERE repository = ? AND digest = ?"
    return connection.execute(query, (repository, digest)).rowcount == 1


def unheld(connection: sqlite3.Connection) -> list[Digest]:
    """Return the blobs that no repository holds."""
    query = "SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM repository_blobs)"
    return [Digest(digest) for (digest,) in connection.execute(query)]


def remove(connection: sqlite3.Connection, digest: Digest) -> None:
    connection.execute("DELETE FROM blobs WHERE digest = ?", (digest,))


def sizes(connection: sqlite3.Connection, repository: int, digests: Collection[str]) -> dict[str, int]:
    """Return the sizes of those blobs that the repository holds."""
    query = (
        "SELECT digest, size FROM repository_blobs JOIN blobs USING (digest) "
        "WHERE repository = ? AND digest IN (SELECT value FROM json_each(?))"
    )
    return dict(connection.execute(query, (repository, _json(digests))))


def media_types(connection: sqlite3.Connection, repository: int, digests: Collection[str]) -> dict[str, str]:
    """Return the media types that a repository's manifests give these digests; others are left out."""
    query = (
        "SELECT content, min(media_type) FROM image_contents "
        "WHERE repository = ? AND content IN (SELECT value FROM json_each(?)) GROUP BY content"
    )
    return dict(connection.execute(query, (repository, _json(digests))))


def _json(digests: Collection[str]) -> str:
    # One JSON text instead of a parameter each, of which older SQLite takes 999.
    return json.dumps(list(digests))
