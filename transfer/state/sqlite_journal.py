"""A journal in one SQLite file: opened when it is first asked, and switched off, with one message, when it fails."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import platformdirs

from transfer.state.journal import UploadState

if TYPE_CHECKING:
    from transfer.state.sqlite_file import JournalFile

T = TypeVar("T")


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
        from transfer.state.sqlite_file import FAILURES, JournalFile  # noqa: PLC0415

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


def default_state_path() -> Path:
    """Return the journal's path where none is named: in the platform's folder for state."""
    return platformdirs.user_state_path("transfer") / "journal.sqlite"
