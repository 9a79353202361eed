"""The links between the manifests of a layout, found by reading each once."""

import threading
from collections.abc import Callable, Iterable

import msgspec

from transfer.errors import TransferError
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest, as_referrer


class _Read(msgspec.Struct, frozen=True):
    """A manifest as far as it matters here: its subject, its descriptor, and its children."""

    subject: Digest | None
    shown: Descriptor
    children: tuple[Descriptor, ...]


class References:
    """
    The references between the manifests of one layout.

    Args:
        read: reads a manifest; blocks, and so do all methods here.
    """

    def __init__(self, read: Callable[[Descriptor], Manifest]) -> None:
        self._read = read
        self._lock = threading.Lock()
        # Never outdated, whatever becomes of the layout: a digest is of content.
        self._known: dict[Digest, _Read] = {}

    def to(self, subject: Digest, entries: Iterable[Descriptor]) -> list[Descriptor]:
        """Return the referrers of a manifest, among all that the entries lead to."""
        waiting, seen, found = list(entries), set[Digest](), []
        with self._lock:
            while waiting:
                descriptor = waiting.pop()
                one = None if descriptor.digest in seen else self._look(descriptor)
                seen.add(descriptor.digest)
                if one is not None:
                    waiting.extend(one.children)
                    found += [one.shown] if one.subject == subject else []
        return sorted(found, key=lambda shown: shown.digest)

    def refers(self, descriptor: Descriptor) -> bool:
        """Return whether a manifest refers to another one."""
        with self._lock:
            one = self._look(descriptor)
        return one is not None and one.subject is not None

    def _look(self, descriptor: Descriptor) -> _Read | None:
        if descriptor.digest not in self._known and descriptor.is_manifest:
            try:
                manifest = self._read(descriptor)
            except TransferError:
                # One damaged image is no reason to refuse another one.
                return None
            subject = manifest.subject.digest if manifest.subject else None
            self._known[descriptor.digest] = _Read(subject, as_referrer(manifest), manifest.manifests)
        return self._known.get(descriptor.digest)
