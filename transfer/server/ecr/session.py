"""
The context of an operation: a transaction, the settings, the time, and the host that was asked.

Also what all of them share: finding the repository, cutting pages.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from transfer.server.ecr import refusals
from transfer.server.ecr.requests import RepositoryRequest, Request
from transfer.server.settings import Settings
from transfer.server.store import repositories
from transfer.server.store.repositories import Repository
from transfer.server.tokens import make_token, read_token

T = TypeVar("T")

_PAGE = 100  # service model: the default of every maxResults


@dataclass(frozen=True, slots=True)
class Session:
    """One call: `now` is seconds since 1970, `host` what the client reached this server by."""

    connection: sqlite3.Connection
    settings: Settings
    now: float
    host: str

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def repository(self, request: RepositoryRequest) -> Repository:
        """
        Return the repository that a request names.

        Raises:
            ApiError: RepositoryNotFoundException, also for another account's registry.
        """
        return self.named(request.repository_name, request.registry_id)

    def named(self, name: str, registry_id: str | None) -> Repository:
        account = registry_id or self.settings.account
        found = repositories.find(self.connection, name) if account == self.settings.account else None
        if found is None:
            raise refusals.repository_not_found(name, account)
        return found

    def own_registry(self, request: Request, operation: str) -> None:
        """
        Refuse another account's registry.

        Raises:
            ApiError: AccessDeniedException.
        """
        if request.registry_id not in (None, self.settings.account):
            raise refusals.access_denied(operation, self.settings.arn("*"))

    def start(self, scope: Sequence[str | None], token: str | None, first: Sequence[str]) -> list[str]:
        """Behind which entry the page begins that a token asks for."""
        return list(first) if token is None else read_token(self.settings.secret_key, scope, token)

    def next_token(self, scope: Sequence[str | None], last: Sequence[str]) -> str:
        return make_token(self.settings.secret_key, scope, last)


def page_size(max_results: int | None) -> int:
    return _PAGE if max_results is None else max_results


def cut(entries: list[T], size: int) -> tuple[list[T], bool]:
    """Return a page of a list that was read one entry further, and whether there are more."""
    return entries[:size], len(entries) > size
