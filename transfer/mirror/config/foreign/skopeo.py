"""
The YAML of `skopeo sync --src yaml`. Source: skopeo-sync(1) and cmd/skopeo/sync.go.

It names no targets: those are the command line's DESTINATION, an image going below it by the last part of its name, or
with `--scoped` by all of it. skopeo takes one platform without `--all`; here images stay whole.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import msgspec

from transfer.mirror.config.builder import ConfigBuilder
from transfer.mirror.config.reader import Reader
from transfer.mirror.config.settings import FilePath, MirrorRule, RegistryConfig
from transfer.mirror.config.variables import escape
from transfer.mirror.diagnostics import Path
from transfer.mirror.select.filters import TagFilter


class Credentials(msgspec.Struct, frozen=True, rename="lower"):
    """A login; skopeo reads a token too, which nothing here can use."""

    username: str = ""
    password: str = ""
    identitytoken: str = ""


class SkopeoRegistry(msgspec.Struct, frozen=True, rename="kebab"):
    """The settings of one registry in skopeo's file."""

    images: dict[str, tuple[str, ...]] = {}
    images_by_tag_regex: dict[str, str] = {}
    images_by_semver: dict[str, str] = {}
    credentials: Credentials = Credentials()
    tls_verify: bool = True
    cert_dir: FilePath | None = None


def read_skopeo(raw: dict[str, Any], folder: pathlib.Path, target: str | None, *, scoped: bool) -> ConfigBuilder:
    """
    Return the draft of a file's data.

    Args:
        raw: the data.
        folder: where paths begin that are not absolute.
        target: DESTINATION; that there is none is a mistake.
        scoped: as `--scoped`.
    """
    draft, reader = ConfigBuilder(), Reader(folder, None)
    if target is None:
        draft.wrong((), "skopeo's format has no targets: name one with --dest HOST[/PATH]")
    below = (target or "target.invalid").removeprefix("docker://").rstrip("/")
    template = f"{below}/{'{registry}/{repository}' if scoped else '{name}'}"
    for host, one in raw.items():
        registry = reader.struct(SkopeoRegistry, one, (host,))
        if registry is None:
            continue
        draft.registries += [((host,), host, settings) for settings in _settings(registry, (host,), draft)]
        for repository, filters in _filters(registry, (host,), draft):
            path = (host, repository)
            draft.mappings.append((path, MirrorRule(source=f"{host}/{repository}", targets=(template,), tags=filters)))
    draft.mistakes += reader.mistakes
    draft.warnings += reader.warnings
    return draft


def _settings(registry: SkopeoRegistry, path: Path, draft: ConfigBuilder) -> Iterator[RegistryConfig]:
    """Return the settings of the registry, where the file has any."""
    login = registry.credentials
    if login.identitytoken:
        draft.wrong((*path, "credentials", "identitytoken"), "an identity token is not supported: use a password")
    files = _certificates(registry.cert_dir, path, draft) if registry.cert_dir else {}
    settings = RegistryConfig(
        username=escape(login.username) or None,
        password=escape(login.password) or None,
        tls_verify=registry.tls_verify,
    )
    settings = msgspec.structs.replace(settings, **files)
    if not registry.tls_verify:
        draft.warn(
            (*path, "tls-verify"), "HTTP without TLS is used for loopback only; set 'plain_http' for other hosts"
        )
    if settings != RegistryConfig():
        yield settings


def _certificates(folder: str, path: Path, draft: ConfigBuilder) -> dict[str, str]:
    """Return the files of a `cert-dir`: CA certificates are *.crt, a client's *.cert with its *.key."""
    path = (*path, "cert-dir")
    try:
        names = sorted(file.name for file in pathlib.Path(folder).iterdir())
    except OSError as error:
        draft.warn(path, f"{folder!r}: {error.strerror}; the system's certificates count")
        return {}
    found = {}
    for setting, suffix in (("ca", ".crt"), ("cert", ".cert"), ("key", ".key")):
        fitting = [name for name in names if name.endswith(suffix)]
        if len(fitting) > 1:
            draft.wrong(path, f"{folder!r} has several *{suffix}: put them into one file")
        elif fitting:
            found[setting] = str(pathlib.Path(folder) / fitting[0])
    return found


def _filters(registry: SkopeoRegistry, path: Path, draft: ConfigBuilder) -> Iterator[tuple[str, tuple[TagFilter, ...]]]:
    """Yield the filters of each repository, one for each way in which the file chooses among its tags."""
    ways = (
        ("images", {name: TagFilter(exact=tags) for name, tags in registry.images.items()}),
        ("images-by-tag-regex", {name: _regex(text) for name, text in registry.images_by_tag_regex.items()}),
        ("images-by-semver", {name: TagFilter(semver=(text,)) for name, text in registry.images_by_semver.items()}),
    )
    chosen: dict[str, list[TagFilter]] = {}
    for way, filters in ways:
        for repository, one in filters.items():
            here = chosen.setdefault(repository, [])
            draft.origins.setdefault((*path, repository, "source"), (*path, way, repository))
            draft.origins[*path, repository, "targets"] = ()
            for kind in ("exact", "regex", "semver"):
                draft.origins[*path, repository, "tags", len(here), kind] = (*path, way, repository)
            here.append(one)
    if not chosen:
        draft.warn(path, "no images are named")
    for repository, several in chosen.items():
        yield repository, () if several == [TagFilter()] else tuple(several)


def _regex(text: str) -> TagFilter:
    """skopeo is content where an expression fits a part of a tag."""
    if text.startswith("^") and text.endswith("$") and not text.endswith("\\$") and "|" not in text:
        return TagFilter(regex=(text[1:-1],))
    return TagFilter(regex=(f".*(?:{text}).*",))
