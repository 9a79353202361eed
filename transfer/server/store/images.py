"""Images and tags in the database."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A manifest or index as it was pushed. `size` is of its content, `pushed` in seconds since 1970."""

    digest: str
    manifest: bytes
    media_type: str
    artifact_media_type: str | None
    subject: str | None
    size: int
    pushed: float


def add(
    connection: sqlite3.Connection, repository: int, image: StoredImage, contents: Iterable[tuple[str, str]]
) -> None:
    """Store an image with the (digest, media type) of each blob and manifest that it names."""
    connection.execute(
        "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            repository,
            image.digest,
            image.manifest,
            image.media_type,
            image.artifact_media_type,
            image.subject,
            image.size,
            image.pushed,
        ),
    )
    connection.executemany(
        "INSERT INTO image_contents VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        ((repository, image.digest, content, media_type) for content, media_type in contents),
    )


def find(connection: sqlite3.Connection, repository: int, digest: str) -> StoredImage | None:
    query = (
        "SELECT digest, manifest, media_type, artifact_media_type, subject, size, pushed FROM images "
        "WHERE repository = ? AND digest = ?"
    )
    row = connection.execute(query, (repository, digest)).fetchone()
    return None if row is None else StoredImage(*row)


def sizes(connection: sqlite3.Connection, repository: int, digests: Collection[str]) -> dict[str, int]:
    """Return the sizes of those images that the repository holds."""
    query = "SELECT digest, size FROM images WHERE repository = ? AND digest IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(query, (repository, json.dumps(list(digests)))))


def any_in(connection: sqlite3.Connection, repository: int) -> bool:
    return connection.execute("SELECT 1 FROM images WHERE repository = ? LIMIT 1", (repository,)).fetchone() is not None


def delete(connection: sqlite3.Connection, repository: int, digest: str) -> None:
    """Delete an image with its tags; the blobs it names stay."""
    connection.execute("DELETE FROM images WHERE repository = ? AND digest = ?", (repository, digest))


def naming(connection: sqlite3.Connection, repository: int, digest: str) -> list[str]:
    """Return the images of the repository that name this manifest or blob."""
    query = "SELECT digest FROM image_contents WHERE repository = ? AND content = ? ORDER BY digest"
    return [name for (name,) in connection.execute(query, (repository, digest))]


def referrers(connection: sqlite3.Connection, repository: int, subject: str, after: str) -> Iterator[StoredImage]:
    """Return the images behind a digest whose subject this is, by digest; read as far as they are asked for."""
    query = (
        "SELECT digest, manifest, media_type, artifact_media_type, subject, size, pushed FROM images "
        "WHERE repository = ? AND subject = ? AND digest > ? ORDER BY digest"
    )
    return (StoredImage(*row) for row in connection.execute(query, (repository, subject, after)))


def tag_names(connection: sqlite3.Connection, repository: int, after: str, count: int) -> list[str]:
    """Up to `count` tags behind a name, in the order of their bytes."""
    query = "SELECT tag FROM tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?"
    return [tag for (tag,) in connection.execute(query, (repository, after, count))]


def tagged(connection: sqlite3.Connection, repository: int, tag: str) -> str | None:
    """Return the digest under a tag."""
    query = "SELECT digest FROM tags WHERE repository = ? AND tag = ?"
    row = connection.execute(query, (repository, tag)).fetchone()
    return None if row is None else str(row[0])


def tags_of(connection: sqlite3.Connection, repository: int, digest: str) -> list[str]:
    query = "SELECT tag FROM tags WHERE repository = ? AND digest = ? ORDER BY tag"
    return [tag for (tag,) in connection.execute(query, (repository, digest))]


def set_tag(connection: sqlite3.Connection, repository: int, tag: str, digest: str) -> None:
    connection.execute(
        "INSERT INTO tags VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest",
        (repository, tag, digest),
    )


def remove_tag(connection: sqlite3.Connection, repository: int, tag: str) -> bool:
    """False when there was no such tag."""
    return connection.execute("DELETE FROM tags WHERE repository = ? AND tag = ?", (repository, tag)).rowcount == 1


def page(connection: sqlite3.Connection, repository: int, status: str, after: str, count: int) -> list[StoredImage]:
    """Up to `count` images behind a digest, by digest; `status` is TAGGED, UNTAGGED or ANY."""
    query = (
        "SELECT digest, manifest, media_type, artifact_media_type, subject, size, pushed FROM images "
        "WHERE repository = :repository AND digest > :after AND (:status = 'ANY' OR (:status = 'TAGGED') = EXISTS "
        "(SELECT 1 FROM tags WHERE tags.repository = :repository AND tags.digest = images.digest)) "
        "ORDER BY digest LIMIT :count"
    )
    values = {"repository": repository, "status": status, "after": after, "count": count}
    return [StoredImage(*row) for row in connection.execute(query, values)]


def page_of_names(
    connection: sqlite3.Connection, repository: int, status: str, after: Sequence[str], count: int
) -> list[tuple[str, str]]:
    """Up to `count` pairs of digest and tag (empty for an untagged image) behind one such pair, in that order."""
    query = (
        "SELECT images.digest, ifnull(tag, '') AS name FROM images LEFT JOIN tags USING (repository, digest) "
        "WHERE repository = :repository AND (images.digest, ifnull(tag, '')) > (:digest, :tag) "
        "AND (:status = 'ANY' OR (:status = 'TAGGED') = (tag IS NOT NULL)) ORDER BY images.digest, name LIMIT :count"
    )
    digest, tag = after
    values = {"repository": repository, "status": status, "digest": digest, "tag": tag, "count": count}
    rows: list[Any] = connection.execute(query, values).fetchall()
    return [(found, name) for found, name in rows]
