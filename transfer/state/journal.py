"""
Journal: how far each upload had come, kept across a kill; and, beside it, what need not be found out twice.

The protocol is narrow (get, put, drop by key), so that a database shared by several machines can stand behind it.
Losing the journal costs the resumption and never the push.
"""

from typing import Annotated, Protocol

import msgspec


class UploadState(msgspec.Struct, frozen=True, array_like=True):
    """
    An upload session as far as the registry has confirmed it.

    Attributes:
        upload_id: the registry's name of the session.
        part_size: bytes of each part, as the registry asked for.
        offset: bytes confirmed; the next part starts here.
        guard: xxh3-64 over exactly the bytes that were sent, [0, offset); 0 where nobody looks at those again.
    """

    upload_id: str
    part_size: Annotated[int, msgspec.Meta(gt=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    guard: int


class Journal(Protocol):
    """A store of upload states."""

    async def get(self, key: str) -> UploadState | None:
        """Take over the state under `key`; None when there is none or a live process is at work on it."""

    async def put(self, key: str, state: UploadState) -> None:
        """Record the state, unless a live process holds the key."""

    async def drop(self, key: str) -> None:
        """Forget the state: the upload is complete, or its session is lost."""


class Memory(Protocol):
    """A store of facts that do not change; any of them may be forgotten."""

    async def recall(self, key: str) -> bytes | None:
        """Return what was remembered under `key`."""

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a few bytes under `key`."""


class StateStore(Journal, Memory, Protocol):
    """A store of upload states and facts, as an engine takes it."""

    async def close(self) -> None:
        """Release everything that is held, so that others can take it over."""


class NoState:
    """A state store that keeps nothing."""

    async def get(self, key: str) -> UploadState | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def put(self, key: str, state: UploadState) -> None:
        pass

    async def drop(self, key: str) -> None:
        pass

    async def recall(self, key: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def remember(self, key: str, value: bytes) -> None:
        pass

    async def close(self) -> None:
        pass
