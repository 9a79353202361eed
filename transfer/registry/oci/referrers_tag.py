"""
Lists of referrers, kept for a registry that keeps none: an index under the tag that a subject's digest makes.

Sources: OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Referrers Tag Schema". Who shares a `Lists`
changes a list one at a time; of what others change meanwhile the later one wins, since the API knows no condition.
"""

import asyncio
import json
from typing import Any, Protocol
from weakref import WeakValueDictionary

import msgspec

from transfer.errors import InvalidManifest, NotFound
from transfer.model.descriptor import OCI_INDEX, Descriptor
from transfer.model.digest import Digest
from transfer.model.document import MAX_DOCUMENT_BYTES, load
from transfer.model.manifest import Manifest, as_referrer, parse_manifest
from transfer.registry.oci.requests import FetchedManifest


class Manifests(Protocol):
    """A client, as far as it is needed here."""

    async def get_manifest(self, repository: str, reference: str) -> FetchedManifest: ...

    async def put_manifest(
        self, repository: str, reference: str, raw: bytes, media_type: str, digest: Digest
    ) -> bool: ...


class Lists:
    """Changes the lists of one registry."""

    def __init__(self) -> None:
        # A lock lives as long as somebody holds it or waits for it.
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def add(self, client: Manifests, repository: str, manifest: Manifest) -> None:
        """
        Have a manifest in the list of its subject.

        Raises:
            InvalidManifest: what is under the tag is no list, or would become too large.
            TagImmutable: the registry lets no tag move.
        """
        if manifest.subject is None:
            return
        tag = manifest.subject.digest.as_tag
        turn = self._turns.setdefault((repository, tag), asyncio.Lock())
        async with turn:
            try:
                held = (await client.get_manifest(repository, tag)).raw
            except NotFound:
                held = None
            changed = with_referrer(held, as_referrer(manifest), what=f"referrers under {tag} of {repository}")
            if changed != held:
                await client.put_manifest(repository, tag, changed, OCI_INDEX, Digest.of(changed))


def with_referrer(raw: bytes | None, referrer: Descriptor, *, what: str) -> bytes:
    """
    Return a list of referrers with one more, everything else in it as it was; the same bytes where it is there already.

    Args:
        raw: the list as it is; None where there is none.
        what: the list's name, for the error.

    Raises:
        InvalidManifest: `raw` is no list, or it would become too large to be read.
    """
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    if raw is not None:
        if any(one.digest == referrer.digest for one in _entries(raw, what)):
            return raw
        document = load(raw)
    entries = [*document["manifests"], msgspec.to_builtins(referrer, enc_hook=str)]
    changed = json.dumps({**document, "manifests": entries}, separators=(",", ":")).encode()
    if len(changed) > MAX_DOCUMENT_BYTES:
        raise InvalidManifest(f"{what}: with {len(entries)} entries it would be more than {MAX_DOCUMENT_BYTES} bytes")
    return changed


def _entries(raw: bytes, what: str) -> tuple[Descriptor, ...]:
    try:
        index = parse_manifest(raw)
    except InvalidManifest as error:
        raise InvalidManifest(f"{what}: expected a list: {error}") from None
    if index.media_type != OCI_INDEX:
        raise InvalidManifest(f"{what}: expected a list, found {index.media_type!r}; delete that tag")
    return index.manifests
