"""
Names: what a mapping's source means, and what its target is called. Pure; knows no registry's own naming rules.

A target is a template: `registry.example/mirror/{name}:{tag}-copy`. One that ends in `/` keeps the source's path below
it, one without a tag keeps the source's tag.
"""

import difflib
import re
import string
from collections.abc import Mapping

import msgspec

from transfer.endpoints.locations import RemoteLocation, locate_source, locate_target
from transfer.errors import InvalidConfig, InvalidReference
from transfer.mirror.select.patterns import path_glob
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference

PLACEHOLDERS = ("registry", "repository", "namespace", "name", "flat", "tag", "digest")

_LONGEST_PATTERN = 255
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# What a template is tried with before there is a source.
_SAMPLE = Reference("registry.example", "team/app", "v1", Digest("sha256:" + "0" * 64))


class SourceSpec(msgspec.Struct, frozen=True):
    """
    The source of a rule: an image, a repository, or repositories by a pattern.

    Attributes:
        registry: host with an optional port.
        repository: the one repository; None where `pattern` names several.
        pattern: a glob over the registry's repositories: `*` stops at a `/`, `**` does not.
        tag, digest: of the one image; both None for a repository.
    """

    registry: str
    repository: str | None = None
    pattern: str | None = None
    tag: str | None = None
    digest: Digest | None = None

    @property
    def choice(self) -> str | None:
        """The tag or digest of the one image; None where tags are to be chosen."""
        return self.tag or self.digest

    def includes(self, repository: str) -> bool:
        """Return whether a repository of the registry is among the sources."""
        return repository == self.repository if self.pattern is None else path_glob(self.pattern)(repository)

    def reference(self, choice: str, repository: str | None = None) -> Reference:
        """
        Return the image of a tag or digest.

        Raises:
            InvalidReference: a part is outside its grammar.
        """
        named = f"{self.registry}/{repository or self.repository}"
        if self.tag and choice in {self.tag, self.digest}:
            return parse_reference(f"{named}:{self.tag}{f'@{self.digest}' if self.digest else ''}")
        return parse_reference(f"{named}{'@' if ':' in choice else ':'}{choice}")


def parse_source(text: str) -> SourceSpec:
    """
    Read a mapping's source: `alpine`, `host/repository`, `host/repository:tag`, `host/team/*`.

    Raises:
        InvalidReference: it is none of these.
    """
    spelled = text.removeprefix("docker://")
    host, slash, pattern = spelled.partition("/")
    if slash and set(pattern) & set("*?"):
        registry = parse_reference(f"{host}/pattern").registry
        if set(pattern) & set(":@"):
            raise InvalidReference(f"source {text!r}: choose tags of several repositories by a filter", side="source")
        if len(pattern) > _LONGEST_PATTERN:
            raise InvalidReference(
                f"source {text[:100]!r}…: a pattern has at most {_LONGEST_PATTERN} characters", side="source"
            )
        return SourceSpec(registry, pattern=pattern)
    if not isinstance(locate_source(text), RemoteLocation):
        raise InvalidReference(f"source {text!r}: a mirror reads from a registry", side="source")
    found = parse_reference(spelled, short_names=True)
    return SourceSpec(found.registry, found.repository, tag=found.tag, digest=found.digest)


class TargetTemplate(msgspec.Struct, frozen=True):
    """
    The template of a rule's target names.

    Attributes:
        text: as it was written, for messages.
        registry: host with an optional port.
        repository: a template.
        tag: a template; None keeps the source's tag.
        mapping: which mapping it belongs to, for messages.
    """

    text: str
    registry: str
    repository: str
    tag: str | None
    mapping: str = ""

    @property
    def repository_varies(self) -> bool:
        """Whether images of different repositories get different names."""
        return bool(_fields(self.repository + (self.tag or "")) & {"repository", "name", "flat"})

    @property
    def tag_varies(self) -> bool:
        """Whether different tags of one repository get different names."""
        return self.tag is None or bool(_fields(self.tag) & {"tag", "digest"})

    def render(self, source: Reference) -> Reference:
        """
        Return the name of an image at the target; a source without a tag gives none.

        Raises:
            InvalidConfig: the name is outside the grammar of references, or the template asks for a tag that the
                source has not; the message names template, value and mapping.
        """
        try:
            return self._rendered(source)
        except ValueError as error:
            raise InvalidConfig(f"{self._where()}target {self.text!r} for the source {source}: {error}") from None

    def source_tag(self, tag: str, source: Reference) -> str | None:
        """
        Return the source's tag that a target's tag would come from; None where the mapping writes no such tag.

        Args:
            tag: a tag at the target.
            source: the repository that the mapping reads.
        """
        values = _values(source) | {"tag": "\0", "digest": "\1"}
        pattern = re.escape(_filled("{tag}" if self.tag is None else self.tag, values))
        pattern = pattern.replace("\1", "sha[0-9]+-[0-9a-f]+")
        first, *more = pattern.split("\0")
        if not more:
            return None
        match = re.fullmatch(f"{first}(?P<tag>.+){'(?P=tag)'.join(more)}", tag)
        return match["tag"] if match else None

    def check(self) -> None:
        """
        Try the template.

        Raises:
            InvalidConfig: a placeholder is unknown, or no source could get a name by it.
        """
        try:
            parse_reference(f"{self.registry}/repository")
            locate_target(str(self._rendered(_SAMPLE)))
        except ValueError as error:
            raise InvalidConfig(f"{self._where()}target {self.text!r}: {error}") from None

    def _rendered(self, source: Reference) -> Reference:
        values = _values(source)
        tag = source.tag if self.tag is None else _filled(self.tag, values)
        named = f"{self.registry}/{_filled(self.repository, values)}"
        return parse_reference(f"{named}:{tag}" if tag else f"{named}@{source.digest}")

    def _where(self) -> str:
        return f"{self.mapping}: " if self.mapping else ""


def parse_target(text: str, *, mapping: str = "") -> TargetTemplate:
    """
    Read a mapping's target.

    Raises:
        InvalidConfig: it is not a template, a placeholder is unknown, or what it makes is no reference.
    """
    registry, _, rest = text.removeprefix("docker://").partition("/")
    repository, colon, tag = rest.partition(":")
    if set(registry) & set("{}") or "@" in rest or (colon and not tag):
        where = f"{mapping}: " if mapping else ""
        raise InvalidConfig(f"{where}target {text!r}: expected registry/repository[:tag], the registry in full")
    repository += "{repository}" if not repository or repository.endswith("/") else ""
    template = TargetTemplate(text, registry, repository, tag or None, mapping)
    template.check()
    return template


def backup_tag(template: str, target: Reference) -> str:
    """
    Return the tag that keeps what `target` holds before it is overwritten.

    Raises:
        InvalidConfig: a placeholder is unknown, or the result is no tag, or the very tag that is overwritten.
    """
    try:
        return _backup(template, target)
    except ValueError as error:
        raise InvalidConfig(f"backup {template!r} for {target}: {error}") from None


def check_backup(template: str) -> None:
    """
    Try a backup's template.

    Raises:
        InvalidConfig: as `backup_tag`.
    """
    try:
        _backup(template, _SAMPLE)
    except ValueError as error:
        raise InvalidConfig(f"backup {template!r}: {error}") from None


def is_backup(template: str, tag: str) -> bool:
    """Return whether a tag may be one that a backup's template made."""
    pattern = re.escape(_filled(template, dict.fromkeys(PLACEHOLDERS, "\0"))).replace("\0", ".+")
    return re.fullmatch(pattern, tag) is not None


def _backup(template: str, target: Reference) -> str:
    tag = _filled(template, _values(target))
    if not _TAG.fullmatch(tag):
        raise ValueError(f"{tag[:200]!r} is not a tag (up to 128 letters, digits, '_', '.', '-')")
    if tag == target.tag:
        raise ValueError("it is the tag that is overwritten")
    return tag


def _values(source: Reference) -> dict[str, str | None]:
    namespace, _, name = source.repository.rpartition("/")
    return {
        "registry": source.registry,
        "repository": source.repository,
        "namespace": namespace,
        "name": name,
        "flat": source.repository.replace("/", "-"),
        "tag": source.tag,
        "digest": source.digest and source.digest.replace(":", "-"),
    }


def _fields(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


def _filled(template: str, values: Mapping[str, str | None]) -> str:
    """Return the template with its placeholders filled in; ValueError names one that is not to be had."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise ValueError("a brace is not closed, or not opened; write {{ and }} for braces") from None
    filled = []
    for literal, field, spec, conversion in parts:
        filled.append(literal)
        if field is None:
            continue
        if field not in values or spec or conversion:
            close = difflib.get_close_matches(field, PLACEHOLDERS, n=1, cutoff=0.5)
            hint = f"did you mean {{{close[0]}}}?" if close else f"there are {{{'}, {'.join(PLACEHOLDERS)}}}"
            raise ValueError(f"the placeholder {{{field}{'!' if conversion else ''}{spec}}} is unknown: {hint}")
        value = values[field]
        if value is None:
            raise ValueError(f"it asks for {{{field}}}, which the source does not have")
        filled.append(value)
    return "".join(filled)
