"""
Go's templates, as far as regclient's documentation and tests use them: fields such as `{{.Ref.Tag}}`, `{{env "X"}}`,
`{{file "PATH"}}`, and functions over texts and lists, in parentheses and in pipelines.

Pure: reads no variable and no file, but asks whoever fills a template in. Sources: Go's text/template, and the
functions of regclient's pkg/template, whose arguments are those of Go's `strings`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

_ACTION = re.compile(r"(\s+(?={{- ))?{{(- )?(.*?)( -)?}}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<field>\.[A-Z]\w*(?:\.[A-Z]\w*)*)|(?P<number>-?[0-9]{1,9})"""
    r"""|(?P<name>[A-Za-z]\w*)|(?P<mark>[()|]))\s*"""
)
_DEEPEST = 20

Value = str | int | list[str]
Kind = Literal["env", "file", "field"]


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """
    Text as it stands, or what an action is about: a variable, a file, a field, or a call of functions.

    Attributes:
        pipeline: of a call, what is computed; `value` is how it is written.
    """

    kind: Literal["text", "env", "file", "field", "call"]
    value: str
    pipeline: "Pipeline | None" = None


@dataclass(frozen=True, slots=True)
class Command:
    """A function with its operands, or one operand alone."""

    function: str | None
    operands: tuple["Operand", ...]


Pipeline = tuple[Command, ...]
# A text or number, a field, or a pipeline in parentheses.
Operand = Value | TemplatePart | Pipeline


def parse(template: str) -> list[TemplatePart]:
    """
    Return the parts of a template.

    Raises:
        ValueError: an action is none of those that are known here; the message names it.
    """
    parts, at, trim = [], 0, False
    for match in _ACTION.finditer(template):
        parts.append(_text(template[at : match.start()], trim=trim))
        parts.append(_action(match[3]))
        at, trim = match.end(), match[4] is not None
    parts.append(_text(template[at:], trim=trim))
    if any("{{" in part.value for part in parts if part.kind == "text"):
        raise ValueError("a '{{' is not closed")
    return [part for part in parts if part.kind != "text" or part.value]


def _text(text: str, *, trim: bool) -> TemplatePart:
    return TemplatePart("text", text.lstrip() if trim else text)


def _action(text: str) -> TemplatePart:
    try:
        pipeline = _Parser(text).pipeline()
    except _NotRead as error:
        raise ValueError(f"the template {{{{{text.strip()[:100]}}}}} is not supported: {error}") from None
    match pipeline:
        case (Command(function=None, operands=(TemplatePart() as field,)),):
            return field
        case (Command(function="env" | "file" as kind, operands=(str(value),)),):
            return TemplatePart("env" if kind == "env" else "file", value)
        case _:
            return TemplatePart("call", text.strip(), pipeline)


class _NotRead(Exception):
    """Why an action cannot be read; never leaves this module."""


class _Parser:
    """Reads one action."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _NotRead(f"{text[at : at + 20].strip()!r} cannot be read")
            self._tokens.append((match.lastgroup or "", match[match.lastgroup or ""]))
            at = match.end()
        self._at = 0
        self._depth = 0

    def pipeline(self) -> Pipeline:
        """Return the whole action, or what is in parentheses."""
        commands = [self._command(first=True)]
        while self._take("|"):
            commands.append(self._command(first=False))
        if self._depth == 0 and self._at < len(self._tokens):
            raise _NotRead(f"{self._tokens[self._at][1]!r} is in the wrong place")
        return tuple(commands)

    def _command(self, *, first: bool) -> Command:
        function = None
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "name":
            function = self._tokens[self._at][1]
            if function not in _FUNCTIONS:
                raise _NotRead(f"only fields and the functions {', '.join(_FUNCTIONS)} are known")
            self._at += 1
        operands = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
        if function is None and (len(operands) != 1 or not first):
            raise _NotRead("a function or a single value is expected")
        if function is not None and len(operands) + (not first) not in _FUNCTIONS[function][0]:
            raise _NotRead(f"{function} has another number of arguments")
        return Command(function, tuple(operands))

    def _operand(self) -> Operand | None:
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _NotRead("it is nested too deep")
            inner = self.pipeline()
            if not self._take(")"):
                raise _NotRead("a '(' is not closed")
            self._depth -= 1
            return inner
        if self._at >= len(self._tokens):
            return None
        kind, text = self._tokens[self._at]
        if kind not in {"text", "field", "number"}:
            return None
        self._at += 1
        match kind:
            case "text":
                return _unquoted(text)
            case "number":
                return int(text)
            case _:
                return TemplatePart("field", text)

    def _take(self, mark: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += found
        return found


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    try:
        value: str = json.loads(text)
    except ValueError:
        raise _NotRead(f"{text} is not a text") from None
    return value


def evaluate(pipeline: Pipeline, look_up: Callable[[Kind, str], str]) -> str:
    """
    Return what a call comes to.

    Args:
        look_up: returns what a variable, a file or a field holds.

    Raises:
        ValueError: a function does not take such values, or a list has no such entry.
    """
    value = _value(pipeline, look_up)
    if isinstance(value, list):
        return f"[{' '.join(value)}]"
    return str(value)


def _value(operand: Operand, look_up: Callable[[Kind, str], str]) -> Value:
    if isinstance(operand, TemplatePart):
        return look_up("field", operand.value)
    if not isinstance(operand, tuple):
        return operand
    passed: list[Value] = []
    for command in operand:
        values = [*(_value(one, look_up) for one in command.operands), *passed]
        passed = [values[0] if command.function is None else _called(command.function, values, look_up)]
    return passed[0]


def _called(name: str, values: Sequence[Value], look_up: Callable[[Kind, str], str]) -> Value:
    if name in {"env", "file"} and isinstance(values[0], str):
        return look_up("env" if name == "env" else "file", values[0])
    try:
        found: Value = _FUNCTIONS[name][1](*values)
    except (TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{name} cannot be applied: {error}") from None
    return found


def _index(values: list[str], number: int) -> str:
    if not isinstance(values, list) or number < 0:
        raise TypeError("a list and a number of its entries are expected")
    if number >= len(values):
        raise IndexError(f"the list has {len(values)} entries, and entry {number} is asked for")
    return values[number]


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, most)


# By name: the numbers of arguments, and what it does.
_FUNCTIONS: dict[str, tuple[frozenset[int], Callable[..., Value]]] = {
    "contains": (frozenset({2}), lambda text, part: "true" if part in text else "false"),
    "default": (frozenset({2}), lambda otherwise, value: value or otherwise),
    "env": (frozenset({1}), str),
    "file": (frozenset({1}), str),
    "index": (frozenset({2}), _index),
    "join": (frozenset({2}), lambda values, separator: separator.join(values)),
    "len": (frozenset({1}), len),
    "lower": (frozenset({1}), lambda text: text.lower()),
    "print": (frozenset(range(1, 10)), lambda *values: "".join(map(str, values))),
    "printf": (frozenset(range(1, 10)), lambda form, *values: re.sub(r"%[vds]", "%s", form) % values),
    "replace": (frozenset({3, 4}), _replace),
    "replaceAll": (frozenset({3}), _replace),
    "split": (frozenset({2}), _split),
    "trim": (frozenset({2}), lambda text, characters: text.strip(characters)),
    "trimLeft": (frozenset({2}), lambda text, characters: text.lstrip(characters)),
    "trimPrefix": (frozenset({2}), lambda text, prefix: text.removeprefix(prefix)),
    "trimRight": (frozenset({2}), lambda text, characters: text.rstrip(characters)),
    "trimSpace": (frozenset({1}), lambda text: text.strip()),
    "trimSuffix": (frozenset({2}), lambda text, suffix: text.removesuffix(suffix)),
    "upper": (frozenset({1}), lambda text: text.upper()),
}
