"""
Challenges: what a registry asks for in WWW-Authenticate, and whether it may be done.

Pure. Grammar: RFC 9110, 11.6.1; tokens: distribution's "Token Authentication Specification". The rules about realms
answer known attacks, in which a registry has a client send its password elsewhere. Sends nothing.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import msgspec

from transfer.errors import Unauthorized
from transfer.http.route import is_public

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r"\"((?:[^\"\\]|\\.)*)\""
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=[\s,]|$)")
_PARAMETER = re.compile(rf"[\s,]*({_WORD})\s*=\s*(?:{_QUOTED}|([^\s,\"]*))(?=[\s,]|$)")
_TOKEN68 = re.compile(r"\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")
_LONGEST_HEADER = 16_384
_MOST_CHALLENGES = 16

# Token services of registries that live under another domain than their registry.
_KNOWN_PAIRS = frozenset({("scw.cloud", "scaleway.com")})
# Docker Hub and its token server: known without the list, which takes 0.1 s to read.
_DOCKER_HUB = frozenset({"auth.docker.io", "registry-1.docker.io"})
# Below these names everybody may have one, and the Public Suffix List does not have them: siblings are strangers.
# The number: how many labels below the name one owner has; _WHOLE_HOST where that depends on the service.
_WHOLE_HOST = 0
_SHARED = {
    **dict.fromkeys(("amazonaws.com", "amazonaws.com.cn", "appdomain.cloud", "azure.com"), _WHOLE_HOST),
    **dict.fromkeys(("azurecr.io", "azurecr.cn", "jfrog.io", "nip.io", "sslip.io", "xip.io", "on.aws", "pkg.dev"), 1),
    **dict.fromkeys(("lhr.life", "loca.lt", "localhost.run", "serveo.net", "tencentcloudcr.com", "vultrcr.com"), 1),
}


class Challenge(msgspec.Struct, frozen=True):
    """One challenge: its scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


class Realm(msgspec.Struct, frozen=True):
    """
    The address to request a token at.

    Attributes:
        url: the address, without the query of a request.
        host: its host.
        trusted: it may be shown the registry's credentials; else it gets none.
    """

    url: str
    host: str
    trusted: bool


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return all challenges of a WWW-Authenticate header, in order; an unreadable one ends the list."""
    found: list[Challenge] = []
    position = 0
    header = header[:_LONGEST_HEADER]
    while len(found) < _MOST_CHALLENGES and (scheme := _SCHEME.match(header, position)):
        position = scheme.end()
        parameters: dict[str, str] = {}
        if (token68 := _TOKEN68.match(header, position)) and not _PARAMETER.match(header, position):
            position = token68.end()
        while match := _PARAMETER.match(header, position):
            name, quoted, plain = match.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            # The first one counts: who adds a second realm means to be read by somebody else.
            parameters.setdefault(name.lower(), value)
            position = match.end()
        found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)


def choose(challenges: tuple[Challenge, ...], *, what: str) -> Challenge:
    """
    Return the challenge to answer: Bearer before Basic, since a token is worth less to a thief than a password.

    Raises:
        Unauthorized: there is none, or of unknown schemes only.
    """
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    if not challenges:
        raise refused(what, "the registry refuses access and sends no authentication challenge")
    schemes = ", ".join(sorted({one.scheme for one in challenges}))[:200]
    raise refused(what, f"the registry asks for authentication by {schemes!r}, and only Basic and Bearer are known")


def judge_realm(realm: str, registry: str, *, what: str, token_hosts: frozenset[str] = frozenset()) -> Realm:
    """
    Return whether a token may be asked for there, and whether with credentials.

    Args:
        realm: the challenge's parameter.
        registry: the URL that was asked, as `https://registry.example`.
        what: what was being done, for the error.
        token_hosts: hosts that the user trusts with the registry's credentials.

    Raises:
        Unauthorized: it is no address of a token server, leaves https, or is an address of a private network.
    """
    place, home = _split(realm), urlsplit(registry)
    if place is None or len(realm) > _LONGEST_HEADER:
        raise refused(what, "the registry's challenge names no address of a token server")
    scheme, host = place
    home_host = (home.hostname or "").lower()
    if scheme == "http" and home.scheme == "https":
        raise refused(what, f"the registry sends clients to {host} without TLS for a token; not done")
    if host != home_host and host not in token_hosts and is_private(host):
        raise refused(what, f"the registry sends clients to the private address {host} for a token; not done")
    return Realm(realm.partition("#")[0], host, host in token_hosts or is_same_site(host, home_host))


def token_url(realm: Realm, service: str, scopes: tuple[str, ...], account: str | None) -> str:
    """Return the address to GET a token at, by the token specification."""
    query = [("account", account)] if account else []
    query += [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    joint = "&" if "?" in realm.url else "?"
    return f"{realm.url}{joint}{urlencode(query)}" if query else realm.url


def is_same_site(host: str, other: str) -> bool:
    """
    Return whether two hosts belong to one owner as far as their names tell.

    Source: the Public Suffix List with its private section, so that tenants of one hosting service are strangers.
    """
    if host == other or {host, other} == _DOCKER_HUB:
        return True
    sites = _site(host), _site(other)
    if None in sites:
        return False
    return sites[0] == sites[1] or sites in _KNOWN_PAIRS or sites[::-1] in _KNOWN_PAIRS


def _site(host: str) -> str | None:
    """Return the part of a host's name that its owner registered; None for addresses and for single labels."""
    if _address(host) is not None or "." not in host.rstrip("."):
        return None
    labels = host.rstrip(".").split(".")
    site: str | None = _suffixes().privatesuffix(".".join(labels))
    if site is not None and (owned := _SHARED.get(site)) is not None:
        taken = site.count(".") + 1 + owned if owned else len(labels)
        return ".".join(labels[-taken:]) if len(labels) >= taken else None
    return site


@cache
def _suffixes() -> "PublicSuffixList":
    # 0.1 s, and most registries have their token server on their own host.
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList()


def _split(realm: str) -> tuple[str, str] | None:
    """Scheme and host of a realm that is a plain HTTP address, else None."""
    if re.search(r"[\x00-\x20\x7f-\U0010ffff\\\"<>]", realm):
        return None
    try:
        parts = urlsplit(realm)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    if not well_formed or parts.username is not None or parts.password is not None:
        return None
    return parts.scheme, (parts.hostname or "").lower().rstrip(".")


def is_private(host: str) -> bool:
    """Return whether a host is written as one of a private network; what a name resolves to is checked later."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _address(host) is not None and not is_public(host)


def _address(host: str) -> str | None:
    """Return the host where it is an IP address, in any form that a resolver takes: `2130706433` is one too."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host if re.fullmatch(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}\.?", host) else None
    return host


def refused(what: str, reason: str) -> Unauthorized:
    """Return the error of a challenge that is not answered."""
    return Unauthorized(f"{what}: {reason}", status=401, code="UNAUTHORIZED")
