"""What the `transfer ecr` commands share: the repository, the client, and the output."""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from transfer.cli.display.plain_lines import describe
from transfer.cli.event_loop import run
from transfer.cli.options.common import EcrOptions, timeouts
from transfer.config import TransferConfig
from transfer.errors import InvalidReference
from transfer.events import Event
from transfer.model.reference import parse_reference

if TYPE_CHECKING:
    from transfer.registry.ecr.client import EcrClient

T = TypeVar("T")

# The most digests, image ids or names that one request of the API takes.
BATCH = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The registry and repository that a command is about.

    Attributes:
        repository: its name, or None for a command that is about the registry as a whole.
        registry_id: the account, or None for the caller's own.
        region: or None for what the environment or the profile says.
        fips, dual_stack: the kind of endpoint that a registry's host asks for.
    """

    repository: str | None
    registry_id: str | None
    region: str | None
    fips: bool = False
    dual_stack: bool = False

    def request(self, **members: Any) -> dict[str, Any]:
        """Members of a request to this scope; those that are None are left out."""
        where = {"registryId": self.registry_id, "repositoryName": self.repository}
        return {name: value for name, value in {**where, **members}.items() if value is not None}


def registry_scope(options: EcrOptions) -> Scope:
    """Return the registry that the options name."""
    return Scope(None, options.registry_id, options.region)


def repository_scope(text: str, options: EcrOptions) -> Scope:
    """
    Return the repository of a name or of `HOST/NAME`; a host says the account and the region.

    Raises:
        InvalidReference: it is neither, or a tag or digest follows it, or the host contradicts an option.
    """
    from transfer.registry.ecr.host import parse_ecr_host

    first = text.partition("/")[0].lower()
    host = parse_ecr_host(first)
    if host is None:
        # A repository's name may have dots in its first part, so only what can be nothing but a host is refused.
        if any(mark in first for mark in (".dkr.", ".dkr-ecr", ".amazonaws.", ":", "@")):
            raise InvalidReference(f"repository {text!r}: {first!r} is not the host of an ECR registry")
        return replace(registry_scope(options), repository=_read(text, f"registry.invalid/{text}"))
    _agree(text, "--registry-id", options.registry_id, host.account)
    _agree(text, "--region", options.region, host.region)
    return Scope(_read(text, text), host.account, host.region, host.fips, host.dual_stack)


def _read(text: str, reference: str) -> str:
    try:
        read = parse_reference(reference)
    except InvalidReference as error:
        reason = str(error).partition(f"{reference!r}: ")[2]
        raise InvalidReference(f"repository {text!r}: {reason}") from None
    if read.tag or read.digest:
        raise InvalidReference(f"repository {text!r}: expected a repository without a tag or digest")
    return read.repository


def _agree(text: str, option: str, given: str | None, found: str | None) -> None:
    if given not in (None, found):
        raise InvalidReference(f"repository {text!r}: its host says {found}, but {option} says {given}")


def ask(options: EcrOptions, scope: Scope, job: Callable[["EcrClient"], Awaitable[T]]) -> T:
    """Run a job with a client for the scope; retries are reported on stderr."""
    from transfer.registry.ecr.client import open_ecr

    credentials, config = options.aws.credentials(options.region), TransferConfig(**timeouts())

    async def with_client() -> T:
        async with open_ecr(
            region=scope.region, fips=scope.fips, dual_stack=scope.dual_stack, credentials=credentials, config=config
        ) as client:
            return await job(client.reporting(_observe))

    return run(with_client)


def _observe(event: Event) -> None:
    line = describe(event)
    if line:
        click.echo(line, err=True)


def call(options: EcrOptions, scope: Scope, operation: str, **members: Any) -> dict[str, Any]:
    """Make one request of the API, and return its answer."""

    async def job(client: "EcrClient") -> dict[str, Any]:
        return await client.call(operation, **scope.request(**members))

    return ask(options, scope, job)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items, as many at a time as one request takes."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


def merge(answers: Iterable[Mapping[str, Any]], *lists: str) -> dict[str, list[Any]]:
    """Return one answer out of those to several batches: its lists joined, in their order."""
    every = list(answers)
    return {name: [item for answer in every for item in answer.get(name, ())] for name in lists}


def print_json(answer: Mapping[str, Any]) -> None:
    """The API's answer as the AWS CLI prints it: times in ISO 8601, no metadata of the exchange."""
    document = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    click.echo(json.dumps(document, indent=4, ensure_ascii=False, default=_encode))


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in an answer of the API")
