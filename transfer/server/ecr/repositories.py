"""Operations on repositories and their policies."""

from typing import Any

import msgspec

from transfer.server.ecr import refusals
from transfer.server.ecr.requests import (
    CreateRepository,
    DeleteRepository,
    DescribeRepositories,
    ListTagsForResource,
    PutLifecyclePolicy,
    RepositoryRequest,
    SetRepositoryPolicy,
)
from transfer.server.ecr.session import Session, cut, page_size
from transfer.server.errors import ApiError, invalid_parameter
from transfer.server.store import images, repositories
from transfer.server.store.repositories import Repository

_MAX_TAGS = 50  # AWS's limit for the tags of any resource


def create_repository(session: Session, request: CreateRepository) -> dict[str, Any]:
    session.own_registry(request, "CreateRepository")
    _check_create(request)
    created = repositories.create(session.connection, request.repository_name, settings_of(request), session.now)
    if created is None:
        raise refusals.repository_exists(request.repository_name, session.settings.account)
    if request.tags:
        repositories.set_labels(session.connection, created, {one.Key: one.Value for one in request.tags})
    return {"repository": _shown(session, created)}


def describe_repositories(session: Session, request: DescribeRepositories) -> dict[str, Any]:
    if request.repository_names is not None:
        if request.max_results is not None or request.next_token is not None:
            used = "maxResults" if request.max_results is not None else "nextToken"
            raise invalid_parameter(
                used, "This option cannot be used when you specify repositories with repositoryNames"
            )
        found = [session.named(name, request.registry_id) for name in request.repository_names]
        return {"repositories": [_shown(session, repository) for repository in found]}
    session.own_registry(request, "DescribeRepositories")
    scope = ("DescribeRepositories",)
    (after,) = session.start(scope, request.next_token, [""])
    size = page_size(request.max_results)
    entries, more = cut(repositories.page(session.connection, after, size + 1), size)
    answer: dict[str, Any] = {"repositories": [_shown(session, repository) for repository in entries]}
    return answer | ({"nextToken": session.next_token(scope, [entries[-1].name])} if more else {})


def delete_repository(session: Session, request: DeleteRepository) -> dict[str, Any]:
    repository = session.repository(request)
    if not request.force and images.any_in(session.connection, repository.id):
        raise refusals.repository_not_empty(repository.name, session.settings.account)
    repositories.delete(session.connection, repository)
    return {"repository": _shown(session, repository)}


def set_repository_policy(session: Session, request: SetRepositoryPolicy) -> dict[str, Any]:
    repository = session.repository(request)
    if not _is_policy(request.policy_text):
        raise invalid_parameter("PolicyText", "Invalid repository policy provided")
    repositories.set_policy(session.connection, repository, request.policy_text)
    return _policy(session, repository, request.policy_text)


def get_repository_policy(session: Session, request: RepositoryRequest) -> dict[str, Any]:
    repository = session.repository(request)
    text = repositories.policy(session.connection, repository)
    if text is None:
        raise refusals.policy_not_found(repository.name, session.settings.account)
    return _policy(session, repository, text)


def delete_repository_policy(session: Session, request: RepositoryRequest) -> dict[str, Any]:
    answer = get_repository_policy(session, request)
    repositories.set_policy(session.connection, session.repository(request), None)
    return answer


def put_lifecycle_policy(session: Session, request: PutLifecyclePolicy) -> dict[str, Any]:
    repository = session.repository(request)
    if not _is_lifecycle(request.lifecycle_policy_text):
        raise invalid_parameter("LifecyclePolicyText", "Lifecycle policy validation failure")
    repositories.set_lifecycle(session.connection, repository, request.lifecycle_policy_text)
    return _lifecycle(session, repository, request.lifecycle_policy_text)


def get_lifecycle_policy(session: Session, request: RepositoryRequest) -> dict[str, Any]:
    repository = session.repository(request)
    text = repositories.lifecycle(session.connection, repository)
    if text is None:
        raise refusals.lifecycle_policy_not_found(repository.name, session.settings.account)
    return _lifecycle(session, repository, text)


def delete_lifecycle_policy(session: Session, request: RepositoryRequest) -> dict[str, Any]:
    answer = get_lifecycle_policy(session, request)
    repositories.set_lifecycle(session.connection, session.repository(request), None)
    return answer


def list_tags_for_resource(session: Session, request: ListTagsForResource) -> dict[str, Any]:
    prefix, name = session.settings.arn(""), request.resource_arn
    if not name.startswith(prefix):
        raise invalid_parameter("resourceArn", f"Invalid ARN {name}")
    repository = session.named(name.removeprefix(prefix), None)
    labels = repositories.labels(session.connection, repository)
    return {"tags": [{"Key": key, "Value": value} for key, value in labels.items()]}


def _lifecycle(session: Session, repository: Repository, text: str) -> dict[str, Any]:
    return {"registryId": session.settings.account, "repositoryName": repository.name, "lifecyclePolicyText": text}


def _policy(session: Session, repository: Repository, text: str) -> dict[str, Any]:
    return {"registryId": session.settings.account, "repositoryName": repository.name, "policyText": text}


def _is_policy(text: str) -> bool:
    statement = _member(text, "Statement")
    return isinstance(statement, list | dict) and bool(statement)


def _is_lifecycle(text: str) -> bool:
    rules = _member(text, "rules")
    return isinstance(rules, list) and bool(rules)


def _member(text: str, name: str) -> Any:
    """Return a member of a JSON object; None where it is none, or has no such member."""
    try:
        document = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return document.get(name) if isinstance(document, dict) else None


def _check_create(request: CreateRepository) -> None:
    if request.tags is not None and len(request.tags) > _MAX_TAGS:
        raise ApiError("TooManyTagsException", f"The list of tags on the repository is over the limit of {_MAX_TAGS}")
    filters = request.image_tag_mutability_exclusion_filters
    if request.image_tag_mutability.endswith("_WITH_EXCLUSION") != (filters is not None):
        wanted = "must be given with, and only with, IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION"
        raise invalid_parameter("imageTagMutabilityExclusionFilters", wanted)


def settings_of(request: CreateRepository) -> dict[str, Any]:
    """Return a repository's settings as the API shows them."""
    filters = request.image_tag_mutability_exclusion_filters
    scanning, encryption = request.image_scanning_configuration, request.encryption_configuration
    shown = {
        "imageTagMutability": request.image_tag_mutability,
        "imageTagMutabilityExclusionFilters": msgspec.to_builtins(filters) if filters else None,
        "imageScanningConfiguration": {"scanOnPush": bool(scanning and scanning.scan_on_push)},
        "encryptionConfiguration": msgspec.to_builtins(encryption) if encryption else {"encryptionType": "AES256"},
    }
    return {name: value for name, value in shown.items() if value is not None}


def _shown(session: Session, repository: Repository) -> dict[str, Any]:
    return {
        "repositoryArn": session.settings.arn(repository.name),
        "registryId": session.settings.account,
        "repositoryName": repository.name,
        "repositoryUri": f"{session.settings.registry}/{repository.name}",
        "createdAt": repository.created,
        **repository.settings,
    }
