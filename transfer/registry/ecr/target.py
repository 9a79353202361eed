"""
EcrTarget: one repository of one ECR registry as a Target.

Turns the engine's five questions into ECR's calls, 100 digests at a time, and ECR's answers into the engine's. How
one layer gets up is in `upload`.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from transfer.concurrency.tasks import gather
from transfer.engine.protocols import NO_HINTS, BlobContext, BlobSent, BlobSource, Hints, Mountable, Presence
from transfer.errors import BlobUnknown, InvalidDigest, InvalidManifest, NotFound, RegistryError, TagImmutable
from transfer.model.descriptor import MANIFEST_MEDIA_TYPES, Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.registry.ecr.create_repository import RepositoryCreation
from transfer.registry.ecr.upload import LayerUpload, UploadSite, missing_layers
from transfer.registry.ecr.upload_decisions import PART_BYTES
from transfer.state.presence_cache import settle_known

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef, RepositoryTypeDef

# BatchCheckLayerAvailability and BatchGetImage take at most 100 items (service model).
_BATCH = 100
_MISSING_CONTENT = frozenset({"LayersNotFoundException", "ReferencedImagesNotFoundException"})


def is_tag_fixed(repository: "RepositoryTypeDef", tag: str) -> bool:
    """
    Return whether a repository's settings forbid a tag to move.

    An exclusion filter turns the setting round for the tags that it matches (API_CreateRepository).
    """
    mutability = repository.get("imageTagMutability", "MUTABLE")
    filters = repository.get("imageTagMutabilityExclusionFilters") or []
    excluded = mutability.endswith("_WITH_EXCLUSION") and any(fnmatchcase(tag, f["filter"]) for f in filters)
    return mutability.startswith("IMMUTABLE") is not excluded


class EcrTarget:
    """
    One repository of one registry.

    Args:
        site: client, names and limits that its uploads share.
        known: layers that are known to be there; shared by all pushes of one engine.
        creation: creates the repository when it is missing.
    """

    def __init__(self, site: UploadSite, *, known: set[Digest], creation: RepositoryCreation | None = None) -> None:
        self._site = site
        self._client = site.client
        self._names = site.names
        self._known = known
        self._creation = creation

    @property
    def key(self) -> str:
        return self._site.key

    @property
    def registry(self) -> str:
        return self._client.url

    @property
    def held_bytes(self) -> int:
        return PART_BYTES

    async def present(
        self,
        manifests: Sequence[Descriptor],
        *,
        tag: str | None,
        hints: Hints = NO_HINTS,  # noqa: ARG002 - the protocol's signature
    ) -> Presence:
        """Return one BatchGetImage for the tag and up to 99 manifests: ECR's one call that answers both."""
        wanted: list[ImageIdentifierTypeDef] = [{"imageTag": tag}] if tag else []
        wanted += [{"imageDigest": one.digest} for one in manifests]
        batches = [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]
        times = self._creation.times if self._creation else 0
        try:
            answers = await gather(self._images(batch) for batch in batches)
        except NotFound as error:
            if self._creation is None or error.code != "RepositoryNotFoundException":
                raise
            await self._creation.run(times)
            return Presence()
        found = [image for answer in answers for image in answer]
        tagged = next((one["imageDigest"] for one in found if tag and one.get("imageTag") == tag), None)
        digests = {one.get("imageDigest") for one in found}
        return Presence(
            tagged=self._digest(tagged) if tagged else None,
            manifests=frozenset(one.digest for one in manifests if one.digest in digests),
        )

    async def missing(self, blobs: Sequence[Descriptor], *, fresh: bool = False) -> set[Digest]:
        digests = [blob.digest for blob in blobs if fresh or blob.digest not in self._known]
        batches = [digests[start : start + _BATCH] for start in range(0, len(digests), _BATCH)]
        answers = await gather(missing_layers(self._client, self._site, batch) for batch in batches)
        return settle_known(self._known, digests, set().union(*answers), fresh=fresh)

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """Ask for the repository's settings, which saves sending layers for a tag that will be refused."""
        try:
            reply = await self._client.call(
                "DescribeRepositories",
                repositoryNames=[self._site.repository],
                **({"registryId": self._site.registry_id} if self._site.registry_id else {}),
            )
        except RegistryError:
            # Not everybody who may push may also describe; PutImage will then tell, after the layers.
            return
        if any(is_tag_fixed(repository, tag) for repository in reply["repositories"]):
            raise self._immutable(tag, wanted, held, status=400)

    def mountable(self, digest: Digest) -> Mountable:  # noqa: ARG002 - as asked
        """Nothing can be mounted."""
        return "never"

    async def mount_blob(self, descriptor: Descriptor, from_repository: str | None) -> bool:  # noqa: ARG002 - as asked
        """Return the API has no operation for it."""
        return False

    async def push_blob(self, blob: BlobContext, source: BlobSource) -> BlobSent:
        layer = blob.descriptor
        if layer.digest in self._known:
            return BlobSent(sent=0, already_there=True)
        if layer.size == 0:
            raise InvalidManifest(
                f"blob {layer.digest}: it is empty, and ECR cannot store an empty blob; leave it out of the image",
                side="target",
            )
        sent = await LayerUpload(self._site, blob, source).run()
        self._known.add(layer.digest)
        return sent

    async def push_manifest(self, manifest: Manifest, *, tag: str | None) -> None:
        """PutImage; what is there already under the same digest and tag is success, whatever ECR calls it."""
        request = {
            **self._names,
            "imageManifest": manifest.raw.decode("utf-8"),
            "imageManifestMediaType": manifest.media_type,
            "imageDigest": manifest.digest,
        }
        try:
            await self._client.call("PutImage", **request, **({"imageTag": tag} if tag else {}))
        except RegistryError as error:
            if error.code in _MISSING_CONTENT:
                raise BlobUnknown(str(error), status=error.status, code=error.code, side="target") from error
            if error.code == "ImageAlreadyExistsException":
                return
            if error.code != "ImageTagAlreadyExistsException" or tag is None:
                raise
            # In an immutable repository ECR may say this also of the same digest: what the tag holds decides.
            held = (await self.present([], tag=tag)).tagged
            if held != manifest.digest:
                raise self._immutable(tag, manifest.digest, held, status=error.status) from error

    async def list_referrer(self, manifest: Manifest) -> None:
        """Nothing to do: the registry finds what refers to an image by itself."""

    async def _images(self, wanted: "list[ImageIdentifierTypeDef]") -> "list[ImageIdentifierTypeDef]":
        """Return the ids of the images that exist; all media types are accepted, so that none is converted."""
        reply = await self._client.batch_get_image(
            **self._names, imageIds=wanted, acceptedMediaTypes=sorted(MANIFEST_MEDIA_TYPES)
        )
        return [image.get("imageId", {}) for image in reply["images"]]

    def _digest(self, text: str) -> Digest:
        try:
            return Digest(text)
        except InvalidDigest as error:
            error.side = "target"
            raise

    def _immutable(self, tag: str, wanted: Digest, held: Digest | None, *, status: int) -> TagImmutable:
        return TagImmutable(
            f"tag {tag!r} of {self._site.repository}: it holds {held or 'another digest'} and cannot be moved to "
            f"{wanted}, because the repository keeps its tags immutable; push under another tag",
            status=status,
            code="ImageTagAlreadyExistsException",
            side="target",
        )
