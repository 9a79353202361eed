"""
Platforms: which children of an index are wanted, and the index that names only those.

Source: OCI image-spec 1.1, image-index.md; the annotation that ties an attestation to its image is BuildKit's. Pure.
"""

import json
from collections.abc import Sequence

from transfer.errors import InvalidConfig, InvalidManifest
from transfer.model.descriptor import Descriptor, Platform
from transfer.model.digest import Digest
from transfer.model.document import load
from transfer.model.manifest import Manifest, parse_manifest

# BuildKit lists attestations beside images, as platform unknown/unknown, each naming the image that it is about.
_ATTESTED = "vnd.docker.reference.digest"


def parse_platform(text: str) -> Platform:
    """
    Read `os/architecture[/variant]`.

    Raises:
        InvalidConfig: it is not spelled so.
    """
    parts = text.strip().split("/")
    if len(parts) not in (2, 3) or not all(part and part.isprintable() for part in parts):
        raise InvalidConfig(f"platform {text[:100]!r}: expected os/architecture[/variant], as in linux/arm64")
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else None)


def select(index: Manifest, wanted: Sequence[Platform]) -> Manifest | Descriptor:
    """
    Return the part of an index that is for the wanted platforms: the image itself for one, a shorter index for several.

    Attestations of the images that stay, stay. What is left of the document is as it was, in its order.

    Raises:
        InvalidManifest: the index has no image for one of the platforms; the message names those it has.
    """
    chosen: dict[Digest, Descriptor] = {}
    for platform in wanted:
        matching = [child for child in index.manifests if child.platform and _matches(child.platform, platform)]
        if not matching:
            has = ", ".join(str(child.platform) for child in index.manifests if child.platform)
            raise InvalidManifest(f"index {index.digest}: it has no image for {platform}, only for {has or 'none'}")
        chosen |= {child.digest: child for child in matching}
    if len(wanted) == 1 and len(chosen) == 1:
        return next(iter(chosen.values()))
    return _shortened(index, frozenset(chosen))


def _matches(platform: Platform, wanted: Platform) -> bool:
    same = (platform.os, platform.architecture) == (wanted.os, wanted.architecture)
    return same and wanted.variant in (None, platform.variant)


def _shortened(index: Manifest, chosen: frozenset[Digest]) -> Manifest:
    document = load(index.raw)
    document["manifests"] = [
        entry
        for entry, child in zip(document["manifests"], index.manifests, strict=True)
        if child.digest in chosen or (child.annotations or {}).get(_ATTESTED) in chosen
    ]
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return parse_manifest(raw, media_type=index.media_type)
