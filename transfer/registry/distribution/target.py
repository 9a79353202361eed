"""
DistributionTarget: one repository of one registry as a Target.

Turns the engine's questions into requests of the Distribution API, as many at once as the limits allow. How one blob
gets up is in `upload`. Knows nothing of other repositories but what may be mounted from them.
"""

from collections.abc import Sequence

from transfer.engine.content import BlobContext, BlobSent, BlobSource, Presence
from transfer.engine.tasks import gather
from transfer.errors import TagImmutable, TransferError
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.registry.distribution.feed import HELD_BYTES
from transfer.registry.distribution.sessions import Upload
from transfer.registry.distribution.upload import BlobUpload, UploadSite
from transfer.registry.known import settle_known
from transfer.registry.side import on_side


class DistributionTarget:
    """
    One repository to write to.

    Args:
        site: client, names and limits that its uploads share.
        known: blobs that are known to be there; shared by all copies of one engine.
    """

    def __init__(self, site: UploadSite, *, known: set[Digest]) -> None:
        self._site = site
        self._client = site.client
        self._known = known
        # Sessions that the registry opened where it was asked to mount: what they are for is not asked for twice.
        self._opened: dict[Digest, Upload] = {}

    @property
    def key(self) -> str:
        return self._site.key

    @property
    def registry(self) -> str:
        return self._client.registry

    @property
    def held_bytes(self) -> int:
        return HELD_BYTES

    async def present(self, manifests: Sequence[Descriptor], *, tag: str | None) -> Presence:
        """One HEAD for the tag and one for each manifest."""
        references = [one.digest for one in manifests] + ([tag] if tag else [])
        with on_side("target"):
            found = await gather(
                self._client.head_manifest(self._site.repository, reference) for reference in references
            )
        tagged = found.pop() if tag else None
        return Presence(
            tagged=tagged,
            # A registry that answers with another digest than it was asked for does not have this one.
            manifests=frozenset(
                one.digest for one, digest in zip(manifests, found, strict=True) if digest == one.digest
            ),
        )

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:
        """One HEAD for each blob that is not known to be there."""
        asked = [blob.digest for blob in blobs if fresh or blob.digest not in self._known]
        with on_side("target"):
            found = await gather(self._client.has_blob(self._site.repository, digest) for digest in asked)
        missing = {digest for digest, there in zip(asked, found, strict=True) if not there}
        return settle_known(self._known, asked, missing, fresh=fresh)

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """The API does not tell which tags may move: the manifest's PUT will."""

    async def mount_blob(self, descriptor: Descriptor, from_repository: str) -> bool:
        """Have a blob of another repository of this registry here too; False where that cannot be, for any reason."""
        if descriptor.digest in self._known:
            return True
        try:
            # Tried once: an upload that works is better than a mount that might.
            opened = await self._client.single().mount_blob(self._site.repository, descriptor.digest, from_repository)
        except TransferError:
            return False
        if opened is not None:
            self._opened[descriptor.digest] = opened
            return False
        self._known.add(descriptor.digest)
        return True

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        digest = blob.descriptor.digest
        if digest in self._known:
            return BlobSent(sent=0, already_there=True)
        with on_side("target"):
            sent = await BlobUpload(self._site, blob, source, self._opened.pop(digest, None)).run()
        self._known.add(digest)
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
        with on_side("target"):
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
        with on_side("target"):
            if client.habits.has_referrers is None:
                await client.referrers(repository, manifest.subject.digest)
            if not client.habits.has_referrers:
                await client.lists.add(client, repository, manifest)
