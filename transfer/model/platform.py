"""
Platforms: which images of an index are wanted, and the index that names only those.

Source: OCI image-spec 1.1, image-index.md; containerd's platforms package for how people write them; the annotation
that ties an attestation to its image is BuildKit's. Pure.
"""

import json
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from transfer.errors import InvalidConfig, InvalidManifest
from transfer.model.descriptor import Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.document import load
from transfer.model.manifest import Manifest, parse_manifest

# BuildKit lists attestations beside images, as platform unknown/unknown, each naming the image that it is about.
_ATTESTED = "vnd.docker.reference.digest"

# The rows of containerd's normalization (platforms/database.go): names that other systems use.
_OS = {"macos": "darwin"}
_ARCHITECTURE = {
    "i386": ("386", None),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_PLAIN_VARIANTS = frozenset({("amd64", "v1"), ("arm64", "v8")})
_KNOWN_OS = frozenset(
    {"aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "macos", "netbsd", "openbsd"}
    | {"plan9", "solaris", "wasip1", "windows"}
)
_OS_WITH_VERSION = re.compile(r"([^()]+)\(([^()]+)\)")
_NOTHING: Mapping[Digest, Any] = MappingProxyType({})


def parse_platform(text: str) -> Platform:
    """
    Read `os/architecture[/variant]` or an architecture alone, which is one of Linux, normalized as containerd does.

    Raises:
        InvalidConfig: it is not spelled so.
    """
    parts = text.strip().lower().split("/")
    if len(parts) == 1 and parts[0] not in _KNOWN_OS:
        parts = ["linux", *parts]
    if len(parts) not in (2, 3) or not all(part and part.isprintable() and " " not in part for part in parts):
        raise InvalidConfig(f"platform {text[:100]!r}: expected os/architecture[/variant], as in linux/arm64")
    versioned = _OS_WITH_VERSION.fullmatch(parts[0])
    return normalized(
        Platform(
            os=versioned[1] if versioned else parts[0],
            architecture=parts[1],
            variant=parts[2] if len(parts) == 3 else None,
            os_version=versioned[2] if versioned else None,
        )
    )


def host_platform() -> Platform:
    """Return the platform of containers on this machine: Linux, unless this is Windows, and its architecture."""
    name = "windows" if sys.platform == "win32" else "linux"
    return normalized(Platform(os=name, architecture=platform.machine() or "amd64"))


def normalized(given: Platform) -> Platform:
    """Return a platform by the names that most registries use for it; source: containerd, platforms/database.go."""
    name, implied = _ARCHITECTURE.get(given.architecture.lower(), (given.architecture.lower(), None))
    variant = (given.variant or "").lower() or implied
    if variant is not None and variant.isdecimal():
        variant = f"v{variant}"
    if (name, variant) in _PLAIN_VARIANTS:
        variant = None
    os = given.os.lower()
    return msgspec.structs.replace(given, os=_OS.get(os, os), architecture=name, variant=variant)


def select(
    index: Manifest,
    wanted: Sequence[Platform],
    *,
    nested: Mapping[Digest, Manifest] = _NOTHING,
    configured: Mapping[Digest, Platform] = _NOTHING,
) -> Manifest | Descriptor:
    """
    Return the part of an index that is for the wanted platforms: the image itself for one, a shorter index for several.

    Attestations of the images that stay, stay. What is left of the document is as it was, in its order.

    Args:
        nested: the indexes below it; what they list is taken as listed in their place.
        configured: the platforms in the configurations of images that are listed without one.

    Raises:
        InvalidManifest: the index has no image for one of the platforms; the message names those it has.
    """
    found = [(child, child.platform or configured.get(child.digest)) for child, _ in _flat(index, nested)]
    chosen: dict[Digest, Descriptor] = {}
    for one in wanted:
        matching = [child for child, own in found if own and _matches(own, one)]
        if not matching:
            has = ", ".join(dict.fromkeys(str(own) for _, own in found if own))
            raise InvalidManifest(f"index {index.digest}: it has no image for {one}, only for {has or 'none'}")
        chosen |= {child.digest: child for child in matching}
    if len(wanted) == 1 and len(chosen) == 1:
        return next(iter(chosen.values()))
    return shortened(index, lambda entry: entry.digest in chosen or _attested(entry) in chosen, nested)


def is_attestation(entry: Descriptor) -> bool:
    """Return whether an entry of an index is about another one, as BuildKit's attestations are."""
    return _attested(entry) is not None


def _attested(entry: Descriptor) -> str | None:
    return (entry.annotations or {}).get(_ATTESTED)


def shortened(
    index: Manifest, keep: Callable[[Descriptor], bool], nested: Mapping[Digest, Manifest] = _NOTHING
) -> Manifest:
    """Return the index that lists only some entries of an index and of those below it, each as it is written."""
    document = load(index.raw)
    document["manifests"] = [entry for child, entry in _flat(index, nested) if keep(child)]
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return parse_manifest(raw, media_type=index.media_type)


def _flat(
    index: Manifest, nested: Mapping[Digest, Manifest], seen: set[Digest] | None = None
) -> Iterator[tuple[Descriptor, dict[str, Any]]]:
    """Yield every entry that is not an index that was read, as a descriptor and as it is written."""
    # Each index once: a few that name each other twice would otherwise be a list without end.
    seen = set() if seen is None else seen
    seen.add(index.digest)
    for child, entry in zip(index.manifests, load(index.raw)["manifests"], strict=True):
        below = nested.get(child.digest)
        if below is None:
            yield child, entry
        elif below.digest not in seen:
            yield from _flat(below, nested, seen)


def _matches(platform: Platform, wanted: Platform) -> bool:
    has = normalized(platform)
    same = (has.os, has.architecture) == (wanted.os, wanted.architecture)
    versions = wanted.os_version is None or f"{has.os_version}.".startswith(f"{wanted.os_version}.")
    return same and versions and wanted.variant in (None, has.variant)
