"""
The keys of regsync.yml, version 1, as typed values. Source: regclient.org/usage/regsync and cmd/regsync/config.go.

What has no counterpart here is listed with the reason: `LEFT_OUT` changes nothing that ends up at the target and is
worth a warning, `REFUSED` does.
"""

from typing import Any, Literal

import msgspec

TLS = Literal["", "enabled", "insecure", "disabled"]

_CACHES = "what is known of a registry is always kept for the whole run"
LEFT_OUT = {
    "apiOpts": "it is for other tools of regclient",
    "api": "it is deprecated",
    "blobChunk": "the size of chunks is chosen here",
    "blobLimit": "any blob is copied",
    "blobMax": "the size of chunks is chosen here",
    "cacheCount": _CACHES,
    "cacheTime": _CACHES,
    "credExpire": "a login is asked for again when it is refused",
    "credHelper": "name it under credHelpers in docker's config.json",
    "credHost": "helpers are asked for the registry's own name",
    "fastCheck": "referrers are looked for as often as the images are",
    "fastCopy": "referrers are looked for as often as the images are",
    "forceRecursive": "what the target has under a digest is not sent again",
    "mediaTypes": "every type of manifest is copied",
    "mirrors": "images are read from the registry itself",
    "priority": "images are read from the registry itself",
    "referrerFilters": "all referrers are copied",
    "referrerSlow": "referrers are filtered nowhere",
    "repoAuth": "tokens are asked for each repository anyway",
    "skipDockerConfig": "docker's logins count where the file has none",
    "userAgent": "it says what it is",
}
REFUSED = {
    "hooks": "commands are not run",
    "pathPrefix": "write the path into source or target",
    "referrerSource": "referrers come from where their image comes from",
    "referrerTarget": "referrers go where their image goes",
    "token": "use a user and a password",
}


class _Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class RateLimit(_Camel, frozen=True, kw_only=True):
    """The pull rate limit to respect at the source."""

    min: int = 0
    retry: str = ""


class Cred(_Camel, frozen=True, kw_only=True):
    """One of `creds`."""

    registry: str
    hostname: str = ""
    user: str = ""
    password: str = msgspec.field(name="pass", default="")
    tls: TLS = ""
    scheme: str = ""
    regcert: str = ""
    client_cert: str = ""
    client_key: str = ""
    req_per_sec: float = 0.0
    req_concurrent: int = 0


class Common(_Camel, frozen=True, kw_only=True):
    """The settings of `defaults` and of each entry of `sync`; None is left to the defaults."""

    backup: str = ""
    interval: str = ""
    schedule: str = ""
    ratelimit: RateLimit = RateLimit()
    digest_tags: bool | None = None
    referrers: bool | None = None
    include_external: bool | None = None


class Defaults(Common, frozen=True, kw_only=True):
    """`defaults`."""

    parallel: int = 0


class Tags(_Camel, frozen=True, kw_only=True):
    """`tags`, and one of `tagSets`; repositories have the first two."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    semver_range: tuple[str, ...] = ()


class Repos(_Camel, frozen=True, kw_only=True):
    """`repos`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Sync(Common, frozen=True, kw_only=True):
    """One of `sync`."""

    source: str
    target: str
    type: Literal["registry", "repository", "image"]
    tags: Tags = Tags()
    tag_sets: tuple[Tags, ...] = ()
    repos: Repos = Repos()
    platform: str = ""
    platforms: tuple[str, ...] = ()


def known_apart(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the data without the keys that have no counterpart."""
    return {key: value for key, value in raw.items() if key not in LEFT_OUT and key not in REFUSED}
