"""A journal that cannot be used costs the resumption and one message, never the push."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.behind_peer import PART, Site
from transfer.events import Event, Notice
from transfer.state.journal import UploadState
from transfer.testing.images import ImageBuilder

Broken = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def corrupt(path: Path) -> Iterator[None]:
    path.write_bytes(b"no database at all, " * 1000)
    yield


@contextmanager
def torn(path: Path) -> Iterator[None]:
    """A database whose second half is gone."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE uploads (key TEXT PRIMARY KEY, state BLOB, owner TEXT, updated REAL)")
        database.executemany("INSERT INTO uploads VALUES (?, ?, '', 9e9)", [(str(n), bytes(500)) for n in range(500)])
    database.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    yield


@contextmanager
def of_another_make(path: Path) -> Iterator[None]:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE uploads (something TEXT)")
    database.close()
    yield


@contextmanager
def a_folder(path: Path) -> Iterator[None]:
    path.mkdir()
    yield


@contextmanager
def below_a_file(path: Path) -> Iterator[None]:
    path.parent.rmdir()
    path.parent.write_text("in the way")
    yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.close()


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        pytest.skip("permissions do not count for root")
    path.parent.chmod(0o500)
    try:
        yield
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("broken", [corrupt, torn, of_another_make, a_folder, below_a_file, locked, read_only])
async def test_a_journal_that_cannot_be_used_is_told_once_and_the_push_succeeds(
    site: Site, layout: ImageBuilder, tmp_path: Path, broken: Broken
) -> None:
    image, events, path = layout.image([2 * PART, PART, 10]), list[Event](), tmp_path / "state" / "journal.sqlite"
    path.parent.mkdir()
    with broken(path):
        result = await site.push(image, observer=events.append, state_path=path)
    (notice,) = (event.message for event in events if isinstance(event, Notice))
    assert str(path) in notice
    assert "this run cannot be resumed" in notice
    assert "\n" not in notice
    assert result.uploaded.count == len(image.blobs)
    await site.assert_whole(image)


async def test_a_journal_that_breaks_between_two_parts_is_told_once(site: Site, layout: ImageBuilder) -> None:
    image, events = layout.image([4 * PART]), list[Event]()
    await site.add_config(image)

    async def spoil() -> None:
        with sqlite3.connect(site.state) as database:
            database.execute("DROP TABLE uploads")
        database.close()

    site.between.on("UploadLayerPart", site.between.forward, site.between.after(spoil))
    await site.push(image, observer=events.append)
    assert len([event for event in events if isinstance(event, Notice)]) == 1
    await site.assert_whole(image)


UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("change", "resumed"),
    [
        pytest.param({"guard": 1}, 0, id="a guard of other bytes"),
        pytest.param({"upload_id": UNKNOWN}, 0, id="an upload that never was"),
        pytest.param({"offset": 3 * PART}, 0, id="more bytes than the layer has"),
        pytest.param({"offset": -1}, 0, id="less than no bytes"),
        pytest.param({"part_size": 0}, 0, id="parts of no bytes"),
        pytest.param({"part_size": PART + 1}, PART, id="parts of another size"),
    ],
)
async def test_a_journal_that_holds_nonsense_costs_no_more_than_the_resumption(
    site: Site, layout: ImageBuilder, change: dict[str, Any], resumed: int
) -> None:
    image = layout.image([2 * PART])
    await site.add_config(image)
    await site.push_stopped(image, at=PART)
    with sqlite3.connect(site.state) as database:
        ((old,),) = database.execute("SELECT state FROM uploads").fetchall()
        new = msgspec.structs.replace(msgspec.msgpack.decode(old, type=UploadState), **change)
        database.execute("UPDATE uploads SET state = ?", (msgspec.msgpack.encode(new),))
    database.close()
    events = list[Event]()
    result = await site.push(image, observer=events.append)
    assert result.blobs[1].resumed == resumed
    assert len([event for event in events if isinstance(event, Notice)]) == (not resumed)
    await site.assert_whole(image)


async def test_no_journal_is_no_resumption_and_no_notice(site: Site, layout: ImageBuilder) -> None:
    image, events = layout.image([2 * PART]), list[Event]()
    await site.push_stopped(image, at=PART)
    result = await site.push(image, observer=events.append, journal=False)
    assert result.resumed.count == 0
    assert not [event for event in events if isinstance(event, Notice)]
    await site.assert_whole(image)
