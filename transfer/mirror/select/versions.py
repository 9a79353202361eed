"""
Versions and ranges of versions, as tags spell them.

A range is npm's and Masterminds' grammar: `>=1.2 <2 || ^3.1`, `~1.4`, `1.x`, `1.2 - 1.5`, `!=1.3.0`; a space or a comma
is "and", `||` is "or". A version is what tags are in practice: one number or more, with or without a leading `v`,
`1.27` being `1.27.0`; what follows a `-` is a prerelease, be it `rc1` or `alpine`. Pure; knows no registry.
"""

import re
from typing import Any, Self

import msgspec

_IDENTIFIERS = r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*"
_VERSION = re.compile(rf"v?(\d+(?:\.\d+)*)(?:-({_IDENTIFIERS}))?", re.ASCII)
_PARTIAL = re.compile(rf"v?((?:\d+|[xX*])(?:\.(?:\d+|[xX*]))*)(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?", re.ASCII)
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_COMPARATOR = re.compile(r"[\s,]*(>=|=>|<=|=<|!=|==|~>|[<>=~^])?\s*([^\s,<>=!~^]+)[\s,]*")
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_ALIASES = {"=>": ">=", "=<": "<=", "==": "=", "": "=", "~>": "~"}
_LONGEST = 500

# (numbers without the zeros at the end, 1 for a release, the prerelease, 1 for the place just above it)
Key = tuple[tuple[int, ...], int, tuple[Any, ...], int]


def natural(text: str) -> tuple[Any, ...]:
    """Return a key that sorts numbers inside text by their value: `rc2` before `rc11`."""
    parts = _DIGITS.split(text)
    return tuple((0, int(part)) if index % 2 else (1, part) for index, part in enumerate(parts) if part)


class Version(msgspec.Struct, frozen=True):
    """A version; `key` sorts it by semver's precedence, numbers inside a prerelease's words by their value."""

    numbers: tuple[int, ...]
    prerelease: str | None = None

    @property
    def key(self) -> Key:
        words = (self.prerelease or "").split(".") if self.prerelease else []
        identifiers = tuple((0, int(word)) if word.isdecimal() else (1, natural(word)) for word in words)
        return _trimmed(self.numbers), not self.prerelease, identifiers, 0


def parse_version(tag: str) -> Version | None:
    """Return the version that a tag is, or None."""
    match = _VERSION.fullmatch(tag)
    return Version(tuple(map(int, match[1].split("."))), match[2]) if match else None


class _Span(msgspec.Struct, frozen=True):
    """The versions from `low` up to `high`, that one excluded; or all others."""

    low: Key | None
    high: Key | None
    inverted: bool = False

    def __contains__(self, key: Key) -> bool:
        inside = (self.low is None or key >= self.low) and (self.high is None or key < self.high)
        return inside != self.inverted


class _Alternative(msgspec.Struct, frozen=True):
    spans: tuple[_Span, ...]
    names_prerelease: bool


class Range(msgspec.Struct, frozen=True):
    """A set of versions."""

    alternatives: tuple[_Alternative, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a range.

        Raises:
            ValueError: it is not one; the message names the part that cannot be read.
        """
        if len(text) > _LONGEST:
            raise ValueError(f"a range has at most {_LONGEST} characters")
        return cls(tuple(_alternative(part) for part in text.split("||")))

    def takes(self, version: Version, *, prereleases: bool = False) -> bool:
        """Return whether the version is in it; a prerelease only where the range names one, or all are asked for."""
        key = version.key
        return any(
            all(key in span for span in one.spans)
            for one in self.alternatives
            if prereleases or one.names_prerelease or not version.prerelease
        )


def _alternative(text: str) -> _Alternative:
    spans, named = [], False
    for operator, spelled in _terms(text):
        partial = _PARTIAL.fullmatch(spelled)
        if partial is None:
            raise ValueError(f"{spelled!r} is not a version, as in 1.2.3, v1.2 or 1.x")
        numbers = tuple(map(int, _named(partial[1])))
        named = named or partial[2] is not None
        spans.append(_span(operator, Version(numbers, partial[2]), partial=len(numbers) < 3))
    return _Alternative(tuple(spans), named)


def _terms(text: str) -> list[tuple[str, str]]:
    if not text.strip():
        raise ValueError("a range is empty; write * for every version")
    if hyphen := _HYPHEN.fullmatch(text):
        return [(">=", hyphen[1]), ("<=", hyphen[2])]
    terms, at = [], 0
    while at < len(text):
        match = _COMPARATOR.match(text, at)
        if match is None:
            raise ValueError(f"{text[at:].strip()!r} is not a range, as in >=1.2 <2, ^1.4 or 1.x")
        terms.append((_ALIASES.get(match[1] or "", match[1]), match[2]))
        at = match.end()
    return terms


def _span(operator: str, version: Version, *, partial: bool) -> _Span:
    numbers = version.numbers
    if not numbers:  # `*`: nothing is above or below, nothing but it
        return _Span(None, None, inverted=operator in {"<", ">", "!="})
    low = version.key
    # A partial version stands for all that begin with it.
    above = _below(_next(numbers, len(numbers) - 1)) if partial else _just_above(low)
    low = _below(numbers) if partial and operator == "<" else low
    bounds = {">=": (low, None), ">": (above, None), "<": (None, low), "<=": (None, above)}
    if operator in bounds:
        return _Span(*bounds[operator])
    if operator == "~":
        return _Span(low, _below(_next(numbers, min(1, len(numbers) - 1))))
    if operator == "^":
        leading = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
        return _Span(low, _below(_next(numbers, leading)))
    return _Span(low, above, inverted=operator == "!=")


def _named(text: str) -> list[str]:
    """Return the numbers that a version names, up to its first wildcard."""
    parts = text.split(".")
    return parts[: next((index for index, part in enumerate(parts) if part in "xX*"), len(parts))]


def _next(numbers: tuple[int, ...], index: int) -> tuple[int, ...]:
    return (*numbers[:index], numbers[index] + 1)


def _trimmed(numbers: tuple[int, ...]) -> tuple[int, ...]:
    last = max((index for index, number in enumerate(numbers) if number), default=-1)
    return numbers[: last + 1]


def _below(numbers: tuple[int, ...]) -> Key:
    """Return the place below a release and all its prereleases."""
    return _trimmed(numbers), 0, (), 0


def _just_above(key: Key) -> Key:
    return *key[:3], 1
