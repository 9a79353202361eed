"""
The one exception tree; imports nothing.

    TransferError                                     side: "source" | "target" | None
      InvalidReference, InvalidDigest, InvalidManifest, InvalidConfig, InvalidLayout      also ValueError
        ContentMissing, AmbiguousImage                of InvalidLayout: a file is not there, several images fit
      ContentMismatch                                 bytes are not what their digest or size says
      ConnectionFailed                                no usable answer: refused, reset, timed out, stalled; or permanent
      CredentialsMissing                              none found to sign with
      RegistryError                                   status, code, retry_after, details
        NotFound                                      repository, manifest or blob
        Unauthorized                                  credentials refused, expired, or without the permission
        RateLimited                                   slow down, then ask again
        UploadLost                                    the registry no longer knows the upload session
        TagImmutable                                  the tag holds another digest and cannot be moved
        BlobUnknown                                   a manifest names blobs or manifests that are not there

Errors carry facts. Whether one is worth another try is decided by `transfer.concurrency.retry.retryable` alone, and
only the command line turns one into an exit code. A message is one line: what was being done to what, then what
came back, then what to do. No message holds a secret or a query string.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal

Side = Literal["source", "target"]


class TransferError(Exception):
    """The root of every error this package raises for a cause outside its own code."""

    def __init__(self, message: str, *, side: Side | None = None) -> None:
        super().__init__(message)
        self.side = side


class InvalidReference(TransferError, ValueError):
    """An image reference that cannot be read, or that does not fit its end."""


class InvalidDigest(TransferError, ValueError):
    """A digest outside the grammar of the OCI image specification."""


class InvalidManifest(TransferError, ValueError):
    """A manifest or index that is too large, ambiguous or not what its descriptor says."""


class InvalidConfig(TransferError, ValueError):
    """A setting outside its range, or two settings that exclude each other."""


class InvalidLayout(TransferError, ValueError):
    """A local end (OCI layout, archive) that is absent, incomplete or points outside itself."""


class ContentMissing(InvalidLayout):
    """A blob that a layout or an archive names, and does not hold."""


class StorageFull(InvalidLayout):
    """A disk, a quota or a limit of file sizes that leaves no room for what is to be written."""


class AmbiguousImage(InvalidLayout):
    """
    A layout or archive has several images, and none of them was named.

    Attributes:
        candidates: the descriptors of those that fit.
    """

    def __init__(self, message: str, *, candidates: tuple[Any, ...] = (), side: Side | None = None) -> None:
        super().__init__(message, side=side)
        self.candidates = candidates


class ContentMismatch(TransferError):
    """Bytes that do not have the digest or the size they are known by."""


class ConnectionFailed(TransferError):
    """
    A request that got no usable answer.

    `reached` tells whether the same place had ever answered before: if not, its address is likelier wrong than the
    link broken. `unresolved` says that its name led nowhere, `no_tls` that it does not speak TLS. `permanent` tells
    that the next try would meet the same: an untrusted certificate, say.
    """

    def __init__(
        self,
        message: str,
        *,
        reached: bool = True,
        unresolved: bool = False,
        no_tls: bool = False,
        permanent: bool = False,
        side: Side | None = None,
    ) -> None:
        super().__init__(message, side=side)
        self.reached = reached
        self.unresolved = unresolved
        self.no_tls = no_tls
        self.permanent = permanent


class CredentialsMissing(TransferError):
    """No credentials were found to sign a request with."""


class RegistryError(TransferError):
    """
    A registry's own refusal.

    `status` is the HTTP status, `code` the registry's error code, `retry_after` the seconds that the registry asked
    to wait, `details` the other members of the error body.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
        side: Side | None = None,
    ) -> None:
        super().__init__(message, side=side)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = MappingProxyType(dict(details or {}))


class NotFound(RegistryError):
    """The repository, manifest or blob is not there."""


class Unauthorized(RegistryError):
    """The credentials were refused, have expired, or lack the permission."""


# The code of RateLimited where nothing was asked, since what the registry lets one pull is down to what is to be left.
PULLS_RESERVED = "PULLS_RESERVED"


class RateLimited(RegistryError):
    """The registry asks to slow down, or would."""


class UploadLost(RegistryError):
    """The registry no longer knows the upload session, or it belongs to somebody else now."""


class TagImmutable(RegistryError):
    """The tag holds another digest and the repository does not allow it to move."""


class BlobUnknown(RegistryError):
    """The registry refuses a manifest because blobs or manifests that it names are not there."""


@contextmanager
def attributed_to(side: Side) -> Iterator[None]:
    """Name the side of every error that passes and has none yet."""
    try:
        yield
    except TransferError as error:
        error.side = error.side or side
        raise
