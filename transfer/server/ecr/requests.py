"""The requests of the API: one struct an operation, fields and limits as in the service model of 2015-09-21."""

from typing import Annotated

import msgspec

from transfer.server.ecr.rules import Rule

_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
DIGEST_PATTERN = r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"
# The model has 1 to 300 characters and no pattern; a tag outside OCI's grammar could be pushed but never pulled.
TAG_PATTERN = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

RegistryId = Annotated[str, Rule(pattern="[0-9]{12}")]
RepositoryName = Annotated[str, Rule(least=2, most=256, pattern=_NAME)]
UploadId = Annotated[str, Rule(pattern=_UUID)]
LayerDigest = Annotated[str, Rule(pattern=DIGEST_PATTERN)]
ImageTag = Annotated[str, Rule(least=1, most=300)]
PartByte = Annotated[int, Rule(least=0)]
MaxResults = Annotated[int, Rule(least=1, most=1000)]
Hundred = Rule(least=1, most=100)


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The account, which every request but one may name."""

    registry_id: RegistryId | None = None


class RepositoryRequest(Request, frozen=True, kw_only=True):
    """A request about one repository; as it is, that of the operations that need no more."""

    repository_name: RepositoryName


class Tag(msgspec.Struct, frozen=True):
    Key: str
    Value: str


class ExclusionFilter(msgspec.Struct, frozen=True, rename="camel"):
    filter_type: Annotated[str, Rule(values=("WILDCARD",))]
    filter: Annotated[str, Rule(least=1, most=128, pattern=r"[0-9a-zA-Z._*-]{1,128}")]


class Scanning(msgspec.Struct, frozen=True, rename="camel"):
    scan_on_push: bool = False


class Encryption(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    encryption_type: Annotated[str, Rule(values=("AES256", "KMS", "KMS_DSSE"))]
    kms_key: Annotated[str, Rule(least=1, most=2048)] | None = None


class CreateRepository(RepositoryRequest, frozen=True, kw_only=True):
    tags: tuple[Tag, ...] | None = None
    image_tag_mutability: Annotated[
        str, Rule(values=("MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"))
    ] = "MUTABLE"
    image_tag_mutability_exclusion_filters: Annotated[tuple[ExclusionFilter, ...], Rule(least=1, most=5)] | None = None
    image_scanning_configuration: Scanning | None = None
    encryption_configuration: Encryption | None = None


class DescribeRepositories(Request, frozen=True, kw_only=True):
    repository_names: Annotated[tuple[RepositoryName, ...], Hundred] | None = None
    next_token: str | None = None
    max_results: MaxResults | None = None


class DeleteRepository(RepositoryRequest, frozen=True, kw_only=True):
    force: bool | None = None


class SetRepositoryPolicy(RepositoryRequest, frozen=True, kw_only=True):
    policy_text: Annotated[str, Rule(least=0, most=10_240)]
    force: bool | None = None


class PutLifecyclePolicy(RepositoryRequest, frozen=True, kw_only=True):
    lifecycle_policy_text: Annotated[str, Rule(least=100, most=30_720)]


class ListTagsForResource(msgspec.Struct, frozen=True, rename="camel"):
    resource_arn: str


class BatchCheckLayerAvailability(RepositoryRequest, frozen=True, kw_only=True):
    # A malformed digest is a failure of its own, not of the call: the model has a length here and no pattern.
    layer_digests: Annotated[tuple[Annotated[str, Rule(least=0, most=1000)], ...], Hundred]


class UploadLayerPart(RepositoryRequest, frozen=True, kw_only=True):
    upload_id: UploadId
    part_first_byte: PartByte
    part_last_byte: PartByte
    layer_part_blob: str  # emptied: its content is in the spool, its length is checked with it


class CompleteLayerUpload(RepositoryRequest, frozen=True, kw_only=True):
    upload_id: UploadId
    layer_digests: Annotated[tuple[LayerDigest, ...], Hundred]


class GetDownloadUrlForLayer(RepositoryRequest, frozen=True, kw_only=True):
    layer_digest: LayerDigest


class PutImage(RepositoryRequest, frozen=True, kw_only=True):
    image_manifest: Annotated[str, Rule(least=1, most=4_194_304)]
    image_manifest_media_type: str | None = None
    image_tag: Annotated[str, Rule(least=1, most=300, pattern=TAG_PATTERN)] | None = None
    image_digest: str | None = None


class ImageId(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    image_digest: str | None = None
    image_tag: ImageTag | None = None


class BatchGetImage(RepositoryRequest, frozen=True, kw_only=True):
    image_ids: Annotated[tuple[ImageId, ...], Hundred]
    accepted_media_types: Annotated[tuple[str, ...], Hundred] | None = None


class BatchDeleteImage(RepositoryRequest, frozen=True, kw_only=True):
    image_ids: Annotated[tuple[ImageId, ...], Hundred]


class ImageFilter(msgspec.Struct, frozen=True, rename="camel"):
    tag_status: Annotated[str, Rule(values=("TAGGED", "UNTAGGED", "ANY"))] = "ANY"
    image_status: Annotated[str, Rule(values=("ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"))] = "ACTIVE"


class ListImages(RepositoryRequest, frozen=True, kw_only=True):
    next_token: str | None = None
    max_results: MaxResults | None = None
    filter: ImageFilter | None = None


class DescribeImages(ListImages, frozen=True, kw_only=True):
    image_ids: Annotated[tuple[ImageId, ...], Hundred] | None = None


class SubjectId(msgspec.Struct, frozen=True, rename="camel"):
    image_digest: Annotated[str, Rule(pattern=DIGEST_PATTERN)]


class ReferrersFilter(msgspec.Struct, frozen=True, rename="camel"):
    artifact_types: Annotated[tuple[Annotated[str, Rule(least=1, most=255)], ...], Rule(least=0, most=5)] = ()
    artifact_status: Annotated[str, Rule(values=("ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"))] = "ACTIVE"


class ListImageReferrers(RepositoryRequest, frozen=True, kw_only=True):
    subject_id: SubjectId
    filter: ReferrersFilter | None = None
    next_token: str | None = None
    max_results: Annotated[int, Rule(least=1, most=50)] | None = None


class GetAuthorizationToken(msgspec.Struct, frozen=True, rename="camel"):
    registry_ids: Annotated[tuple[RegistryId, ...], Rule(least=1, most=10)] | None = None
