"""The descriptor of a manifest in a list of referrers. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec


def descriptor(raw: bytes, media_type: str, digest: str) -> dict[str, Any]:
    """
    Return a manifest as the list of referrers shows it.

    Source: distribution-spec 1.1, "Listing Referrers": an image without an artifactType is of its config's type.
    """
    members = msgspec.json.decode(raw)
    shown: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(raw)}
    artifact_type = members.get("artifactType")
    if not artifact_type and isinstance(members.get("config"), Mapping):
        artifact_type = members["config"].get("mediaType")
    if artifact_type and isinstance(artifact_type, str):
        shown["artifactType"] = artifact_type
    if isinstance(members.get("annotations"), Mapping):
        shown["annotations"] = members["annotations"]
    return shown
