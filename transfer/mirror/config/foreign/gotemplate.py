"""
Go's templates, as far as regsync's documentation uses them: `{{env "X"}}`, `{{file "PATH"}}` and fields such as
`{{.Ref.Tag}}`. Pure: says what is to be filled in, and fills in nothing.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal

_ACTION = re.compile(r"(\s+(?={{- ))?{{(- )?(.*?)( -)?}}", re.DOTALL)
_CALL = re.compile(r"""\s*(env|file)\s+("(?:[^"\\\n]|\\.)*"|`[^`]*`)\s*""")
_FIELD = re.compile(r"\s*(\.[A-Z][A-Za-z]*(?:\.[A-Z][A-Za-z]*)*)\s*")


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """Text as it stands, or what an action is about: a variable, a file, a field."""

    kind: Literal["text", "env", "file", "field"]
    value: str


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
    if call := _CALL.fullmatch(text):
        quoted = call[2]
        try:
            return TemplatePart(
                "env" if call[1] == "env" else "file", quoted[1:-1] if quoted[0] == "`" else json.loads(quoted)
            )
        except ValueError:
            raise ValueError(f"the template {{{{{text}}}}} has a text that cannot be read") from None
    if found := _FIELD.fullmatch(text):
        return TemplatePart("field", found[1])
    known = '{{env "X"}}, {{file "PATH"}} and fields'
    raise ValueError(f"the template {{{{{text.strip()[:100]}}}}} is not supported: only {known}")
