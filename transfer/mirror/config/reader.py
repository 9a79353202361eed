"""
Plain data as typed settings, piece by piece, so that every mistake is found and not the first alone.

Knows the types, not what they mean together. All text comes in as text: a number or a truth is what it reads as.
"""

import difflib
import pathlib
import re
import types
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from transfer.mirror.config.document import Document
from transfer.mirror.config.settings import Duration, FilePath, Policy, Secret, Size
from transfer.mirror.config.variables import VARIABLE, variables_of
from transfer.mirror.diagnostics import Diagnostic, Path
from transfer.model.duration import parse_duration
from transfer.model.size import parse_size

S = TypeVar("S", bound=msgspec.Struct)

_LARGEST_POLICY = 100_000
_NO_NAME = "'${' begins no ${NAME}: write $${ for itself"
_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


class Reader:
    """
    Reads settings out of one document.

    Attributes:
        mistakes: what was wrong so far; a piece that is wrong is left at its default.
        warnings: keys of another format that are unknown.
    """

    def __init__(
        self, folder: pathlib.Path, environment: Mapping[str, str] | None, variables: Collection[str] = ()
    ) -> None:
        """
        Args:
            folder: where paths begin that are not absolute.
            environment: what `${NAME}` stands for; None for another format, where it stands for itself and unknown
                keys are left alone.
            variables: the names that may be used anywhere; secrets may use all.
        """
        self.mistakes: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._folder = folder
        self._environment = environment
        self._variables = variables

    def struct(self, kind: type[S], raw: Any, path: Path, *, defaults: msgspec.Struct | None = None) -> S | None:
        """
        Settings of a kind; None where something that it cannot do without is missing or wrong.

        Args:
            kind: the type.
            raw: a dict, or None for nothing.
            path: where it stands.
            defaults: what is not said is taken from there, as far as it has it.
        """
        if not isinstance(raw, dict | None):
            self._wrong(path, f"expected keys and values, found {_found(raw)}")
            return None
        raw = raw or {}
        fields = msgspec.structs.fields(kind)
        self._unknown(raw, [one.encode_name for one in fields], path)
        values: dict[str, Any] = {}
        for one in fields:
            if raw.get(one.encode_name) is not None:
                value = self.value(raw[one.encode_name], one.type, (*path, one.encode_name))
                values |= {} if value is None else {one.name: value}
            elif one.encode_name not in raw and hasattr(defaults, one.name):
                values[one.name] = getattr(defaults, one.name)
            elif one.required:
                self._wrong((*path, one.encode_name), "it is missing")
        complete = all(one.name in values for one in fields if one.required)
        return kind(**values) if complete else None

    def value(self, raw: Any, kind: Any, path: Path) -> Any:
        """Return a value of a type; None where it is none."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self.value(raw, next(one for one in arguments if one is not type(None)), path)
        if origin is tuple:
            return self._tuple(raw, arguments[0], path)
        if origin is dict:
            return self._dict(raw, arguments[1], path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(kind, raw, path)
        return self._scalar(raw, kind, path)

    def _tuple(self, raw: Any, kind: Any, path: Path) -> tuple[Any, ...] | None:
        """Read a list; a single value is taken for a list of one."""
        if raw is None:
            return ()
        if isinstance(raw, list):
            found = tuple(self.value(item, kind, (*path, index)) for index, item in enumerate(raw))
        else:
            found = (self.value(raw, kind, path),)
        right = tuple(item for item in found if item is not None)
        return right if right or not found else None

    def _dict(self, raw: Any, kind: Any, path: Path) -> dict[str, Any] | None:
        if not isinstance(raw, dict):
            self._wrong(path, f"expected keys and values, found {_found(raw)}")
            return None
        found = {key: self.value(item, kind, (*path, key)) for key, item in raw.items()}
        return {key: item for key, item in found.items() if item is not None}

    def _scalar(self, raw: Any, kind: Any, path: Path) -> Any:
        before = len(self.mistakes)
        if not isinstance(raw, str):
            self._wrong(path, f"expected one value, found {_found(raw)}{_quoted(raw)}")
        elif kind is Secret:
            self._names(raw, path)
        else:
            raw = self._expanded(raw, path)
        if kind is Secret and isinstance(raw, str):
            return raw
        if len(self.mistakes) > before:
            return None
        try:
            return self._read(raw, kind)
        except msgspec.ValidationError:
            self._wrong(path, f"{raw[:100]!r} is not {_expected(kind)}")
        except OSError as error:
            self._wrong(path, f"{error.filename!r}: {error.strerror}")
        except ValueError as error:
            self._wrong(path, str(error))
        return None

    def _read(self, text: str, kind: Any) -> Any:
        if kind is Size:
            return parse_size(text)
        if kind is Duration:
            return parse_duration(text)
        if kind is FilePath:
            return str(self._folder / pathlib.Path(text).expanduser())
        if kind is Policy:
            return self._policy(text)
        return msgspec.convert(text, kind, strict=False)

    def _policy(self, text: str) -> str:
        if text.startswith("file://"):
            with (self._folder / text.removeprefix("file://")).open(encoding="utf-8") as file:
                text = file.read(_LARGEST_POLICY)
        try:
            document = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(f"it is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ValueError("a policy is a JSON object")  # noqa: TRY004 -- a mistake of a file, not of a caller
        return text

    def _expanded(self, text: str, path: Path) -> str:
        """Return the text with the variables that the file may name everywhere filled in."""
        environment = self._environment
        if environment is None:
            return text

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return "${"
            if not name:
                self._wrong(path, _NO_NAME)
            elif name not in self._variables:
                self._wrong(path, f"${{{name}}} is not allowed here: list {name} under 'variables', or write $${{")
            return environment.get(name, "unset")  # said where it is listed

        return VARIABLE.sub(fill, text)

    def _names(self, text: str, path: Path) -> None:
        environment = self._environment
        if environment is None:
            return
        for name in variables_of(text):
            if not name:
                self._wrong(path, _NO_NAME)
            elif name not in environment:
                self._wrong(path, f"the environment has no variable {name!r}", of_secret=True)

    def _unknown(self, raw: dict[str, Any], known: list[str], path: Path) -> None:
        foreign = self._environment is None
        for key in raw:
            if key in known or (key.startswith("x-") and (foreign or path == ())):
                continue
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            found = self.warnings if foreign else self.mistakes
            found.append(Diagnostic((*path, key), f"the key is unknown: {hint}"))

    def _wrong(self, path: Path, reason: str, *, of_secret: bool = False) -> None:
        self.mistakes.append(Diagnostic(path, reason, of_secret=of_secret))


def located(document: Document, mistake: Diagnostic) -> Diagnostic:
    """Return a diagnostic with its path and line in the document."""
    path = above = _as_written(document.value, mistake.path)
    while above and above not in document.lines:
        above = above[:-1]
    line = mistake.line or (document.lines.get(above) if path else None)
    return mistake._replace(path=path, line=line)


def _as_written(value: Any, path: Path) -> Path:
    """Return a path without the indices of lists that were written as a single value."""
    written: list[str | int] = []
    for part in path:
        if isinstance(value, str) or (isinstance(value, dict) and isinstance(part, int)):
            continue
        written.append(part)
        inside = isinstance(value, list) and isinstance(part, int) and part < len(value)
        value = value[part] if inside else value.get(part) if isinstance(value, dict) else None
    return tuple(written)


def _expected(kind: Any) -> str:
    return " or ".join(filter(None, get_args(kind))) if get_origin(kind) is Literal else _WORDS.get(kind, "text")


def _quoted(raw: Any) -> str:
    """Return the advice for a placeholder that YAML takes for a mapping."""
    return f"; quote it: '{{{next(iter(raw))}}}'" if isinstance(raw, dict) and list(raw.values()) == [None] else ""


def _found(raw: Any) -> str:
    match raw:
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case _:
            return "nothing" if raw is None else "one value"
