"""
Reference: which image, in which repository, of which registry.

Grammar: the distribution project's reference package and OCI distribution-spec 1.1 ("Pulling manifests"). Does not
know any registry's own naming rules; of Docker Hub it knows that short names mean it.
"""

import re

import msgspec
from msgspec.structs import replace

from transfer.errors import InvalidDigest, InvalidReference
from transfer.model.digest import Digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::([0-9]{{1,5}}))?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST_REPOSITORY = 255

# What short names are short for: distribution's reference/normalize.go.
DOCKER_HUB = "docker.io"
_DOCKER_HUB_ALIAS = "index.docker.io"
_DEFAULT_TAG = "latest"
_LIKE_A_DIGEST = re.compile(r"[a-f0-9]{64}")


class Reference(msgspec.Struct, frozen=True):
    """
    `registry/repository[:tag][@digest]`.

    Attributes:
        registry: host with an optional port, lower case.
        repository: the path below it, without the leading slash.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    def at(self, digest: Digest) -> "Reference":
        """Return the same repository at a digest, without a tag."""
        return replace(self, tag=None, digest=digest)

    def or_latest(self) -> "Reference":
        """Return the same where it has a tag or a digest, else with the tag that stands for none."""
        return self if self.tag or self.digest else replace(self, tag=_DEFAULT_TAG)


def parse_reference(text: str, *, short_names: bool = False) -> Reference:
    """
    Read `host[:port]/repository[:tag][@digest]`.

    Args:
        text: the reference.
        short_names: take Docker's short names too: `alpine` is `docker.io/library/alpine`.

    Raises:
        InvalidReference: a part is missing or outside its grammar; the message names the part.
    """
    registry, slash, rest = (_long(text) if short_names else text).partition("/")
    if not slash or not _is_host(registry):
        raise _invalid(text, "it must start with a registry host, as in registry.example/app:v1")
    rest, at, digest = rest.partition("@")
    repository, colon, tag = rest.partition(":")
    match = _REGISTRY.fullmatch(registry)
    if match is None or (match[1] and not 0 < int(match[1]) < 65536):
        raise _invalid(text, f"{_shown(registry)} is not a host with an optional port")
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST_REPOSITORY:
        raise _invalid(text, f"{_shown(repository)} is not a repository name (lower case, digits, '.', '_', '-', '/')")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, f"{_shown(tag)} is not a tag (up to 128 letters, digits, '_', '.', '-')")
    try:
        checked = Digest(digest) if at else None
    except InvalidDigest as error:
        raise _invalid(text, str(error)) from None
    registry = registry.lower()
    if registry in {DOCKER_HUB, _DOCKER_HUB_ALIAS}:
        # By Docker's rules no folder there is `library`; in every spelling, or one image would seem to be two.
        registry, repository = DOCKER_HUB, repository if "/" in repository else f"library/{repository}"
    return Reference(registry, repository, tag or None, checked)


def _is_host(first: str) -> bool:
    return first == "localhost" or bool(set(first) & set(".:"))


def _long(text: str) -> str:
    """Return a reference with its host, by Docker's rules: none is Docker Hub."""
    first, slash, _ = text.partition("/")
    if slash and _is_host(first):
        return text
    if _LIKE_A_DIGEST.fullmatch(text):
        raise _invalid(text, "a name must not look like a digest; write it as sha256:… after '@'")
    return f"{DOCKER_HUB}/{text}"


def _invalid(text: str, reason: str) -> InvalidReference:
    return InvalidReference(f"reference {_shown(text)}: {reason}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")
