"""Checks of settings that types cannot express. Pure."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from transfer.endpoints.locations import EcrLocation, locate_repository
from transfer.endpoints.registry_access import check_token_host
from transfer.errors import InvalidConfig, InvalidReference
from transfer.mirror.config.references import SourceSpec, TargetTemplate, check_backup, parse_source, parse_target
from transfer.mirror.config.schedule import check_watch
from transfer.mirror.config.settings import CreateRepository, MirrorConfig, MirrorRule, Prune, RegistryConfig
from transfer.mirror.diagnostics import Diagnostic, Path, spelled
from transfer.mirror.select.filters import known, mistakes
from transfer.mirror.select.patterns import glob_or_expression
from transfer.model.platform import parse_platform
from transfer.model.reference import Reference, parse_reference


def check_registry(host: str, registry: RegistryConfig) -> Iterator[Diagnostic]:
    """Yield what is wrong in the settings of a registry."""
    try:
        place = locate_repository(f"{host}/repository")
    except InvalidReference:
        yield Diagnostic((), f"{host!r} is not a host with an optional port")
        return
    if place.reference.registry != host:
        yield Diagnostic((), f"write it in small letters: {place.reference.registry}")
    yield from _login(registry)
    yield from _aws(registry, is_ecr=isinstance(place, EcrLocation))
    yield from _each(("token_hosts",), registry.token_hosts, check_token_host)
    if registry.key and not registry.cert:
        yield Diagnostic(("key",), "it requires 'cert', the certificate of this key")
    if registry.plain_http and (registry.ca or registry.cert or not registry.tls_verify):
        yield Diagnostic(("plain_http",), "it excludes all other TLS settings")
    for name in ("max_concurrent", "max_per_second"):
        number = getattr(registry, name)
        if number is not None and not 0 < number < float("inf"):
            yield Diagnostic((name,), f"{number} is not more than 0")


def check_mapping(mapping: MirrorRule) -> Iterator[Diagnostic]:
    """Yield what is wrong in one mapping."""
    source = None
    try:
        source = parse_source(mapping.source)
    except InvalidReference as error:
        yield Diagnostic(("source",), str(error))
    if not mapping.targets:
        yield Diagnostic(("targets",), "there is none")
    yield from _filters(mapping, source)
    yield from _each(("platforms",), mapping.platforms, parse_platform)
    if mapping.backup is not None:
        yield from _each((), (mapping.backup,), check_backup, single="backup")
    if mapping.prune:
        yield from _prune(mapping.prune)
    if mapping.create:
        yield from _create(mapping.create)
    for index, text in enumerate(mapping.targets):
        yield from _target(text, source, mapping, ("targets", index))


def clashes(mappings: Sequence[tuple[Path, MirrorRule]]) -> Iterator[Diagnostic]:
    """Yield where two mappings are known to write the same tag; each must be valid."""
    writers: dict[Reference, Path] = {}
    for path, mapping in mappings:
        for below, target in _known_writes(mapping):
            first = writers.setdefault(target, (*path, *below))
            if first != (*path, *below):
                yield Diagnostic((*path, *below), f"it writes {target}, as {spelled(first)} does")


def unused_registries(config: MirrorConfig) -> Iterator[tuple[str, str]]:
    """Yield hosts that no mapping uses, and what to say of each: behind a typing error is a login that is not used."""
    used: set[str] = set()
    for mapping in config.mappings:
        with suppress(InvalidConfig, InvalidReference):
            used.add(parse_source(mapping.source).registry)
        for target in mapping.targets:
            with suppress(InvalidConfig, InvalidReference):
                used.add(parse_target(target).registry)
    for host in config.registries:
        if used and host not in used:
            close = difflib.get_close_matches(host, sorted(used), n=1, cutoff=0.7)
            hint = f"; did you mean {close[0]!r}?" if close else f"; they use {', '.join(sorted(used))}"
            yield host, f"no mapping uses {host!r}{hint}"


def check_numbers(config: MirrorConfig) -> Iterator[Diagnostic]:
    """Yield what is wrong in the settings of a whole mirror."""
    if not config.mappings:
        yield Diagnostic(("mappings",), "there is none")
    if config.jobs is not None and config.jobs < 1:
        yield Diagnostic(("jobs",), f"{config.jobs} is less than 1")
    if config.retry_for is not None and config.retry_for < 0:
        yield Diagnostic(("retry_for",), f"{config.retry_for} is less than 0")
    if config.hub_reserve is not None and config.hub_reserve < 0:
        yield Diagnostic(("hub_reserve",), f"{config.hub_reserve} is less than 0")
    if config.watch is not None:
        yield from _each((), (config.watch,), check_watch, single="watch")


def _login(registry: RegistryConfig) -> Iterator[Diagnostic]:
    if registry.password is not None and registry.password_file is not None:
        yield Diagnostic(("password_file",), "it excludes 'password': give one of them")
    has_password = registry.password is not None or registry.password_file is not None
    if registry.username is None and has_password:
        yield Diagnostic(("username",), "'password' requires it")
    if registry.username is not None and not has_password:
        yield Diagnostic(("password",), "'username' requires it, or 'password_file'")
    if registry.username is not None and (not registry.username or ":" in registry.username):
        yield Diagnostic(("username",), "it is empty, or has a ':'")
    if registry.anonymous and (registry.username is not None or has_password):
        yield Diagnostic(("anonymous",), "it excludes a login: give one of them")


def _aws(registry: RegistryConfig, *, is_ecr: bool) -> Iterator[Diagnostic]:
    if is_ecr and (registry.username is not None or registry.anonymous):
        yield Diagnostic(
            ("username" if registry.username else "anonymous",), "ECR uses AWS credentials: give 'profile'"
        )
    for name, default in (("profile", None), ("role", None), ("endpoint_url", None), ("ecr_protocol", "auto")):
        if getattr(registry, name) != default and not is_ecr:
            yield Diagnostic((name,), "only ECR has it, and this registry is not ECR")


def _filters(mapping: MirrorRule, source: SourceSpec | None) -> Iterator[Diagnostic]:
    for index, one in enumerate(mapping.tags):
        yield from (mistake.below(("tags", index)) for mistake in mistakes(one))
        yield from _each(("tags", index, "exact"), one.exact, _check_tag)
    if mapping.repositories:
        yield from (mistake.below(("repositories",)) for mistake in mistakes(mapping.repositories))
        if source and source.pattern is None:
            yield Diagnostic(("repositories",), "the source names one repository; host/team/* names several")
    if source and source.choice and mapping.tags:
        yield Diagnostic(("tags",), "the source names one image")


def _prune(prune: Prune) -> Iterator[Diagnostic]:
    if not 0 < prune.limit <= 100:
        yield Diagnostic(("prune", "limit"), f"{prune.limit} is not more than 0 and up to 100 percent")
    yield from _each(("prune", "protect"), prune.protect, glob_or_expression)


def _create(create: CreateRepository) -> Iterator[Diagnostic]:
    if create.encryption and create.encryption.kms_key and create.encryption.type == "AES256":
        yield Diagnostic(("create", "encryption", "kms_key"), "it is for the types KMS and KMS_DSSE")
    excluding = (create.mutability or "").endswith("_WITH_EXCLUSION")
    if excluding != bool(create.mutability_exclude):
        yield Diagnostic(("create", "mutability_exclude"), "it requires a mutability that ends in _WITH_EXCLUSION")


def _target(text: str, source: SourceSpec | None, mapping: MirrorRule, path: Path) -> Iterator[Diagnostic]:
    try:
        template = parse_target(text)
    except InvalidConfig as error:
        yield Diagnostic(path, str(error))
        return
    if source is None:
        return
    choices = _choices(source, mapping)
    if not template.tag_varies and (choices is None or len(choices) > 1):
        yield Diagnostic(path, f"{text!r}: every tag would be written to the same one; use {{tag}} in it")
    if source.pattern is not None and not template.repository_varies:
        yield Diagnostic(path, f"{text!r}: every repository would be written to the same one; use {{repository}} in it")
    if source.pattern is None:
        for choice in ("any",) if choices is None else choices:
            yield from _image(source, choice, template, path)


def _image(source: SourceSpec, choice: str, template: TargetTemplate, path: Path) -> Iterator[Diagnostic]:
    try:
        image = source.reference(choice)
        if template.render(image) == image:
            yield Diagnostic(path, f"{template.text!r}: it is the source itself")
    except InvalidConfig as error:
        yield Diagnostic(path, str(error))
    except InvalidReference:
        return  # said of the filter


def _choices(source: SourceSpec, mapping: MirrorRule) -> tuple[str, ...] | None:
    """Return the tags and digests that a mapping takes, where that can be told without listing."""
    if source.choice:
        return (source.choice,)
    try:
        return known(mapping.tags)
    except ValueError:  # said of the filter
        return None


def _known_writes(mapping: MirrorRule) -> Iterator[tuple[Path, Reference]]:
    source = parse_source(mapping.source)
    choices = _choices(source, mapping)
    if source.pattern is not None or choices is None:
        return
    for index, text in enumerate(mapping.targets):
        template = parse_target(text)
        for choice in choices:
            yield ("targets", index), template.render(source.reference(choice))


def _check_tag(choice: str) -> Any:
    return parse_reference(f"registry.example/repository{'@' if ':' in choice else ':'}{choice}")


def _each(
    path: Path, texts: Iterable[str], read: Callable[[str], Any], *, single: str | None = None
) -> Iterator[Diagnostic]:
    for index, text in enumerate(texts):
        try:
            read(text)
        except ValueError as error:
            yield Diagnostic((*path, single or index), str(error))
