"""
Which tags may move.

Source: service model, imageTagMutability and its exclusion filters: a filter is a wildcard where `*` stands for any
number of characters. Pure.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any


def matches(wildcard: str, tag: str) -> bool:
    """Whether a tag is of a wildcard's kind."""
    # A filter's alphabet has no other character that fnmatch takes for special.
    return fnmatchcase(tag, wildcard)


def is_immutable(settings: Mapping[str, Any], tag: str) -> bool:
    """Whether a repository with these settings keeps a tag where it is."""
    filters = settings.get("imageTagMutabilityExclusionFilters", ())
    excluded = any(matches(item["filter"], tag) for item in filters)
    return bool(settings["imageTagMutability"].startswith("IMMUTABLE")) != excluded
