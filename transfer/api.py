"""
The library's front door: `push_image`, and the `Engine` that shares connections between calls.

Puts the ends, the limits and the algorithm together, and reads what a reference means. Knows no terminal, and reads
nothing of the environment but what botocore and the platform's folders read.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs

from transfer.engine.config import TransferConfig
from transfer.engine.content import BlobSent
from transfer.engine.copy import ImageCopy, Tally
from transfer.engine.events import Notice, Observer
from transfer.engine.journal import Journal, NoJournal, SqliteJournal
from transfer.engine.limits import Flights, Limits
from transfer.engine.result import PushResult
from transfer.engine.retry import Retrier
from transfer.errors import ContentMismatch, InvalidReference
from transfer.local.layout import LayoutSource, parse_layout_reference
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference
from transfer.registry.ecr.aws import AwsCredentials, AwsSession
from transfer.registry.ecr.client import EcrClient
from transfer.registry.ecr.host import EcrHost, parse_ecr_host
from transfer.registry.ecr.target import EcrTarget
from transfer.registry.ecr.upload import UploadSite
from transfer.registry.transport import Transport


async def push_image(
    source: str,
    target: str,
    *,
    config: TransferConfig | None = None,
    credentials: AwsCredentials | None = None,
    observer: Observer | None = None,
) -> PushResult:
    """
    Push one image into a registry, continuing inside its layers where an earlier push was stopped.

    Args:
        source: `oci:DIR[:TAG]` or `oci:DIR@sha256:…`, an OCI image layout.
        target: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY[:TAG]`, or `…@DIGEST` to push without a tag; the
            tag is `latest` where neither is given.
        config: limits, retry and the place of the journal.
        credentials: instead of the AWS credential chain's.
        observer: called with each event, in the event loop; it must return at once.

    Raises:
        TransferError: with nothing changed under the tag; its class says what happened, see `transfer.errors`.
    """
    async with Engine(config, credentials=credentials) as engine:
        return await engine.push(source, target, observer=observer)


class Engine:
    """
    Shares connections, credentials, limits, the journal and known blobs between pushes.

        async with Engine() as engine:
            await engine.push("oci:build:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1")

    Pushes may run at the same time: what two of them need in one repository is uploaded once.
    """

    def __init__(self, config: TransferConfig | None = None, *, credentials: AwsCredentials | None = None) -> None:
        self._config = config or TransferConfig()
        self._credentials = credentials
        self._limits = Limits(self._config)
        self._flights: Flights[BlobSent] = Flights()
        self._retrier = Retrier(self._config)
        self._exit = AsyncExitStack()
        self._transport: Transport | None = None
        self._connecting = asyncio.Lock()
        self._clients: dict[EcrHost, EcrClient] = {}
        self._known: dict[str, set[Digest]] = {}
        self._journal: Journal = NoJournal()
        self._notices: list[str] = []

    async def __aenter__(self) -> Self:
        self._transport = await self._exit.enter_async_context(Transport(self._config))
        if self._config.journal:
            path = self._config.state_path or default_state_path()
            journal = SqliteJournal(path, on_failure=self._notices.append)
            self._exit.push_async_callback(journal.close)
            self._journal = journal
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def push(
        self, source: str, target: str, *, create_repository: bool = False, observer: Observer | None = None
    ) -> PushResult:
        """
        Push one image; arguments and errors as of `push_image`.

        Args:
            create_repository: create the repository when it is missing, with the registry's default settings.
        """
        began = time.monotonic()
        tally = Tally(observer)
        layout, choice = read_source(source)
        reference, host = read_target(target)
        root = await layout.resolve(choice)
        if reference.digest not in (None, root.digest):
            raise ContentMismatch(
                f"{source}: its digest is {root.digest}, and the target asks for {reference.digest}", side="source"
            )
        end = await self._target(reference, host, tally, create_repository=create_repository)
        image = ImageCopy(layout, end, limits=self._limits, flights=self._flights, notify=tally)
        try:
            copied = await image.run(root, tag=reference.tag)
        finally:
            while self._notices:
                tally(Notice(self._notices.pop()))
        return PushResult(
            digest=copied.digest,
            reference=str(reference.at(copied.digest)),
            blobs=copied.blobs,
            retries=tally.retries,
            seconds=time.monotonic() - began,
        )

    async def _target(self, reference: Reference, host: EcrHost, tally: Tally, *, create_repository: bool) -> EcrTarget:
        client = (await self._client(host)).reporting(tally)
        key = f"{client.url} {host.account}/{reference.repository}"
        site = UploadSite(
            key=key,
            client=client,
            registry_id=host.account,
            repository=reference.repository,
            journal=self._journal,
            bytes_in_flight=self._limits.bytes,
        )
        return EcrTarget(site, known=self._known.setdefault(key, set()), create_repository=create_repository)

    async def _client(self, host: EcrHost) -> EcrClient:
        """The client for a host's region and kind of endpoint; accounts share it."""
        if self._transport is None:
            raise RuntimeError("use the engine in 'async with Engine() as engine'")
        place = replace(host, account="")
        async with self._connecting:
            if place not in self._clients:
                session = await AwsSession.load(
                    self._credentials, region=host.region, fips=host.fips, dual_stack=host.dual_stack
                )
                self._clients[place] = EcrClient(
                    session, transport=self._transport, retrier=self._retrier, limits=self._limits
                )
        return self._clients[place]


def default_state_path() -> Path:
    """The journal's place where none is named: the platform's folder for state."""
    return platformdirs.user_state_path("transfer") / "journal.sqlite"


def read_source(text: str) -> tuple[LayoutSource, str | None]:
    """
    The end that a source's spelling names, and the tag or digest in it.

    Raises:
        InvalidReference: it is not spelled as a source.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind != "oci":
        raise InvalidReference(f"source {text!r}: expected an OCI image layout, as in oci:DIR:TAG", side="source")
    path, choice = parse_layout_reference(rest)
    return LayoutSource(path), choice


def read_target(text: str) -> tuple[Reference, EcrHost]:
    """
    The repository, tag or digest that a target's spelling names, and the ECR registry in it.

    Raises:
        InvalidReference: it is not a reference, or its host is not one of ECR.
    """
    try:
        reference = parse_reference(text.removeprefix("docker://"))
    except InvalidReference as error:
        error.side = "target"
        raise
    host = parse_ecr_host(reference.registry)
    if host is None:
        raise InvalidReference(
            f"target {text!r}: {reference.registry} is not an ECR registry, as in "
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1",
            side="target",
        )
    if reference.tag is None and reference.digest is None:
        reference = replace(reference, tag="latest")
    return reference, host
