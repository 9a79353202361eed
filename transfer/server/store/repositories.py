"""Repositories in the database."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Repository:
    id: int
    name: str
    created: float
    settings: dict[str, Any]


def create(connection: sqlite3.Connection, name: str, settings: dict[str, Any], now: float) -> Repository | None:
    """None when the name is taken."""
    cursor = connection.execute(
        "INSERT INTO repositories (name, created, settings) VALUES (?, ?, ?) "
        "ON CONFLICT DO NOTHING RETURNING id, name, created, settings",
        (name, now, msgspec.json.encode(settings).decode()),
    )
    return _one(cursor)


def find(connection: sqlite3.Connection, name: str) -> Repository | None:
    return _one(connection.execute("SELECT id, name, created, settings FROM repositories WHERE name = ?", (name,)))


def page(connection: sqlite3.Connection, after: str, count: int) -> list[Repository]:
    """Up to `count` repositories behind a name, by name."""
    query = "SELECT id, name, created, settings FROM repositories WHERE name > ? ORDER BY name LIMIT ?"
    return [_repository(row) for row in connection.execute(query, (after, count))]


def delete(connection: sqlite3.Connection, repository: Repository) -> None:
    """Delete a repository with its images, uploads and hold on blobs."""
    connection.execute("DELETE FROM repositories WHERE id = ?", (repository.id,))


def policy(connection: sqlite3.Connection, repository: Repository) -> str | None:
    """Return the repository policy."""
    return _text(connection, "SELECT policy FROM repositories WHERE id = ?", repository)


def set_policy(connection: sqlite3.Connection, repository: Repository, text: str | None) -> None:
    connection.execute("UPDATE repositories SET policy = ? WHERE id = ?", (text, repository.id))


def lifecycle(connection: sqlite3.Connection, repository: Repository) -> str | None:
    """Return the lifecycle policy, which is stored but not applied."""
    return _text(connection, "SELECT lifecycle FROM repositories WHERE id = ?", repository)


def set_lifecycle(connection: sqlite3.Connection, repository: Repository, text: str | None) -> None:
    connection.execute("UPDATE repositories SET lifecycle = ? WHERE id = ?", (text, repository.id))


def labels(connection: sqlite3.Connection, repository: Repository) -> dict[str, str]:
    """Return the resource tags."""
    text = _text(connection, "SELECT labels FROM repositories WHERE id = ?", repository)
    return msgspec.json.decode(text or "{}", type=dict[str, str])


def set_labels(connection: sqlite3.Connection, repository: Repository, named: dict[str, str]) -> None:
    text = msgspec.json.encode(named).decode()
    connection.execute("UPDATE repositories SET labels = ? WHERE id = ?", (text, repository.id))


def _text(connection: sqlite3.Connection, query: str, repository: Repository) -> str | None:
    (text,) = connection.execute(query, (repository.id,)).fetchone()
    return text if isinstance(text, str) else None


def _one(cursor: sqlite3.Cursor) -> Repository | None:
    row = cursor.fetchone()
    return None if row is None else _repository(row)


def _repository(row: Sequence[Any]) -> Repository:
    number, name, created, settings = row
    return Repository(number, name, created, msgspec.json.decode(settings, type=dict[str, Any]))
