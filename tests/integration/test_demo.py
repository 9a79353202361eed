"""`transfer demo` as a user runs it: what it prints, what it leaves, and how it ends when it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import started
from transfer.cli.commands.demo.build import build_image
from transfer.cli.commands.demo.machine import Tree
from transfer.cli.commands.demo.process import Command, in_environment
from transfer.cli.commands.demo.story import Scenes
from transfer.cli.commands.demo.table import Narrator
from transfer.server import Server


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo may put what it needs for a while, with a space in its name."""
    folder = tmp_path / "for a while"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def running(mark: Path) -> list[str]:
    """Commands of processes that name a folder, where the system shows them as files."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return [command for command in found if str(mark) in command]


@pytest.mark.timeout(90)
def test_the_whole_demo_holds_and_leaves_nothing(temporary: Path) -> None:
    hostile = {
        "AWS_PROFILE": "no-such-profile",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL": "http://[::1]:9",
    }
    program = [sys.executable, "-m", "transfer", "demo"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, **hostile})
    assert ended.returncode == 0, ended.stderr
    rows = {line[:24].strip(): line[24:].split() for line in ended.stdout.splitlines() if line.strip()}
    assert next(iter(rows)) == "step"
    assert list(rows)[2:] == [
        *("build an image", "start a registry", "push", "push elsewhere, killed", "push again, resumed"),
        *("push again", "read back", "mirror", "mirror again"),
    ]
    assert rows["push again"][:3] == ["1", "0", "B"]
    assert rows["push elsewhere, killed"][-4:-2] == ["dead", "inside"]
    assert rows["mirror again"][:3] == ["4", "0", "B"]
    assert rows["mirror"][-3:] == ["5", "blobs", "mounted"]
    assert {"resumed", "sent"} < set(rows["push again, resumed"])
    assert " ".join(rows["read back"][-10:]) == "5 of 5 blobs as built, tag v1 as built"
    assert "Traceback" not in ended.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [("1. build", signal.SIGINT, 130), ("$ transfer push", signal.SIGTERM, 143)],
    ids=["building", "pushing"],
)
def test_a_demo_that_is_stopped_leaves_no_folder_and_no_process(
    moment: str, number: int, code: int, temporary: Path
) -> None:
    with started("demo") as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith(moment))
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.splitlines()[-1].split()[0]) == (code, "", "transfer:")
    assert list(temporary.iterdir()) == []
    assert running(temporary) == []


def test_what_is_to_be_kept_stays_also_when_it_is_stopped(temporary: Path, tmp_path: Path) -> None:
    with started("demo", "--keep", tmp_path / "kept") as process:
        assert process.stderr is not None
        shown = next(process.stderr)
        next(line for line in process.stderr if line.startswith("3. push"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert shown == f"everything stays in {tmp_path / 'kept'}; afterwards:\n"
    assert (tmp_path / "kept" / "image" / "index.json").is_file()
    assert (tmp_path / "kept" / "registry" / "registry.sqlite").is_file()
    assert list(temporary.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with started("demo", "--keep", tmp_path) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "is not empty" in err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


async def test_a_layer_that_comes_back_changed_is_noticed(tmp_path: Path) -> None:
    image = await build_image(
        tmp_path / "image", [Tree("tests", Path(__file__).parent, "srv")], on_layer=lambda _: None
    )
    assert image is not None
    layer = image.layers[0].descriptor
    async with Server(data=tmp_path / "registry") as server:
        scenes = Scenes(server, image, tmp_path / "journal.sqlite", Narrator(quiet=True), quiet=True)
        with in_environment(server.environment):
            target = f"{server.registry}/app:v1"
            await Command.push(image.source, target, state=tmp_path / "journal.sqlite", quiet=True).run()
            whole = await scenes.read_back("app")
            [file] = (tmp_path / "registry").rglob(f"*{layer.digest.encoded}*")
            file.chmod(0o600)
            file.write_bytes(bytes(layer.size))
            changed = await scenes.read_back("app")
    assert (whole.held, whole.requests) == (True, 5)
    assert (changed.held, changed.result) == (False, "1 of 2 blobs as built, tag v1 as built")
