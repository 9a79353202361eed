"""
regsync.yml as a mirror. Source: regclient.org/usage/regsync, cmd/regsync/root.go.

Its templates are filled in as far as its documentation uses them; a login's variables and files stay names, so that no
secret is read here. Opens only the files that templates name elsewhere.
"""

import pathlib
import re
from collections.abc import Iterator
from collections.abc import Mapping as Environment
from typing import Any

import msgspec

from transfer.endpoints.locations import EcrLocation, locate_repository
from transfer.mirror.config.builder import ConfigBuilder
from transfer.mirror.config.foreign import gotemplate
from transfer.mirror.config.foreign.regsync_file import LEFT_OUT, REFUSED, Cred, Defaults, Sync, Tags, known_apart
from transfer.mirror.config.reader import Reader
from transfer.mirror.config.settings import MirrorRule, RegistryConfig
from transfer.mirror.config.variables import escape
from transfer.mirror.diagnostics import Path
from transfer.mirror.select.filters import RepositoryFilter, TagFilter

_TOP = ("version", "creds", "defaults", "sync")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?=$|[\s-])")
_BACKUP = {".Ref.Tag": "{tag}", ".Ref.Registry": "{registry}", ".Ref.Repository": "{repository}"}


class RegsyncReader:
    """Reads one file."""

    def __init__(self, folder: pathlib.Path, environment: Environment[str, str]) -> None:
        """
        Args:
            folder: where paths begin that are not absolute.
            environment: what `{{env "X"}}` stands for.
        """
        self._folder = folder
        self._environment = environment
        self._reader = Reader(folder, None)
        self._draft = ConfigBuilder()
        self._hosts: dict[str, str] = {}

    def read(self, raw: dict[str, Any]) -> ConfigBuilder:
        """Return the draft of a file's data."""
        draft = self._draft
        if raw.get("sync") is None:
            draft.wrong(("sync",), "it is missing")
        if str(raw.get("version") or "1") not in {"0", "1"}:
            draft.wrong(("version",), f"{raw['version']!r} is not a version that is known: 1")
        for key in raw:
            if key not in _TOP and not key.startswith("x-"):
                draft.warn((key,), f"the key is unknown: there are {', '.join(_TOP)}")
        for path, one in _items(raw.get("creds"), ("creds",)):
            self._registry(one, path)
        defaults = self._struct(Defaults, raw.get("defaults"), ("defaults",)) or Defaults()
        steps = [
            (path, step)
            for path, one in _items(raw.get("sync"), ("sync",))
            if (step := self._struct(Sync, one, path)) is not None
        ]
        for path, step in steps:
            self._step(step, defaults, path)
        draft.settings = {"jobs": defaults.parallel or None, **self._pace(defaults, steps)}
        draft.mistakes += self._reader.mistakes
        draft.warnings += self._reader.warnings
        return draft

    def _struct(self, kind: type[Any], raw: Any, path: Path) -> Any:
        for key in raw if isinstance(raw, dict) else ():
            if key in LEFT_OUT:
                self._draft.warn((*path, key), f"it is not taken over: {LEFT_OUT[key]}")
            elif key in REFUSED:
                self._draft.wrong((*path, key), f"it cannot be taken over: {REFUSED[key]}")
        return self._reader.struct(kind, known_apart(raw) if isinstance(raw, dict) else raw, path)

    def _registry(self, raw: Any, path: Path) -> None:
        cred: Cred | None = self._struct(Cred, raw, path)
        if cred is None:
            return
        name = self._filled(cred.registry, (*path, "registry"))
        host = cred.hostname or name
        self._hosts[name] = host
        if any(host == other for _, other, _ in self._draft.registries):
            self._draft.wrong(path, f"the host {host} has settings already")
        settings = RegistryConfig(
            tls_verify=cred.tls != "insecure",
            plain_http=cred.tls == "disabled" or cred.scheme == "http",
            ca=self._file(cred.regcert, (*path, "regcert")),
            cert=self._file(cred.client_cert, (*path, "clientCert")),
            key=self._file(cred.client_key, (*path, "clientKey")),
            max_concurrent=cred.req_concurrent or None,
            max_per_second=cred.req_per_sec or None,
        )
        settings = msgspec.structs.replace(settings, **self._login(cred, host, path))
        if settings != RegistryConfig():
            self._draft.registries.append((path, host, settings))

    def _login(self, cred: Cred, host: str, path: Path) -> dict[str, str]:
        if not cred.user and not cred.password:
            return {}
        if _is_ecr(host):
            self._draft.warn((*path, "user"), "it is not taken over: ECR takes AWS credentials")
            return {}
        password = self._parts(cred.password, (*path, "pass"))
        if [part.kind for part in password] == ["file"]:
            login = {"password_file": str(self._folder / password[0].value)}
        else:
            login = {"password": self._secret(password, (*path, "pass"))}
        return {"username": self._secret(self._parts(cred.user, (*path, "user")), (*path, "user"))} | login

    def _secret(self, parts: list[gotemplate.TemplatePart], path: Path) -> str:
        """Text in which variables stay names."""
        for part in parts:
            if part.kind == "env" and part.value not in self._environment:
                self._draft.wrong(path, f"the environment has no variable {part.value!r}")
            elif part.kind not in {"env", "text"}:
                self._draft.wrong(path, "a file can only be a whole password, not a user")
        return "".join(f"${{{part.value}}}" if part.kind == "env" else escape(part.value) for part in parts)

    def _file(self, text: str, path: Path) -> str | None:
        """Return the file of a certificate; regsync has the certificate itself there, by a template or in full."""
        parts = self._parts(text, path)
        if not parts:
            return None
        if [part.kind for part in parts] != ["file"]:
            self._draft.wrong(path, "a certificate inside the file is not supported: use '{{file \"PATH\"}}'")
            return None
        return str(self._folder / parts[0].value)

    def _step(self, step: Sync, defaults: Defaults, path: Path) -> None:
        fields = {".Sync.Type": step.type, ".Sync.Interval": step.interval, ".Sync.Schedule": step.schedule}
        fields |= {".Sync.Source": step.source, ".Sync.Target": step.target, ".Sync.Backup": step.backup}
        before = len(self._draft.mistakes)
        source = fields[".Sync.Source"] = self._filled(step.source, (*path, "source"), fields)
        target = fields[".Sync.Target"] = self._filled(step.target, (*path, "target"), fields)
        unknown = len(self._draft.mistakes) > before
        source, target = self._ends(step, source, target, path)
        mapping = MirrorRule(
            source=source,
            targets=(target,),
            repositories=_repositories(step) if step.type == "registry" else None,
            tags=self._tags(step, path),
            platforms=(step.platform,) if step.platform else step.platforms,
            referrers=_first(step.referrers, defaults.referrers),
            digest_tags=_first(step.digest_tags, defaults.digest_tags),
            foreign_layers=_first(step.include_external, defaults.include_external),
            backup=self._backup(step.backup or defaults.backup, path, fields),
        )
        self._draft.origins[*path, "targets"] = (*path, "target")
        self._draft.origins[*path, "platforms"] = (*path, "platform" if step.platform else "platforms")
        if not unknown:
            self._draft.mappings.append((path, mapping))

    def _ends(self, step: Sync, source: str, target: str, path: Path) -> tuple[str, str]:
        """Source and target as our own format spells them."""
        source, target = self._at_host(source), self._at_host(target)
        match step.type:
            case "registry":
                return f"{source.rstrip('/')}/**", f"{target.rstrip('/')}/{{repository}}"
            case "image":
                return _tagged(source), _tagged(target)
            case "repository":
                for key, end in (("source", source), ("target", target)):
                    if _tagged(end) == end:
                        self._draft.warn((*path, key), f"{end!r}: a repository has no tag; it is left out")
                return _untagged(source), _untagged(target)

    def _at_host(self, end: str) -> str:
        """Return the end at the host that its registry's `hostname` names."""
        registry, slash, rest = end.partition("/")
        return f"{self._hosts.get(registry, registry)}{slash}{rest}"

    def _tags(self, step: Sync, path: Path) -> tuple[TagFilter, ...]:
        sets = [((*path, "tagSets", index), one) for index, one in enumerate(step.tag_sets)]
        if step.tags != Tags():
            sets.append(((*path, "tags"), step.tags))
        if step.type == "image":
            for place, _ in sets:
                self._draft.warn(place, "it is not taken over: the source is one image")
            return ()
        for index, (place, _) in enumerate(sets):
            self._draft.origins[*path, "tags", index] = place
            for ours, theirs in (("regex", "allow"), ("exclude", "deny"), ("semver", "semverRange")):
                self._draft.origins[*path, "tags", index, ours] = (*place, theirs)
        return tuple(_filter(one) for _, one in sets)

    def _backup(self, template: str, path: Path, fields: dict[str, str]) -> str | None:
        place = (*path, "backup")
        parts = self._parts(template.strip(), place)
        if any(part.kind == "text" and set(part.value) & set(":/") for part in parts):
            self._draft.wrong(place, "a backup is a tag in the same repository, without ':' and '/'")
            return None
        known = [gotemplate.TemplatePart("text", _BACKUP[one.value]) if one.value in _BACKUP else one for one in parts]
        if any(part.value.startswith(".Ref.") for part in known if part.kind == "field"):
            self._draft.wrong(place, f"only {', '.join(_BACKUP)} are known of the image")
            return None
        return "".join(self._value(part, place, fields) for part in known) or None

    def _pace(self, defaults: Defaults, steps: list[tuple[Path, Sync]]) -> dict[str, Any]:
        """Read the schedule and the pull reserve, of which there is one for the whole file."""
        times = {path: step.schedule or step.interval or defaults.schedule or defaults.interval for path, step in steps}
        watch = defaults.schedule or defaults.interval or next(filter(None, times.values()), None)
        for path, step in steps:
            if times[path] != watch and times[path]:
                key = "schedule" if step.schedule else "interval"
                self._draft.warn((*path, key), f"there is one for the whole file, {watch!r}")
        places: list[Path] = [("defaults", "ratelimit"), *((*path, "ratelimit") for path, _ in steps)]
        limits = [defaults.ratelimit, *(step.ratelimit for _, step in steps)]
        reserve = max(limit.min for limit in limits)
        for place, limit in zip(places, limits, strict=True):
            if limit.retry:
                self._draft.warn((*place, "retry"), "it is ignored: the registry reports when its quota is renewed")
            if limit.min not in {0, reserve}:
                self._draft.warn((*place, "min"), f"there is one for the whole file, the largest: {reserve}")
        return {"watch": watch, "hub_reserve": reserve or None}

    def _filled(self, template: str, path: Path, fields: Environment[str, str] | None = None) -> str:
        return "".join(self._value(part, path, fields or {}) for part in self._parts(template, path))

    def _parts(self, template: str, path: Path) -> list[gotemplate.TemplatePart]:
        try:
            return gotemplate.parse(template)
        except ValueError as error:
            self._draft.wrong(path, str(error))
            return []

    def _value(self, part: gotemplate.TemplatePart, path: Path, fields: Environment[str, str]) -> str:
        def look_up(kind: gotemplate.Kind, name: str) -> str:
            return self._look_up(kind, name, path, fields)

        match part.kind:
            case "text":
                return part.value
            case "env" | "file" | "field":
                return look_up(part.kind, part.value)
            case "call":
                try:
                    return gotemplate.evaluate(part.pipeline or (), look_up)
                except ValueError as error:
                    self._draft.wrong(path, f"the template {{{{{part.value}}}}}: {error}")
                    return "unknown"

    def _look_up(self, kind: gotemplate.Kind, name: str, path: Path, fields: Environment[str, str]) -> str:
        try:
            match kind:
                case "env":
                    return self._environment[name]
                case "file":
                    return (self._folder / name).read_text(encoding="utf-8").strip()
                case "field":
                    return fields[name]
        except KeyError:
            place = "environment" if kind == "env" else "template"
            self._draft.wrong(path, f"the {place} has no {name!r}")
        except (OSError, ValueError) as error:
            self._draft.wrong(path, f"the file {name!r} cannot be read: {error}")
        return "unknown"


def _items(raw: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    listed = raw if isinstance(raw, list) else [] if raw is None else [raw]
    yield from (((*path, index), one) for index, one in enumerate(listed))


def _filter(tags: Tags) -> TagFilter:
    ranges = tuple(_padded(text) for text in tags.semver_range if text)
    exclude = tuple(f"/{pattern}/" for pattern in tags.deny)
    return TagFilter(regex=tags.allow, exclude=exclude, semver=ranges, prereleases=bool(ranges))


def _padded(text: str) -> str:
    """To regsync a range's `1.2` is 1.2.0 and not 1.2.x."""

    def pad(match: re.Match[str]) -> str:
        return match[1] + ".0" * (2 - match[1].count("."))

    return _VERSION.sub(pad, text)


def _repositories(step: Sync) -> RepositoryFilter | None:
    chosen = RepositoryFilter(regex=step.repos.allow, exclude=tuple(f"/{pattern}/" for pattern in step.repos.deny))
    return None if chosen == RepositoryFilter() else chosen


def _first(*values: bool | None) -> bool:
    return next((value for value in values if value is not None), False)


def _tagged(end: str) -> str:
    return end if set(end.rpartition("/")[2]) & set(":@") else f"{end}:latest"


def _untagged(end: str) -> str:
    folder, slash, name = end.rpartition("/")
    return folder + slash + re.split("[:@]", name, maxsplit=1)[0]


def _is_ecr(host: str) -> bool:
    try:
        return isinstance(locate_repository(f"{host}/repository"), EcrLocation)
    except ValueError:
        return False
