"""
The API's refusals, each in the words that ECR uses, as far as they are known.

Sources: `[I …]` and `[T]` of the protocol facts: threads that quote ECR, and moto.
"""

from collections.abc import Iterable

from transfer.server.errors import ApiError


def repository_not_found(name: str, registry: str) -> ApiError:
    return ApiError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{registry}'",
    )


def repository_exists(name: str, registry: str) -> ApiError:
    return ApiError(
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{registry}'",
    )


def repository_not_empty(name: str, registry: str) -> ApiError:
    return ApiError(
        "RepositoryNotEmptyException",
        f"The repository with name '{name}' in registry with id '{registry}' cannot be deleted because it still "
        "contains images",
    )


def policy_not_found(name: str, registry: str) -> ApiError:
    return ApiError(
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'",
    )


def lifecycle_policy_not_found(name: str, registry: str) -> ApiError:
    return ApiError(
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{registry}'",
    )


def access_denied(operation: str, arn: str) -> ApiError:
    """Return another account's registry, asked for something that names no repository."""
    return ApiError(
        "AccessDeniedException",
        f"User is not authorized to perform: ecr:{operation} on resource: {arn} because no resource-based policy "
        f"allows the ecr:{operation} action",
    )


def upload_not_found(upload_id: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "UploadNotFoundException",
        f"The upload with id '{upload_id}' in the repository with name '{name}' in registry with id '{registry}' "
        "could not be found",
    )


def empty_upload(upload_id: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "EmptyUploadException",
        f"The upload with id '{upload_id}' in the repository with name '{name}' in registry with id '{registry}' "
        "cannot be completed because it does not have any parts",
    )


def layer_part_too_small() -> ApiError:
    return ApiError("LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB")


def layer_mismatch() -> ApiError:
    return ApiError("InvalidLayerException", "None of the provided layer digests match the calculated layer digest")


def layer_exists(digest: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "LayerAlreadyExistsException",
        f"The layer with digest '{digest}' already exists in the repository with name '{name}' in registry with id "
        f"'{registry}'",
    )


def layer_not_found(digest: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "LayersNotFoundException",
        f"The layer with digest {digest} does not exist within the repository with name '{name}' in the registry with "
        f"id '{registry}'",
    )


def layer_unassociated(digest: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "LayerInaccessibleException",
        f"The layer with digest '{digest}' in the repository with name '{name}' in the registry with id '{registry}' "
        "is not associated with an image",
    )


def layers_missing(digests: Iterable[str], name: str, registry: str) -> ApiError:
    return ApiError("LayersNotFoundException", _required("Layers", digests, name, registry))


def images_missing(digests: Iterable[str], name: str, registry: str) -> ApiError:
    return ApiError("ReferencedImagesNotFoundException", _required("Images", digests, name, registry))


def digest_mismatch(digest: str, name: str, registry: str) -> ApiError:
    return ApiError(
        "ImageDigestDoesNotMatchException",
        f"The image with digest '{digest}' in repository '{name}' and registry ID '{registry}' does not match the "
        "image digest that Amazon ECR has calculated.",
    )


def image_exists(digest: str, tag: str | None, name: str, registry: str) -> ApiError:
    return ApiError(
        "ImageAlreadyExistsException",
        f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository with name '{name}' "
        f"in registry with id '{registry}'",
    )


def tag_immutable(tag: str, name: str) -> ApiError:
    return ApiError(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag "
        "is immutable.",
    )


def image_not_found(digest: str | None, tag: str | None, name: str, registry: str) -> ApiError:
    return ApiError(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}} does not exist "
        f"within the repository with name '{name}' in the registry with id '{registry}'",
    )


def _required(what: str, digests: Iterable[str], name: str, registry: str) -> str:
    return (
        f"{what} with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' "
        f"in the registry with id '{registry}' do not exist"
    )
