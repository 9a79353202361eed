"""The file of what failed."""

from pathlib import Path
from typing import Any

import pytest

from transfer.cli.mirror_failures import read_failures, write_failures
from transfer.errors import InvalidConfig
from transfer.mirror import ImageReport, MirrorReport


def image(target: str, status: Any = "failed") -> ImageReport:
    return ImageReport(mapping="mappings[0]", source="s.example/a", target=target, status=status)


def test_what_failed_or_was_not_got_to_is_left(tmp_path: Path) -> None:
    file = tmp_path / "failed"
    images = (image("t/a:1"), image("t/a:2", "copied"), image("t/a:3", "stopped"))
    write_failures(file, MirrorReport(images=images, mistakes=(image("t/b, t/c"),)))
    assert read_failures(file) == frozenset({"t/a:1", "t/a:3", "s.example/a -> t/b, t/c"})
    assert list(tmp_path.iterdir()) == [file]


def test_what_an_earlier_file_names_stays_until_a_run_has_got_to_it(tmp_path: Path) -> None:
    file = tmp_path / "failed"
    write_failures(file, MirrorReport(images=(image("t/a:1"), image("t/a:2"), image("t/a:3"))))
    write_failures(file, MirrorReport(images=(image("t/a:1", "copied"), image("t/a:2")), stopped=True))
    assert read_failures(file) == frozenset({"t/a:2", "t/a:3"})
    write_failures(file, MirrorReport(images=(image("t/a:2", "copied"),)))
    assert read_failures(file) is None
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"failures .*No such file"):
        write_failures(tmp_path / "no" / "failed", MirrorReport(images=(image("t/a:1"),)))
    (tmp_path / "other").write_text("no JSON")
    with pytest.raises(InvalidConfig, match="not what an earlier run wrote"):
        read_failures(tmp_path / "other")
