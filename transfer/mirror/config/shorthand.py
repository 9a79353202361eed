"""What people write for short in our own format, as the settings that it means. Pure; keeps no line numbers."""

from collections.abc import Mapping
from typing import Any

_YES = frozenset({"true", "yes", "on"})
_NO = frozenset({"false", "no", "off"})
_GLOB = frozenset("*?[")
_RANGE = ("^", "~", ">", "<", "=")
_TLS = "https://"


def expand_shorthand(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's data with what is written for short written out; what is none of it stays as it is."""
    found = dict(raw)
    if isinstance(found.get("defaults"), dict):
        found["defaults"] = _settings(found["defaults"])
    if isinstance(found.get("registries"), dict):
        found["registries"] = {_without_tls(host): one for host, one in found["registries"].items()}
    mappings = found.get("mappings")
    if isinstance(mappings, dict):
        found["mappings"] = _mapping(mappings)
    elif isinstance(mappings, list):
        found["mappings"] = [_mapping(one) if isinstance(one, dict) else one for one in mappings]
    return found


def _mapping(raw: Mapping[str, Any]) -> dict[str, Any]:
    found = _settings(raw)
    for name in ("source", "targets"):
        if name in found:
            value = found[name]
            found[name] = [_without_tls(one) for one in value] if isinstance(value, list) else _without_tls(value)
    return found


def _settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(raw)
    if "tags" in found:
        found["tags"] = _tags(found["tags"])
    for name, off in (("create", None), ("prune", {"enabled": "false"})):
        value = found.get(name)
        if isinstance(value, str) and value.lower() in _YES:
            found[name] = {}
        elif isinstance(value, str) and value.lower() in _NO:
            found[name] = off
    return found


def _tags(value: Any) -> Any:
    """`v1`, `v1.*` and `>=1.2`, alone or in a list, are filters by name, by pattern and by version."""
    if isinstance(value, str):
        return _tag_filter([value])
    texts = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    return [_tag_filter(texts), *(one for one in value if not isinstance(one, str))] if texts else value


def _tag_filter(texts: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        kind = "semver" if text.startswith(_RANGE) else "glob" if _GLOB & set(text) else "exact"
        found.setdefault(kind, []).append(text)
    return found


def _without_tls(value: Any) -> Any:
    return value.removeprefix(_TLS) if isinstance(value, str) else value
