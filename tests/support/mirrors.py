"""A source and a target for mirrors in tests: embedded registries, filled and looked at."""

from collections import Counter
from collections.abc import Mapping as Pairs
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfer import AwsCredentials, Engine, Server, TransferConfig
from transfer.endpoints.registry_access import RegistryAccess
from transfer.mirror import CreateRepository, MirrorConfig, MirrorReport, MirrorRule, RegistryConfig, mirror
from transfer.testing.images import BuiltImage, ImageBuilder

LOGIN = RegistryAccess(login="transfer:transfer")
FAST = TransferConfig(journal=False, backoff_base=0.01, backoff_max=0.05)
# What changes a registry, by either of its APIs; a session that is opened counts.
_WRITING = ("Put", "Post", "Patch", "Mount", "Delete", "Create", "Set", "Initiate", "Upload", "Complete", "BatchDelete")


def host(server: Server) -> str:
    return server.url.removeprefix("http://")


@dataclass
class MirrorSite:
    """
    Two registries, and a mirror of the repository `app` of the one into `copy` of the other.

    Attributes:
        by_api: whether the target is written to by the ECR API.
        settings: of the mapping, besides source and target.
    """

    source: Server
    target: Server
    layout: ImageBuilder
    state: Path
    by_api: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def repository(self) -> str:
        return f"{self.target.registry if self.by_api else host(self.target)}/copy"

    @property
    def credentials(self) -> AwsCredentials:
        return AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=self.target.url)

    def engine(self) -> Engine:
        return Engine(FAST, credentials=self.credentials)

    async def fill(self, tags: Pairs[str, BuiltImage]) -> None:
        """Put images under tags of the source."""
        async with self.engine() as engine:
            for tag, image in tags.items():
                await engine.push(image.source, f"{host(self.source)}/app:{tag}", target_access=LOGIN)

    async def unfill(self, *tags: str) -> None:
        """Delete tags of the source."""
        async with self.engine() as engine:
            for tag in tags:
                await engine.delete(f"{host(self.source)}/app:{tag}", access=LOGIN)

    async def run(self, *more: MirrorRule, **options: Any) -> MirrorReport:
        """One run, with the counts of both registries begun anew."""
        create = {"create": CreateRepository()} if self.by_api else {}
        mapping = MirrorRule(
            source=f"{host(self.source)}/app", targets=(self.repository,), **{**create, **self.settings}
        )
        login = RegistryConfig(username="transfer", password="transfer")
        registries = {host(self.source): login, host(self.target): login}
        self.source.requests.clear()
        self.target.requests.clear()
        return await mirror(
            MirrorConfig(mappings=(mapping, *more), registries=registries),
            limits=TransferConfig(state_path=self.state, backoff_base=0.01, backoff_max=0.05),
            credentials=self.credentials,
            **options,
        )

    async def tags(self) -> dict[str, str]:
        """The tags of the target, and what they hold."""
        async with self.engine() as engine:
            access = RegistryAccess() if self.by_api else LOGIN
            names = [tag async for tag in engine.tags(self.repository, access=access)]
            return {tag: str(one) for tag, one in (await engine.digests(self.repository, names, access=access)).items()}


def asked(server: Server) -> Counter[str]:
    """Requests by operation, those that were only challenged left out."""
    return Counter(record.operation for record in server.requests if record.status != 401)


def writes(server: Server) -> list[str]:
    """The requests that change a registry."""
    return [record.operation for record in server.requests if record.operation.startswith(_WRITING)]
