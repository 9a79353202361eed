"""
YAML as plain data with line numbers.

Every scalar stays the text that was written, so that the tag `3.10` is no number; nothing, `~` and `null` are None.
Tags of objects, keys that stand twice, and documents that grow by aliases are refused.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from transfer.mirror.diagnostics import Diagnostic, Path

_MOST_VALUES = 100_000
_DEEPEST = 50
_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value")}
_NULL = "tag:yaml.org,2002:null"
# What begins a value and is no text to YAML.
_SPECIAL = re.compile(r"(?:[:,-]\s+|\[\s*)([{&!%@`|>])")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Document:
    """
    The content of a configuration file.

    Attributes:
        value: dict, list, str or None, nested; None too where nothing could be read.
        lines: the line, from 1, that each place stands on.
        mistakes: what could not be read, and where.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[Diagnostic] = field(default_factory=list)


def read_document(text: str) -> Document:
    """Parse a YAML text; errors are in `mistakes`, and none is raised."""
    document = Document()
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None:
            document.value = _Builder(document).value(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.mistakes.append(
            Diagnostic((), f"it is not YAML: {_reason(error, text)}", mark.line + 1 if mark else None)
        )
    except yaml.YAMLError:
        document.mistakes.append(Diagnostic((), "it is not YAML: it has a character that is not printable"))
    except RecursionError:
        document.mistakes.append(Diagnostic((), "it is nested too deeply"))
    except _TooMuch as error:
        document.value = None
        document.mistakes = [Diagnostic((), str(error))]
    return document


def _reason(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return the parser's message, without the name of an alias: that may be a password that begins with '*'."""
    if "alias" in (error.problem or "") or "alias" in (error.context or ""):
        return "an alias has no anchor; quote a text that begins with '*'"
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    for mark in (error.problem_mark, error.context_mark):
        line = text.splitlines()[mark.line : mark.line + 1] if mark else []
        if line and (begins := _SPECIAL.search(line[0])):
            return f"{reason}; quote a text that begins with {begins[1]!r}"
    return reason


class _TooMuch(Exception):
    pass


class _Builder:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise _TooMuch(f"it has more than {_MOST_VALUES} values, those of its aliases counted each time")
        if len(path) > _DEEPEST:
            raise _TooMuch(f"it is nested more than {_DEEPEST} deep")
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return None if node.tag == _NULL else node.value
        self._wrong(path, "a YAML tag is not allowed; quote a text that begins with '!'", node)
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged |= self._merged(value_node, path)
                continue
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(path, "a key is a list or a mapping", key_node)
            elif key in found:
                self._wrong((*path, key), "the key is here twice", key_node)
            else:
                self._document.lines[*path, key] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*path, key))
        return found | {key: value for key, value in merged.items() if key not in found}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """Return the keys of `<<`: of one mapping, or of several, the first one to say a key wins."""
        merged: dict[str, Any] = {}
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(one, yaml.MappingNode):
                merged = self.value(one, path) | merged
            else:
                self._wrong(path, "'<<' takes a mapping", one)
        return merged

    def _wrong(self, path: Path, reason: str, node: yaml.Node) -> None:
        self._document.mistakes.append(Diagnostic(path, reason, node.start_mark.line + 1))
