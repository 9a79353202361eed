"""When a repository's settings forbid a tag to move."""

from typing import TYPE_CHECKING, Any

import pytest

from transfer.registry.ecr.target import is_tag_fixed

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import RepositoryTypeDef


@pytest.mark.parametrize(
    ("mutability", "filters", "tag", "fixed"),
    [
        (None, (), "v1", False),
        ("MUTABLE", (), "v1", False),
        ("IMMUTABLE", (), "v1", True),
        ("IMMUTABLE", ("v*",), "v1", True),
        ("MUTABLE", ("v*",), "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("latest",), "latest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("latest",), "v1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*", "latest"), "dev-7", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",), "DEV-7", True),
        ("IMMUTABLE_WITH_EXCLUSION", (), "v1", True),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "v1", True),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "latest", False),
        ("MUTABLE_WITH_EXCLUSION", ("*-final",), "v1-final", True),
        ("MUTABLE_WITH_EXCLUSION", (), "v1", False),
    ],
)
def test_whether_a_tag_may_move(mutability: str | None, filters: tuple[str, ...], tag: str, fixed: bool) -> None:
    settings: dict[str, Any] = {} if mutability is None else {"imageTagMutability": mutability}
    if filters:
        settings["imageTagMutabilityExclusionFilters"] = [{"filterType": "WILDCARD", "filter": f} for f in filters]
    repository: RepositoryTypeDef = settings  # type: ignore[assignment]  # only what is looked at
    assert is_tag_fixed(repository, tag) is fixed
