"""
Filters: which tags, and which repositories, of all that a registry lists. Pure; knows no registry and no name's
grammar.

Kinds in one filter are "and", patterns of one kind are "or": a tag is taken that fits one of the globs, one of the
regular expressions and one of the ranges, as far as there are any. Several filters are a union.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from transfer.mirror.diagnostics import Diagnostic
from transfer.mirror.select.patterns import Matcher, expression, glob, glob_or_expression
from transfer.mirror.select.versions import Range, natural, parse_version

# A kind of pattern, the patterns, and how one is read.
_Sieve = tuple[str, tuple[str, ...], Callable[[str], Matcher]]


class TagFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A filter of tags; an empty one takes all.

    Attributes:
        exact: tags, or digests `sha256:…`, taken without asking what else there is.
        glob: patterns such as `3.*`.
        regex: regular expressions that match a whole tag.
        semver: ranges such as `>=1.2 <2 || ^3.1`; other tags than versions are in no range.
        prereleases: let a range take prereleases (`1.2.3-rc1`, `1.2.3-alpine`) that it does not name.
        exclude: globs, or `/regular expressions/`, of tags that are not wanted whatever else says so.
        newest: of those that the patterns leave, this many with the highest versions; other tags are below all
            versions, in natural order. The exact ones come on top.
    """

    exact: tuple[str, ...] = ()
    glob: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    semver: tuple[str, ...] = ()
    prereleases: bool = False
    exclude: tuple[str, ...] = ()
    newest: int | None = None

    @property
    def listed(self) -> bool:
        """Whether the tags that there are must be listed."""
        return bool(self.glob or self.regex or self.semver or self.newest is not None or not self.exact)


class RepositoryFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A filter of repositories; an empty one takes all.

    Attributes:
        glob, regex: as of tags; a repository's name is its path without the registry.
        exclude: globs, or `/regular expressions/`.
    """

    glob: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Selection(msgspec.Struct, frozen=True):
    """
    The result of a filter.

    Attributes:
        names: in natural order, each once.
        unmatched: the patterns that no name fits, as `glob '3.*'`.
    """

    names: tuple[str, ...]
    unmatched: tuple[str, ...]


def select(tags: Iterable[str], filters: Sequence[TagFilter]) -> Selection:
    """
    Return the wanted ones of the tags that there are; all of them where there is no filter.

    Exact ones are among them whether they are there or not: that one is missing shows when it is copied.

    Raises:
        InvalidConfig: a regular expression takes too long.
    """
    there = list(dict.fromkeys(tags))
    chosen: set[str] = set()
    unmatched: list[str] = []
    for one in filters or (TagFilter(),):
        names, missed = _selected(there, one)
        chosen |= names
        unmatched += missed
    return Selection(tuple(sorted(chosen, key=age)), tuple(dict.fromkeys(unmatched)))


def known(filters: Sequence[TagFilter]) -> tuple[str, ...] | None:
    """Return the wanted tags where they can be told without listing, else None."""
    if not filters or any(one.listed for one in filters):
        return None
    return select((), filters).names


def select_repositories(names: Iterable[str], wanted: RepositoryFilter) -> Selection:
    """
    Return the wanted ones of the repositories that there are.

    Raises:
        InvalidConfig: a regular expression takes too long.
    """
    there = list(dict.fromkeys(names))
    left, unmatched = _sieved(there, (("glob", wanted.glob, glob), ("regex", wanted.regex, expression)))
    return Selection(tuple(sorted(_without(left, wanted.exclude))), tuple(unmatched))


def age(tag: str) -> tuple[Any, ...]:
    """Return a sort key for tags: other tags first, in natural order, then versions, the newest last."""
    version = parse_version(tag)
    return (0, natural(tag), tag) if version is None else (1, version.key, tag)


def mistakes(filter_: TagFilter | RepositoryFilter) -> Iterator[Diagnostic]:
    """Yield what is invalid in a filter."""
    for kind, read in _READERS.items():
        for index, pattern in enumerate(getattr(filter_, kind, ())):
            try:
                read(pattern)
            except ValueError as error:
                yield Diagnostic((kind, index), str(error))
    newest = getattr(filter_, "newest", None)
    if newest is not None and newest < 1:
        yield Diagnostic(("newest",), f"{newest} is less than 1")
    if getattr(filter_, "prereleases", False) and not getattr(filter_, "semver", ()):
        yield Diagnostic(("prereleases",), "it requires 'semver', which is missing")


def _selected(there: list[str], wanted: TagFilter) -> tuple[set[str], list[str]]:
    exact = set(_without(wanted.exact, wanted.exclude))
    if not wanted.listed:
        return exact, []
    sieves = (
        ("glob", wanted.glob, glob),
        ("regex", wanted.regex, expression),
        ("semver", wanted.semver, functools.partial(_in_range, prereleases=wanted.prereleases)),
    )
    left, unmatched = _sieved(there, sieves)
    left = _without(left, wanted.exclude)
    if wanted.newest is not None:
        left = sorted(left, key=age)[-wanted.newest :]
    return exact | set(left), unmatched


def _sieved(names: list[str], sieves: Iterable[_Sieve]) -> tuple[list[str], list[str]]:
    """Return the names that fit a pattern of each kind, and the patterns that fit none of all names."""
    left, unmatched = names, []
    for kind, patterns, read in sieves:
        matchers = [read(pattern) for pattern in patterns]
        for pattern, matches in zip(patterns, matchers, strict=True):
            if not any(map(matches, names)):
                unmatched.append(f"{kind} {pattern!r}")
        if matchers:
            left = [name for name in left if any(matches(name) for matches in matchers)]
    return left, unmatched


def _without(names: Iterable[str], excluded: tuple[str, ...]) -> list[str]:
    matchers = [glob_or_expression(pattern) for pattern in excluded]
    return [name for name in names if not any(matches(name) for matches in matchers)]


def _in_range(text: str, *, prereleases: bool = False) -> Matcher:
    range_ = Range.parse(text)

    def matches(tag: str) -> bool:
        version = parse_version(tag)
        return version is not None and range_.takes(version, prereleases=prereleases)

    return matches


_READERS: dict[str, Callable[[str], Matcher]] = {
    "glob": glob,
    "regex": expression,
    "semver": _in_range,
    "exclude": glob_or_expression,
}
