"""Which tags and repositories a filter takes, and what it says of patterns that fit none."""

import pytest

from transfer.errors import InvalidConfig
from transfer.mirror.diagnostics import Diagnostic
from transfer.mirror.select.filters import (
    RepositoryFilter,
    Selection,
    TagFilter,
    known,
    mistakes,
    select,
    select_repositories,
)
from transfer.mirror.select.patterns import path_glob

TAGS = ["latest", "edge", "3", "3.9", "3.10", "3.10-alpine", "3.18.2", "v4.0.0", "4.1.0-rc1", "nightly-2", "nightly-10"]


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        ([], "edge latest nightly-2 nightly-10 3 3.9 3.10-alpine 3.10 3.18.2 v4.0.0 4.1.0-rc1"),
        ([TagFilter(glob=("3.*", "edge"))], "edge 3.9 3.10-alpine 3.10 3.18.2"),
        ([TagFilter(regex=(r"3\.\d+",))], "3.9 3.10"),
        ([TagFilter(regex=("lat|est",))], ""),
        ([TagFilter(semver=(">=3.10 <4",))], "3.10 3.18.2"),
        ([TagFilter(semver=(">=3.10 <4",), prereleases=True)], "3.10 3.18.2"),
        ([TagFilter(semver=(">=3.10-0 <4",))], "3.10-alpine 3.10 3.18.2"),
        ([TagFilter(semver=("3.x",), glob=("*.??",))], "3.10"),
        ([TagFilter(semver=("3.x", "4.x"), exclude=("v*", r"/3\.1\d.*/"))], "3 3.9"),
        ([TagFilter(semver=("*",), newest=2)], "3.18.2 v4.0.0"),
        ([TagFilter(newest=1)], "4.1.0-rc1"),
        ([TagFilter(glob=("nightly-*",), newest=1)], "nightly-10"),
        ([TagFilter(exact=("latest",), semver=("*",), newest=1)], "latest v4.0.0"),
        ([TagFilter(exact=("gone",))], "gone"),
        ([TagFilter(exact=("latest", "edge"), exclude=("edge",))], "latest"),
        ([TagFilter(glob=("*",), exclude=("*",))], ""),
        ([TagFilter(exact=("edge",)), TagFilter(glob=("edge", "nightly-*"), newest=1)], "edge nightly-10"),
    ],
)
def test_a_filter_takes_the_tags_that_it_names_in_natural_order(filters: list[TagFilter], taken: str) -> None:
    assert select(reversed(TAGS), filters).names == tuple(taken.split())


def test_patterns_that_fit_no_tag_are_named_and_those_that_another_kind_rejects_are_not() -> None:
    filters = [
        TagFilter(glob=("5.*", "3.*"), regex=("never",), semver=("4.x", ">9")),
        TagFilter(exact=("gone",), exclude=("unseen",)),
    ]
    assert select(TAGS, filters).unmatched == ("glob '5.*'", "regex 'never'", "semver '>9'")


@pytest.mark.parametrize(
    ("filters", "tags"),
    [
        ([], None),
        ([TagFilter()], None),
        ([TagFilter(exact=("b", "a"))], ("a", "b")),
        ([TagFilter(exact=("b", "a"), exclude=("b",))], ("a",)),
        ([TagFilter(exact=("a",), newest=3)], None),
        ([TagFilter(exact=("a",)), TagFilter(exact=("sha256:00",))], ("a", "sha256:00")),
        ([TagFilter(exact=("a",)), TagFilter(exclude=("b",))], None),
    ],
)
def test_exact_tags_are_known_without_listing(filters: list[TagFilter], tags: tuple[str, ...] | None) -> None:
    assert known(filters) == tags


def test_repositories_are_chosen_by_glob_regex_and_exclude() -> None:
    names = ["team/app", "team/db", "other/app", "app"]
    wanted = RepositoryFilter(glob=("*app", "none"), regex=(".*/.*",), exclude=("other/*",))
    assert select_repositories(names, wanted) == Selection(("team/app",), ("glob 'none'",))
    assert select_repositories(names, RepositoryFilter()).names == ("app", "other/app", "team/app", "team/db")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("team/*", "team/app", True),
        ("team/*", "team/a/b", False),
        ("team/**", "team/a/b", True),
        ("**/app", "x/y/app", True),
        ("**", "app", True),
        ("a?p", "app", True),
        ("a?p", "a/p", False),
        ("a.p", "axp", False),
    ],
)
def test_a_star_stops_at_a_slash_and_two_do_not(pattern: str, path: str, fits: bool) -> None:
    assert path_glob(pattern)(path) is fits


def test_each_pattern_that_cannot_be_read_is_named() -> None:
    wrong = TagFilter(
        glob=("",), regex=("fine", "(a"), semver=("latest",), exclude=("/[/", "x" * 1001), newest=0, prereleases=True
    )
    assert list(mistakes(wrong)) == [
        Diagnostic(("glob", 0), "a pattern has 1 to 1000 characters"),
        Diagnostic(("regex", 1), "'(a' is not a regular expression: missing ) at position 2"),
        Diagnostic(("semver", 0), "'latest' is not a version, as in 1.2.3, v1.2 or 1.x"),
        Diagnostic(("exclude", 0), "'[' is not a regular expression: unterminated character set at position 1"),
        Diagnostic(("exclude", 1), "a pattern has 1 to 1000 characters"),
        Diagnostic(("newest",), "0 is less than 1"),
    ]
    assert list(mistakes(TagFilter(prereleases=True))) == [
        Diagnostic(("prereleases",), "it requires 'semver', which is missing")
    ]
    assert list(mistakes(RepositoryFilter(regex=("x" * 1001,)))) == [
        Diagnostic(("regex", 0), "a regular expression has at most 1000 characters")
    ]
    assert list(mistakes(TagFilter(glob=("*",), semver=("1.x",), newest=1))) == []


def test_a_regular_expression_that_would_take_for_ever_is_named() -> None:
    with pytest.raises(InvalidConfig, match="takes too long"):
        select(["a" * 128], [TagFilter(regex=("(a|a)*?(?:a|b|ab)*?(a|aa)+c(?<=x)",))])
