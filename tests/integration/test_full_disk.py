"""A disk without room: one line that names what could not be written, exit code 1, and the next run goes on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from transfer.testing.images import ImageBuilder

Transfer = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def with_room_for(tmp_path: Path) -> Transfer:
    """Run `transfer` where no file can grow beyond so many KiB, its temporary files and state included."""

    def run(size: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', str(size * 2), sys.executable, "-m", "transfer"]
        environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
        return subprocess.run(
            [*command, *map(str, arguments), "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    return run


@pytest.mark.parametrize("target", ["oci:{}", "oci-archive:{}/a.tar", "docker-archive:{}/a.tar"])
def test_a_target_without_room(with_room_for: Transfer, layout: ImageBuilder, tmp_path: Path, target: str) -> None:
    layout.image([400_000], tag="v1")
    place = target.format(tmp_path / "out")
    (tmp_path / "out").mkdir()
    ended = with_room_for(100, "copy", f"oci:{layout.path}:v1", place)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "cannot be written: File too large" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert with_room_for(10_000, "copy", f"oci:{layout.path}:v1", place).returncode == 0


def test_a_layer_of_a_folder_without_room(with_room_for: Transfer, layout: ImageBuilder, tmp_path: Path) -> None:
    layout.image([1000], tag="v1")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model").write_bytes(os.urandom(400_000))
    ended = with_room_for(100, "append", f"oci:{layout.path}:v1", tmp_path / "files", f"oci:{tmp_path / 'out'}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "set TMPDIR to another folder: File too large" in ended.stderr
    assert ended.stderr.count("\n") == 1
