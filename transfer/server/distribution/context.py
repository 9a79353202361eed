"""One request to `/v2/`: its route, the host that it reached, and what is logged of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from transfer.errors import InvalidDigest
from transfer.model.digest import Digest
from transfer.server.distribution import errors
from transfer.server.distribution.routes import Route
from transfer.server.ecr.operations import Call, Registry
from transfer.server.ecr.repositories import settings_of
from transfer.server.ecr.requests import CreateRepository
from transfer.server.ecr.session import Session
from transfer.server.ecr.uploads import OpenSession
from transfer.server.log import RequestRecord
from transfer.server.store import repositories
from transfer.server.store.blobs import StoredUpload
from transfer.server.store.repositories import Repository

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    The behaviour that differs between registries.

    Attributes:
        handlers: what does each operation.
        patch_status: of a chunk that was taken.
        absolute: whether a Location names the host too.
        tells_upload_id: whether an upload's answers have Docker-Upload-UUID.
        last_byte: what the Range of an upload ends with.
        out_of_order: what a chunk is refused with that begins at this byte.
        expired: what an ECR token behind its end is refused with; None stands for the challenge.
        messages: what is said beside some codes, with {name} and {account}, in place of this project's own words.
    """

    handlers: Mapping[str, "Handler"]
    patch_status: int
    absolute: bool
    tells_upload_id: bool
    last_byte: Callable[[StoredUpload], int]
    out_of_order: Callable[["RequestContext", StoredUpload, int], errors.Refusal]
    expired: Callable[[], errors.Refusal] | None = None
    messages: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RequestContext:
    """A request that was routed and let in; `received` counts the bytes of a blob that it brought."""

    request: web.Request
    registry: Registry
    dialect: Dialect
    route: Route
    now: float
    received: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.route.name

    def location(self, path: str) -> str:
        """Return a place in this repository, or in the registry, as a Location header names it."""
        host = f"http://{self.request.host}" if self.dialect.absolute else ""
        return f"{host}/v2/{self.name}/{path}" if self.name else f"{host}/v2/{path}"

    def open_session(self) -> OpenSession:
        return self.registry.session(Call(b"", self.request.host, self.now))

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction."""
        open_session = self.open_session()
        return await self.registry.database.run(lambda connection: work(open_session(connection)))

    def digest(self, text: str) -> Digest:
        """
        Return a digest that the request names.

        Raises:
            Refusal: DIGEST_INVALID.
        """
        try:
            found = Digest(text)
        except InvalidDigest as error:
            raise errors.digest_invalid(str(error)) from None
        self.facts["digest"] = found
        return found

    def record(self, status: int, code: str | None = None) -> RequestRecord:
        return RequestRecord(
            operation=self.route.operation,
            repository=self.name or None,
            status=status,
            code=code,
            **{"blob_bytes": self.received} | self.facts,
        )


Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]


def existing(session: Session, name: str) -> Repository:
    """
    Return the repository of a name.

    Raises:
        Refusal: NAME_UNKNOWN.
    """
    found = repositories.find(session.connection, name)
    if found is None:
        raise errors.name_unknown(name)
    return found


def writable(session: Session, name: str) -> Repository:
    """As `existing`, for a push: the repository is made where the registry creates on push."""
    found = repositories.find(session.connection, name)
    if found is None and session.settings.create_on_push:
        settings = settings_of(CreateRepository(repository_name=name))
        found = repositories.create(session.connection, name, settings, session.now)
    if found is None:
        raise errors.name_unknown(name)
    return found
