"""
Patterns over names: globs and regular expressions. Pure; knows neither tags nor repositories.

A regular expression must match the whole name. It may come with a file that somebody else wrote, and the names come
from a registry, so each match has a time limit.
"""

import fnmatch
import functools
import re
from collections.abc import Callable

from transfer.errors import InvalidConfig

Matcher = Callable[[str], bool]

_LONGEST = 1000
_SECONDS = 1.0
_PATH_WILDCARD = re.compile(r"(\*\*|\*|\?)")
_PATH_MEANING = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@functools.lru_cache(maxsize=1024)
def expression(pattern: str) -> Matcher:
    """
    Return whether a regular expression matches a name as a whole.

    Raises:
        ValueError: it is not one. The matcher raises InvalidConfig where it takes too long.
    """
    if len(pattern) > _LONGEST:
        raise ValueError(f"a regular expression has at most {_LONGEST} characters")
    # Most mirrors have none, and the library takes a while to import.
    import regex  # noqa: PLC0415

    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None

    def matches(name: str) -> bool:
        try:
            return compiled.fullmatch(name, timeout=_SECONDS) is not None
        except TimeoutError:
            raise InvalidConfig(f"the regular expression {pattern!r} takes too long on {name!r}; simplify it") from None

    return matches


def glob(pattern: str) -> Matcher:
    """
    Return whether a glob (`*`, `?`, `[…]`) matches a name.

    Raises:
        ValueError: it is empty or too long.
    """
    if not 0 < len(pattern) <= _LONGEST:
        raise ValueError(f"a pattern has 1 to {_LONGEST} characters")
    return functools.partial(_fnmatch, pattern)


def glob_or_expression(pattern: str) -> Matcher:
    """
    Return whether a glob, or a regular expression written as `/…/`, matches a name.

    Raises:
        ValueError: it is neither.
    """
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        return expression(pattern[1:-1])
    return glob(pattern)


def path_glob(pattern: str) -> Matcher:
    """
    Return whether a glob matches a path: `*` and `?` stop at a `/`, `**` does not.

    Raises:
        ValueError: it is too long.
    """
    parts = _PATH_WILDCARD.split(pattern)
    return expression("".join(_PATH_MEANING.get(part) or re.escape(part) for part in parts))


def _fnmatch(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)
