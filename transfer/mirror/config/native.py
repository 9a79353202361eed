"""Our own format, from plain data to a draft and back to YAML. Opens only the files that policies are in."""

import pathlib
from collections.abc import Mapping as Environment
from typing import Any

import msgspec
import yaml

from transfer.errors import InvalidReference
from transfer.mirror.config.builder import SETTINGS, ConfigBuilder
from transfer.mirror.config.reader import Reader
from transfer.mirror.config.references import parse_source
from transfer.mirror.config.settings import ConfigFile, Defaults, MirrorConfig, MirrorRule, RegistryConfig
from transfer.mirror.config.shorthand import expand_shorthand
from transfer.mirror.config.variables import escape

_DEFAULTS = Defaults.__struct_fields__
_SECRETS = ("username", "password")


def read_own(raw: dict[str, Any], folder: pathlib.Path, environment: Environment[str, str]) -> ConfigBuilder:
    """Return the draft of a file's data; paths that are not absolute begin at `folder`."""
    draft = ConfigBuilder()
    raw = expand_shorthand(raw)
    variables = _variables(raw, environment, draft)
    reader = Reader(folder, environment, variables)
    defaults = reader.struct(Defaults, raw.get("defaults"), ("defaults",)) or Defaults()
    _registries(raw, reader, draft)
    _mappings(raw, defaults, reader, draft)
    rest = {key: value for key, value in raw.items() if key not in ("defaults", "registries", "mappings", "variables")}
    settings = reader.struct(ConfigFile, rest | {"mappings": []}, ())
    draft.settings = {name: getattr(settings, name) for name in SETTINGS}
    draft.mistakes += reader.mistakes
    return draft


def write_own(config: MirrorConfig) -> str:
    """YAML that reads as this configuration."""
    document = _escaped(msgspec.to_builtins(config))
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _variables(raw: dict[str, Any], environment: Environment[str, str], draft: ConfigBuilder) -> tuple[str, ...]:
    reader = Reader(pathlib.Path(), environment)
    names: tuple[str, ...] = reader.value(raw.get("variables"), tuple[str, ...], ("variables",)) or ()
    for index, name in enumerate(names):
        if name not in environment:
            draft.wrong(("variables", index), f"the environment has no variable {name!r}", of_secret=True)
    draft.mistakes += reader.mistakes
    return names


def _registries(raw: dict[str, Any], reader: Reader, draft: ConfigBuilder) -> None:
    registries = reader.value(raw.get("registries") or {}, dict[str, RegistryConfig], ("registries",))
    draft.registries = [(("registries", host), host, registry) for host, registry in (registries or {}).items()]


def _mappings(raw: dict[str, Any], defaults: Defaults, reader: Reader, draft: ConfigBuilder) -> None:
    if raw.get("mappings") is None:
        draft.wrong(("mappings",), "it is missing")
        return
    listed = raw["mappings"] if isinstance(raw["mappings"], list) else [raw["mappings"]]
    for index, one in enumerate(listed):
        path = ("mappings", index)
        mapping = reader.struct(MirrorRule, one, path, defaults=defaults)
        if mapping is not None:
            draft.mappings.append((path, _narrowed(mapping, one)))
            draft.origins |= {(*path, name): ("defaults", name) for name in _DEFAULTS if name not in one}


def _narrowed(mapping: MirrorRule, raw: dict[str, Any]) -> MirrorRule:
    """Return a mapping of one image does without the defaults that choose among tags."""
    try:
        choice = parse_source(mapping.source).choice
    except InvalidReference:
        return mapping
    inherited = {name: empty for name, empty in (("tags", ()), ("prune", None)) if choice and name not in raw}
    return msgspec.structs.replace(mapping, **inherited)


def _escaped(value: Any) -> Any:
    """Return the data with `${` written so that it stands for itself; secrets hold variables that stay."""
    match value:
        case dict():
            return {key: item if key in _SECRETS else _escaped(item) for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
        case str():
            return escape(value)
        case _:
            return value
