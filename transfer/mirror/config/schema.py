"""
The JSON schema of our own format, as editors read it. Pure.

`schema.json` beside this file is what `schema()` gives; a test holds them together. What keys mean is taken from the
docstrings of the settings.
"""

import inspect
import re
from typing import Any

import msgspec

from transfer.mirror.config import settings

_ATTRIBUTES = re.compile(r"^ {4}(\w[\w, ]*): (.+(?:\n {8}.+)*)", re.MULTILINE)
# What stands for a type of `settings`, by its title.
_WRITTEN = {
    "size": {"type": ["integer", "string"]},
    "duration": {"type": ["number", "string"]},
    "secret": {"type": ["string", "number"]},
    "path": {"type": "string"},
    "policy": {"type": "string"},
}


def schema() -> dict[str, Any]:
    """Return the schema of a configuration file."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(settings.ConfigFile)}
    document["$defs"] = {name: _described(_as_written(one), name) for name, one in document["$defs"].items()}
    document["$defs"]["ConfigFile"]["patternProperties"] = {"^x-": {}}
    for name in ("Defaults", "MirrorRule"):
        _with_shorthand(document["$defs"][name]["properties"])
    return document


def _as_written(value: Any) -> Any:
    """Return the schema of a value as a file may write it: `10MB`, a tag like 1.20, a value for a list of one."""
    if isinstance(value, list | tuple):
        return [_as_written(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("title") in _WRITTEN and value.get("type") in {"integer", "number", "string"}:
        return _WRITTEN[value["title"]]
    found = {key: _as_written(item) for key, item in value.items()}
    if found.get("type") == "string" and "enum" not in found:
        found["type"] = ["string", "number"]
    if found.get("type") == "array":
        rest = {key: found.pop(key) for key in ("default",) if key in found}
        return {"anyOf": [found, found["items"], {"type": "null"}], **rest}
    return found


def _with_shorthand(properties: dict[str, Any]) -> None:
    """Let tags be patterns and names, and what is created or pruned be said with yes and no."""
    array, one, *others = properties["tags"]["anyOf"]
    either = {"anyOf": [one, {"type": ["string", "number"]}]}
    properties["tags"]["anyOf"] = [{**array, "items": either}, *either["anyOf"], *others]
    for name in ("create", "prune"):
        properties[name]["anyOf"].append({"type": "boolean"})


def _described(struct: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the type with the lines of its docstring, and of those that it inherits from, where they belong."""
    for one in getattr(settings, name).__mro__:
        for names, meaning in _ATTRIBUTES.findall(inspect.cleandoc(one.__doc__ or "")):
            for key in names.split(", "):
                if key in struct["properties"]:
                    struct["properties"][key].setdefault("description", " ".join(meaning.split()))
    return struct | {"description": struct["description"].partition("\n")[0]}
