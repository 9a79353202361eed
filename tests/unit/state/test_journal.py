"""The journal: kept across processes, owned by the living, and never in the way of a push."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from transfer.state.journal import NoState, UploadState
from transfer.state.sqlite_journal import SqliteJournal

STATE = UploadState("id-1", 100, 200, 2**64 - 1)
Open = Callable[[], SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest_asyncio.fixture
async def journal(path: Path, failures: list[str]) -> AsyncIterator[Open]:
    """Opens journals on one file."""
    opened: list[SqliteJournal] = []

    def make() -> SqliteJournal:
        opened.append(SqliteJournal(path, on_failure=failures.append))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


async def test_a_state_outlives_the_journal_that_put_it(journal: Open, failures: list[str]) -> None:
    first = journal()
    await first.put("key", STATE)
    await first.close()
    assert await journal().get("key") == STATE
    assert failures == []


async def test_a_dropped_state_is_gone(journal: Open) -> None:
    one = journal()
    await one.put("key", STATE)
    await one.drop("key")
    assert await one.get("key") is None


async def test_a_state_that_a_living_journal_holds_is_not_handed_out(journal: Open) -> None:
    first, second = journal(), journal()
    await first.put("key", STATE)
    assert await second.get("key") is None
    await second.put("key", UploadState("id-2", 1, 1, 1))
    await second.drop("key")
    assert await first.get("key") == STATE


async def test_a_state_is_taken_over_from_a_killed_process(journal: Open, path: Path) -> None:
    program = (
        "import asyncio, sys, time; from pathlib import Path\n"
        "from transfer.state.journal import NoState, UploadState\n"
        "from transfer.state.sqlite_journal import SqliteJournal\n"
        "journal = SqliteJournal(Path(sys.argv[1]), on_failure=print)\n"
        "asyncio.run(journal.put('key', UploadState('id-1', 100, 200, 2**64 - 1)))\n"
        "print('put', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"put\n"
        alive = await journal().get("key")
        process.kill()
    assert alive is None
    heir = journal()
    assert await heir.get("key") == STATE
    assert await journal().get("key") is None, "it belongs to the heir now"


async def test_closing_leaves_no_lock_file(journal: Open, path: Path) -> None:
    one = journal()
    await one.put("key", STATE)
    assert len(list(path.parent.glob("*.lock"))) == 1
    await one.close()
    assert list(path.parent.glob("*.lock")) == []


async def test_a_corrupt_file_is_told_once_and_costs_nothing_else(
    journal: Open, path: Path, failures: list[str]
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, " * 100)
    one = journal()
    assert await one.get("key") is None
    await one.put("key", STATE)
    await one.drop("key")
    assert len(failures) == 1
    assert "not a database" in failures[0]
    assert str(path) in failures[0]


@pytest.mark.parametrize(
    "state",
    [
        b"\xff\x00",
        *(msgspec.msgpack.encode(("id", *numbers)) for numbers in [(0, 1, 1), (1, -1, 1), (1, "1", 1), (1, 1)]),
    ],
)
async def test_a_state_that_cannot_be_read_is_told_once(
    journal: Open, path: Path, failures: list[str], state: bytes
) -> None:
    await (first := journal()).put("key", STATE)
    await first.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE uploads SET state = ?", (state,))
    database.close()
    assert await journal().get("key") is None
    assert len(failures) == 1


async def test_a_folder_that_cannot_be_made_is_told_once(tmp_path: Path, failures: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    one = SqliteJournal(tmp_path / "file" / "journal.sqlite", on_failure=failures.append)
    await one.put("key", STATE)
    assert await one.get("key") is None
    assert len(failures) == 1


async def test_a_locked_file_is_told_once(journal: Open, path: Path, failures: list[str]) -> None:
    await (first := journal()).put("key", STATE)
    await first.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        await journal().put("other", STATE)
    finally:
        holder.close()
    assert len(failures) == 1
    assert "locked" in failures[0]


async def test_old_states_are_forgotten(journal: Open, path: Path) -> None:
    await (first := journal()).put("key", STATE)
    await first.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE uploads SET updated = updated - 15 * 86400")
    database.close()
    assert await journal().get("key") is None


async def test_many_may_open_one_new_file_at_once(tmp_path: Path, failures: list[str]) -> None:
    for number in range(10):
        path = tmp_path / f"journal-{number}"
        journals = [SqliteJournal(path, on_failure=failures.append) for _ in range(8)]
        await asyncio.gather(*(one.put(str(key), STATE) for key, one in enumerate(journals)))
        await asyncio.gather(*(one.close() for one in journals))
    assert failures == []


async def test_what_is_remembered_outlives_the_journal(journal: Open, failures: list[str]) -> None:
    first = journal()
    assert await first.recall("key") is None
    for value in (b"one", b"two"):
        await first.remember("key", value)
    await first.close()
    assert await journal().recall("key") == b"two"
    assert failures == []


async def test_memories_that_nobody_asked_for_are_forgotten_and_used_ones_kept(journal: Open, path: Path) -> None:
    first = journal()
    for key in ("unused", "used"):
        await first.remember(key, b"value")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE memories SET used = used - 80 * 86400")
    assert await first.recall("used") == b"value"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE memories SET used = used - 20 * 86400")
    second = journal()
    assert await second.recall("unused") is None
    assert await second.recall("used") == b"value"


async def test_only_so_many_memories_are_kept_the_newest(journal: Open, path: Path) -> None:
    await journal().remember("first", b"")
    rows = [(str(number), b"", 2_000_000_000.0 + number) for number in range(100_001)]
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT INTO memories VALUES (?, ?, ?)", rows)
    second = journal()
    assert [await second.recall(key) for key in ("first", "0", "1")] == [None, None, b""]


async def test_a_journal_of_the_version_before_remembers_too(journal: Open, path: Path) -> None:
    first = journal()
    await first.put("key", STATE)
    await first.close()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE memories")
    second = journal()
    await second.remember("key", b"value")
    assert (await second.recall("key"), await second.get("key")) == (b"value", STATE)


async def test_nothing_is_remembered_without_a_journal() -> None:
    memory = NoState()
    await memory.remember("key", b"value")
    assert await memory.recall("key") is None
