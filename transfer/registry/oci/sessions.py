"""
What calls to a Distribution registry give and take: upload sessions, manifests as they came, habits; and what an
answer says of a session. Sends nothing.
"""

from collections.abc import Awaitable, Callable

import msgspec

from transfer.errors import ContentMismatch
from transfer.model.digest import Digest
from transfer.registry.oci.registry_http import RegistryResponse
from transfer.registry.oci.response_headers import resolve_url, smallest_chunk


class UploadSession(msgspec.Struct, frozen=True):
    """
    An upload session.

    Attributes:
        repository: whose it is.
        url: its newest location; may hold state of the registry's that is nobody else's business.
        smallest_chunk: bytes that every chunk but the last must have, by the registry's word, or 0.
    """

    repository: str
    url: str
    smallest_chunk: int = 0

    def __repr__(self) -> str:
        return f"Upload({self.repository!r})"


class FetchedManifest(msgspec.Struct, frozen=True):
    """A manifest as it came: its bytes, and what the registry calls them."""

    raw: bytes
    media_type: str | None


class RegistryCapabilities(msgspec.Struct):
    """
    What was learned of a registry by asking; shared by all that use it.

    Attributes:
        takes_chunks: uploads may come in more than one request.
        largest_body: bytes of a body that are not known to be too many.
        mounts: whether blobs of other repositories can be mounted; None before that was tried.
        has_referrers: whether there is a referrers API; None before it was asked.
    """

    takes_chunks: bool = True
    largest_body: int = 2**63 - 1
    mounts: bool | None = None
    has_referrers: bool | None = None


def stored(what: str, digest: Digest) -> Callable[[RegistryResponse], Awaitable[None]]:
    async def take(answer: RegistryResponse) -> None:
        said = answer.headers.get("docker-content-digest", "")
        # A registry may name content by another algorithm than it was sent under; that says nothing.
        if said.startswith(f"{digest.algorithm}:") and said != digest:
            raise ContentMismatch(f"{what}: {digest} was sent, and the registry says it has stored {said[:140]!a}")

    return take


def opened(repository: str, what: str) -> Callable[[RegistryResponse], Awaitable[UploadSession]]:
    async def take(answer: RegistryResponse) -> UploadSession:
        location = answer.headers.get("location", "")
        url = resolve_url(answer.url, location, what=what, status=answer.status)
        return UploadSession(repository, url, smallest_chunk(answer.headers))

    return take


def moved(upload: UploadSession, answer: RegistryResponse, what: str) -> UploadSession:
    """The session after an answer: the newest location wins, and the old one stays where there is none."""
    location = answer.headers.get("location")
    if location is None:
        return upload
    url = resolve_url(answer.url, location, what=what, status=answer.status)
    return UploadSession(upload.repository, url, upload.smallest_chunk)
