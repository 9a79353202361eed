"""
DistributionTarget: one repository of one registry as a Target.

Turns the engine's questions into requests of the Distribution API, as many at once as the limits allow. How one blob
gets up is in `upload`.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from msgspec import UnsetType
from msgspec.structs import replace

from transfer.concurrency.tasks import gather, task_group
from transfer.engine.blob_reader import HELD_BYTES
from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Mountable, Presence
from transfer.errors import TagImmutable, TransferError, attributed_to
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.registry.oci.registry_state import cheap
from transfer.registry.oci.requests import UploadSession
from transfer.registry.oci.upload import BlobUpload, UploadSite
from transfer.state.presence_cache import settle_known


class DistributionTarget:
    """
    One repository to write to.

    Args:
        site: client, names and limits that its uploads share.
        known: blobs that are known to be there; shared by all copies of one engine.
        is_begun: whether an earlier run may have left something there.
    """

    def __init__(self, site: UploadSite, *, known: set[Digest], is_begun: Callable[[], Awaitable[bool]]) -> None:
        self._site = replace(site, client=site.client.before_push())
        self._is_begun = is_begun
        self._client = self._site.client
        self._known = known
        # Sessions that the registry opened where it was asked to mount: what they are for is not asked for twice.
        self._opened: dict[Digest, UploadSession] = {}

    @property
    def key(self) -> str:
        return self._site.key

    @property
    def registry(self) -> str:
        return self._client.registry

    @property
    def held_bytes(self) -> int:
        return HELD_BYTES

    async def present(self, manifests: Sequence[Descriptor], *, tag: str | None, hints: Hints = NO_HINTS) -> Presence:
        """Ask for the tag, and for each manifest where the tag holds none of them and the repository has tags."""
        digests = [one.digest for one in manifests]
        with attributed_to("target"):
            tagged = await self._tagged(tag, hints)
            if tagged in digests:
                return Presence(tagged=tagged, manifests=frozenset((tagged,)))
            if (
                tag
                and tagged is None
                and (small := cheap(self._unknown(hints.blobs)))
                and await self._was_vacant(small)
            ):
                return Presence()
            found = await gather(self._client.head_manifest(self._site.repository, digest) for digest in digests)
        # A registry that answers with another digest than it was asked for does not have this one.
        present = frozenset(digest for digest, reported in zip(digests, found, strict=True) if reported == digest)
        return Presence(tagged=tagged, manifests=present)

    async def _tagged(self, tag: str | None, hints: Hints) -> Digest | None:
        if tag is None:
            return None
        if not isinstance(hints.tagged, UnsetType):
            return hints.tagged
        return await self._client.head_manifest(self._site.repository, tag)

    async def _was_vacant(self, small: Sequence[Descriptor]) -> bool:
        """Return whether small blobs need not be asked for; connections for them are made while that is found out."""

        async def is_used() -> bool:
            async with task_group() as group:
                group.create_task(self._connect(len(small)))
                return await self._is_used()

        return await self._client.vacancies.ask(self._site.repository, is_used)

    async def _is_used(self) -> bool:
        return await self._client.single().has_tags(self._site.repository) or await self._is_begun()

    async def _connect(self, count: int) -> None:
        with suppress(TransferError):  # who sends next will tell
            await self._client.connect(count)

    def _unknown(self, blobs: Iterable[Descriptor]) -> list[Descriptor]:
        return [blob for blob in blobs if blob.digest not in self._known]

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:
        """Return one HEAD for each blob that is not known to be there, nor cheaper to send."""
        unknown = list(blobs) if fresh else self._unknown(blobs)
        small = [] if fresh else cheap(unknown)
        with attributed_to("target"):
            unasked = {blob.digest for blob in small} if small and await self._was_vacant(small) else set[Digest]()
            asked = [blob.digest for blob in unknown if blob.digest not in unasked]
            found = await gather(self._client.has_blob(self._site.repository, digest) for digest in asked)
        missing = {digest for digest, present in zip(asked, found, strict=True) if not present}
        left = settle_known(self._known, asked, missing, fresh=fresh)
        for digest in set(asked) - left:
            self._client.holdings.note(self._site.repository, digest)
        return left | unasked - self._known

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """The API does not tell which tags may move: the manifest's PUT will."""

    def mountable(self, digest: Digest) -> Mountable:
        """Return the blobs that another repository is known to have; none where the registry does not mount."""
        works = self._client.habits.mounts
        if works is False:
            return "never"
        if self._client.holdings.elsewhere(digest, but=self._site.repository) is None:
            return "later"
        return "now" if works else "untried"

    async def mount_blob(self, descriptor: Descriptor, from_repository: str | None) -> bool:
        """Have a blob of another repository of this registry here too; False where that cannot be, for any reason."""
        digest, holdings, repository = descriptor.digest, self._client.holdings, self._site.repository
        if digest in self._known:
            return True
        place = from_repository or holdings.elsewhere(digest, but=repository)
        if place is None:
            return False
        try:
            # Tried once: an upload that works is better than a mount that might.
            opened = await self._client.single().mount_blob(repository, digest, place)
        except TransferError:
            holdings.forget(place, digest)
            return False
        if opened is not None:
            self._opened[digest] = opened
            holdings.forget(place, digest)
            self._client.habits.mounts = self._client.habits.mounts or False
            return False
        self._client.habits.mounts = True
        self._note(digest)
        return True

    def _note(self, digest: Digest) -> None:
        self._known.add(digest)
        self._client.holdings.note(self._site.repository, digest)

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        digest = blob.descriptor.digest
        if digest in self._known:
            return BlobSent(sent=0, already_there=True)
        with attributed_to("target"):
            sent = await BlobUpload(self._site, blob, source, self._opened.pop(digest, None)).run()
        self._note(digest)
        return sent

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """
        PUT under the tag, or under the digest where there is none; and into the list of its subject's referrers.

        Raises:
            BlobUnknown: the registry misses what the manifest names.
            TagImmutable: the tag holds another digest and does not move.
            InvalidManifest: the list of referrers cannot be used.
        """
        repository, digest = self._site.repository, manifest.digest
        noted = True
        with attributed_to("target"):
            try:
                noted = await self._client.put_manifest(
                    repository, tag or digest, manifest.raw, manifest.media_type, digest
                )
            except TagImmutable:
                # Harbor refuses every PUT under such a tag, also that of what it holds.
                if tag is None or await self._client.head_manifest(repository, tag) != digest:
                    raise
            if manifest.subject is not None and not noted:
                await self._client.lists.add(self._client, repository, manifest)

    async def list_referrer(self, manifest: Manifest) -> None:
        """
        Into the list of its subject's referrers, unless the registry keeps such lists itself.

        Raises:
            InvalidManifest: the list of referrers cannot be used.
        """
        if manifest.subject is None:
            return
        client, repository = self._client, self._site.repository
        with attributed_to("target"):
            if client.habits.has_referrers is None:
                await client.referrers(repository, manifest.subject.digest)
            if not client.habits.has_referrers:
                await client.lists.add(client, repository, manifest)
