"""The engine of a mirror: what a mirror asks besides, so that many images cost few requests."""

from collections.abc import Sequence

from transfer.api import Engine
from transfer.endpoints.locations import locate_repository
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.engine.plan import PlannedContent
from transfer.engine.result import Preview
from transfer.errors import TransferError
from transfer.job import Job
from transfer.model.digest import Digest
from transfer.model.platform import parse_platform
from transfer.state.trimmed_images import recall_trimmed


class MirrorEngine(Engine):
    """An engine that can look ahead."""

    async def preview_next(self, job: Job, planned: PlannedContent) -> list[Preview | TransferError]:
        """Preview one of several jobs: what earlier ones would send is in `planned`, and counts as present."""
        return await self._job_run(job, None).preview(planned)

    async def warm_up(
        self, repository: str, *, access: RegistryAccess = DEFAULT_ACCESS, before_push: bool = False
    ) -> None:
        """
        Reach a repository's registry early, so that the next question need not wait for that.

        Args:
            before_push: an image may be pushed there next, so ask for a token that allows it.

        Raises:
            TransferError: the next question will raise it again.
        """
        await self._endpoints.warm_up(locate_repository(repository), access, before_push=before_push)

    async def trimmed(self, digest: Digest, platforms: Sequence[str]) -> Digest | None:
        """Return what an index becomes when it is reduced to some platforms, where an earlier copy found that out."""
        return await recall_trimmed(self._state, digest, [parse_platform(text) for text in platforms])
