"""Versions and ranges, as tags and the documentation of other tools spell them."""

from itertools import pairwise

import pytest

from transfer.mirror.select.versions import Range, parse_version


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("1.2.3", "1.2.3 v1.2.3", "1.2.4 1.2 1.2.3.1"),
        ("=1.2", "1.2 1.2.0 1.2.9 v1.2.3", "1.3 1 2.0"),
        ("1.x", "1 1.0 1.9.9", "2 2.0.0 0.9"),
        ("1.2.*", "1.2 1.2.7", "1.3"),
        ("*", "0.0.1 1 99", "latest 1.0-rc1"),
        (">=1.2 <2", "1.2 1.9.9", "1.1.9 2 2.0.0"),
        (">= 3.12.0", "3.12.0 3.12.1 4.0.0", "3.11.9"),
        (">=1.0, <1.3", "1.0 1.2.9", "1.3"),
        (">1.2", "1.3", "1.2 1.2.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9 0.1", "1.3"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("~1.4", "1.4 1.4.9", "1.5 1.3.9"),
        ("~>1.4.2", "1.4.2 1.4.9", "1.4.1 1.5"),
        ("~1", "1.0 1.9", "2"),
        ("^3.1", "3.1 3.9.9", "3.0.9 4"),
        ("^0.2.3", "0.2.3 0.2.5", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0", "0.9", "1"),
        (">=1.2 <2 || ^3.1", "1.5 3.1.4", "2.5 4"),
        ("1.2 - 1.4.5", "1.2 1.4.5", "1.4.6"),
        ("1.2 - 1.4", "1.4.9", "1.5"),
        ("!=1.3.0", "1.3.1 1.2", "1.3 1.3.0"),
        ("!=1.3.x >=1", "1.4 1.2", "1.3.5 0.9"),
        (">=v1.0.0", "v1.5.0 1.5.0", "v0.9"),
        (">=10.0.17763.2114", "10.0.17763.2115", "10.0.17763.2113"),
    ],
)
def test_a_range_takes_the_versions_that_its_grammar_says(text: str, inside: str, outside: str) -> None:
    found = Range.parse(text)
    assert [tag for tag in inside.split() if (version := parse_version(tag)) and found.takes(version)] == inside.split()
    assert [tag for tag in outside.split() if (version := parse_version(tag)) and found.takes(version)] == []


@pytest.mark.parametrize(
    ("text", "tag", "named", "asked_for"),
    [
        (">=1.0", "1.2.0-rc1", False, True),
        (">=1.0.0-rc1", "1.0.0-rc2", True, True),
        (">=1.0.0-rc1", "1.0.0-beta", False, False),
        ("^1.0", "2.0.0-rc1", False, False),
        ("<2", "2.0.0-rc1", False, False),
        ("^1.0 || >=3.0-0", "3.1.0-alpine", True, True),
    ],
)
def test_a_prerelease_is_taken_where_the_range_names_one(text: str, tag: str, named: bool, asked_for: bool) -> None:
    version = parse_version(tag)
    assert version is not None
    assert Range.parse(text).takes(version) is named
    assert Range.parse(text).takes(version, prereleases=True) is asked_for


def test_versions_sort_by_precedence_and_numbers_in_words_by_value() -> None:
    ordered = ["1.2.3-1", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-rc2", "1.2.3-rc11", "1.2.3", "1.2.3.1", "1.3", "1.10"]
    versions = [version for tag in ordered if (version := parse_version(tag))]
    assert all(lower.key < higher.key for lower, higher in pairwise(versions))
    assert len(versions) == len(ordered)


@pytest.mark.parametrize("tag", ["latest", "v", "1.", "1..2", "1.2.3+build", "1.2.3rc1", "sha256-abc", "", "1.٣"])
def test_what_is_not_a_version_is_none(tag: str) -> None:
    assert parse_version(tag) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("1.2 ||", "empty"),
        (">=", "'>=' is not a range"),
        (">=abc", "'abc' is not a version"),
        ("latest", "'latest' is not a version"),
        ("1.2 >", "'>' is not a range"),
        ("1" * 501, "at most 500"),
    ],
)
def test_a_range_that_cannot_be_read_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Range.parse(text)
