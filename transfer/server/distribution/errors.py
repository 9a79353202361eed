"""
The refusals of `/v2/`: status, code and message, made here by name and rendered by `endpoint` alone.

Codes: distribution-spec 1.1, "Error Codes".
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any


class Refusal(Exception):
    """An error response; each of `details` becomes an error of the same code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Iterable[Any] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers or {}))


def name_invalid(name: str) -> Refusal:
    return Refusal(400, "NAME_INVALID", f"invalid repository name {name[:300]!r}")


def name_unknown(name: str) -> Refusal:
    return Refusal(404, "NAME_UNKNOWN", f"repository {name} is not known to this registry")


def blob_unknown(digest: str) -> Refusal:
    return Refusal(404, "BLOB_UNKNOWN", "blob unknown to the repository", details=[{"digest": digest}])


def upload_unknown() -> Refusal:
    return Refusal(404, "BLOB_UPLOAD_UNKNOWN", "upload session unknown to the repository, ended or expired")


def upload_invalid(message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(status, "BLOB_UPLOAD_INVALID", message, headers=headers)


def size_invalid(message: str) -> Refusal:
    return Refusal(400, "SIZE_INVALID", message)


def digest_invalid(message: str) -> Refusal:
    return Refusal(400, "DIGEST_INVALID", message)


def manifest_unknown(reference: str) -> Refusal:
    return Refusal(
        404, "MANIFEST_UNKNOWN", "manifest unknown to the repository", details=[{"reference": reference[:300]}]
    )


def manifest_invalid(message: str, *, status: int = 400) -> Refusal:
    return Refusal(status, "MANIFEST_INVALID", message)


def manifest_blobs_unknown(digests: Iterable[str]) -> Refusal:
    """400 and one error for each digest, as CNCF Distribution answers."""
    message = "manifest names a blob or manifest that is not in the repository"
    return Refusal(400, "MANIFEST_BLOB_UNKNOWN", message, details=[{"digest": digest} for digest in digests])


def denied(message: str) -> Refusal:
    return Refusal(403, "DENIED", message)


def tag_immutable(tag: str, name: str) -> Refusal:
    """Return Harbor's refusal (src/server/middleware/immutable); 403 would suggest a missing permission."""
    return Refusal(412, "PRECONDITION", f"the tag {tag} of {name} is immutable and names another manifest")


def throttled() -> Refusal:
    """Return the refusal of ECR's Docker endpoint (ECR user guide, "Troubleshooting errors"): 429, no Retry-After."""
    return Refusal(429, "TOOMANYREQUESTS", "Rate exceeded")


def unsupported(message: str, *, status: int = 405, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(status, "UNSUPPORTED", message, headers=headers)


def unauthorized(host: str) -> Refusal:
    """
    401 with the challenge that ECR's Docker endpoint sends.

    Source: NVIDIA/enroot#59.
    """
    challenge = f'Basic realm="http://{host}/",service="ecr.amazonaws.com"'
    return Refusal(401, "UNAUTHORIZED", "authentication required", headers={"Www-Authenticate": challenge})
