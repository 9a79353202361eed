"""Appending to a tar: after every single write, a reader sees the old archive or the new one, whole."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archives import tar_of_files
from transfer.local.archive.tar import TarIndex, index_tar
from transfer.local.archive.tar_append import TarAppender

LAST = "index.json"


def files_of(raw: bytes) -> dict[str, bytes]:
    """What another reader finds in the tar; a name twice is an error, padding is left out."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for info in tar:
            content = tar.extractfile(info)
            assert content is not None
            assert info.name not in found
            found[info.name] = content.read()
    assert index_tar(io.BytesIO(raw)).members.keys() == found.keys()
    return {name: content for name, content in found.items() if not name.startswith(".padding/")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tar"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], TarAppender]]:
    appenders = []

    def open_() -> TarAppender:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        with path.open("rb") as reading:
            index = index_tar(reading) if path.stat().st_size else TarIndex()
        appenders.append(TarAppender(file, index, LAST))
        return appenders[-1]

    yield open_
    for appender in appenders:
        appender.close()


class Recorded(TarAppender):
    """Keeps what lies on the disk after each write: what a kill at that moment would leave."""

    def __init__(self, path: Path, index: TarIndex) -> None:
        self.states: list[bytes] = []
        self._path = path
        super().__init__(os.open(path, os.O_RDWR), index, LAST)

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        super()._write(data, offset)
        self.states.append(self._path.read_bytes())


FILES = {"oci-layout": b"{}", "blobs/sha256/a": b"a" * 600, LAST: b"old" * 300}
ORDERS = {"last": FILES, "first": {LAST: FILES[LAST], **FILES}, "other": dict(sorted(FILES.items()))}


@pytest.mark.parametrize("order", ORDERS)
def test_a_kill_after_any_write_leaves_the_old_or_the_new_archive(path: Path, order: str) -> None:
    path.write_bytes(tar_of_files(ORDERS[order]))
    appender = Recorded(path, index_tar(io.BytesIO(path.read_bytes())))
    appender.add("blobs/sha256/b", b"b" * 5000)
    appender.add("blobs/sha512/" + "c" * 128, b"")
    appender.commit(b"new" * 200)
    appender.close()

    new = {**FILES, "blobs/sha256/b": b"b" * 5000, "blobs/sha512/" + "c" * 128: b"", LAST: b"new" * 200}
    seen = [files_of(state) for state in appender.states]
    change = next(number for number, state in enumerate(seen) if state != FILES)
    assert change > 5
    assert all(state == new for state in seen[change:])
    assert files_of(path.read_bytes()) == new


def test_a_new_archive_holds_its_members_and_no_padding(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    appender.add("a", b"1")
    appender.commit(b"index")
    appender.close()

    assert list(index_tar(io.BytesIO(path.read_bytes())).members) == ["a", LAST]
    assert path.stat().st_size == 2 * 1024 + 1024


def test_members_of_each_commit_are_there_and_the_last_is_the_newest(
    path: Path, opened: Callable[[], TarAppender]
) -> None:
    for number in range(4):
        appender = opened()
        appender.add(f"a{number}", bytes([number]) * 700 * number)
        appender.commit(b"%d" % number * 600)
        appender.close()

    assert files_of(path.read_bytes()) == {
        **{f"a{number}": bytes([number]) * 700 * number for number in range(4)},
        LAST: b"3" * 600,
    }


def test_what_was_not_committed_is_cut_off(path: Path, opened: Callable[[], TarAppender]) -> None:
    path.write_bytes(tar_of_files(FILES))
    appender = opened()
    appender.add("b", b"b" * 5000)
    appender.close()

    assert path.read_bytes() == tar_of_files(FILES)


def test_what_a_killed_writer_left_is_cut_off(path: Path, opened: Callable[[], TarAppender]) -> None:
    path.write_bytes(tar_of_files(FILES) + b"left" * 5000)
    opened().close()

    assert path.read_bytes() == tar_of_files(FILES)


def test_members_are_written_side_by_side(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    one, two = appender.reserve("one", 1000), appender.reserve("two", 2000)
    appender.write(two, 0, b"2" * 1500)
    appender.write(one, 0, b"1" * 1000)
    appender.publish(one)
    appender.commit(b"first")
    assert files_of(path.read_bytes()) == {"one": b"1" * 1000, LAST: b"first"}
    appender.write(two, 1500, b"2" * 500)
    appender.publish(two)
    appender.commit(b"second")

    assert files_of(path.read_bytes()) == {"one": b"1" * 1000, "two": b"2" * 2000, LAST: b"second"}


def test_room_that_was_given_back_is_used_again(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    appender.give_back(appender.reserve("a", 10_000))
    appender.add("b", b"b")
    appender.commit(b"index")

    assert path.stat().st_size == 2 * 1024 + 1024


def test_room_is_not_given_back_under_a_commit(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    space = appender.reserve("a", 10_000)
    appender.commit(b"index")
    appender.give_back(space)
    appender.add("b", b"b")
    appender.commit(b"again")

    assert files_of(path.read_bytes()) == {"b": b"b", LAST: b"again"}


def test_a_name_that_is_there_by_now_stays_once(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    spaces = [appender.reserve("a", 1) for _ in range(2)]
    for space in spaces:
        appender.write(space, 0, b"a")
        appender.publish(space)
    appender.commit(b"index")

    assert files_of(path.read_bytes()) == {"a": b"a", LAST: b"index"}


def test_more_than_the_disk_holds_is_refused_at_once(path: Path, opened: Callable[[], TarAppender]) -> None:
    appender = opened()
    with pytest.raises(OSError, match="are needed"):
        appender.reserve("a", 2**60)

    appender.commit(b"index")
    assert path.stat().st_size == 2048


def test_a_member_of_more_than_8_gib_has_a_header_that_says_so(path: Path, opened: Callable[[], TarAppender]) -> None:
    size = 9 * 2**30
    free = os.statvfs(path.parent)
    if free.f_bavail * free.f_frsize <= size:
        pytest.skip("there is no room for it here")
    appender = opened()
    appender.publish(appender.reserve("large", size))
    appender.commit(b"index")

    with path.open("rb") as file:
        found = index_tar(file).members
    assert found["large"].size == size
    assert path.stat().st_blocks * 512 < 10**6
