"""
Journal: how far each upload had come, kept across a kill; and, beside it, what need not be found out twice.

The protocol is narrow (get, put, drop by key), so that a database shared by several machines can stand behind it.
Losing the journal costs the resumption and never the push: `SqliteJournal` says once what is wrong and goes on
without. Knows no registry: a key is a string, a state is a value; nor SQLite, which `journal_file` speaks to.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from transfer.state.journal_file import JournalFile

T = TypeVar("T")


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
    """Where upload states are kept."""

    async def get(self, key: str) -> UploadState | None:
        """Take over the state under `key`; None when there is none or a live process is at work on it."""

    async def put(self, key: str, state: UploadState) -> None:
        """Record the state, unless a live process holds the key."""

    async def drop(self, key: str) -> None:
        """Forget the state: the upload is complete, or its session is lost."""


class Memory(Protocol):
    """Where is kept what was found out once and does not change; any of it may be forgotten."""

    async def recall(self, key: str) -> bytes | None:
        """What was remembered under `key`."""

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a few bytes under `key`."""


class NoMemory:
    """A memory that keeps nothing."""

    async def recall(self, key: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def remember(self, key: str, value: bytes) -> None:
        pass


class NoJournal:
    """A journal that remembers nothing."""

    async def get(self, key: str) -> UploadState | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def put(self, key: str, state: UploadState) -> None:
        pass

    async def drop(self, key: str) -> None:
        pass


class SqliteJournal:
    """A journal, and a memory, in one SQLite file that processes share; it is opened when it is first asked."""

    def __init__(self, path: Path, *, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._guard = threading.Lock()
        self._file: JournalFile | None = None
        self._failed = False

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self._path)!r})"

    async def get(self, key: str) -> UploadState | None:
        return await self._run(lambda file: file.take(key))

    async def put(self, key: str, state: UploadState) -> None:
        await self._run(lambda file: file.put(key, state))

    async def drop(self, key: str) -> None:
        await self._run(lambda file: file.drop(key))

    async def recall(self, key: str) -> bytes | None:
        return await self._run(lambda file: file.recall(key))

    async def remember(self, key: str, value: bytes) -> None:
        await self._run(lambda file: file.remember(key, value))

    async def close(self) -> None:
        """Let go of the file and of the rows: what is unfinished can be taken over at once."""
        await asyncio.to_thread(self._close)

    async def _run(self, step: Callable[["JournalFile"], T]) -> T | None:
        return await asyncio.to_thread(self._step, step)

    def _step(self, step: Callable[["JournalFile"], T]) -> T | None:
        # SQLite and file locks take a while to import, and many a run sends nothing.
        from transfer.state.journal_file import FAILURES, JournalFile  # noqa: PLC0415

        with self._guard:
            if self._failed:
                return None
            try:
                if self._file is None:
                    self._file = JournalFile(self._path)
                return step(self._file)
            except FAILURES as error:
                self._failed = True
                self._on_failure(
                    f"journal {self._path}: {error}; this run cannot be resumed (mend or delete the file, "
                    "or name another with --state)"
                )
                return None

    def _close(self) -> None:
        with self._guard:
            self._failed = True
            if self._file is not None:
                self._file.close()
                self._file = None
