"""`transfer push`: what it prints where, how it ends, and what a terminal shows."""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, on_a_terminal, started
from transfer.server import Server
from transfer.testing.images import ImageBuilder

MIB = 1024 * 1024


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """A peer that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


def test_the_reference_alone_goes_to_stdout(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image()
    ended = command("push", image.source, f"{app}:v1")
    assert (ended.code, ended.out) == (0, f"{app}@{image.root.digest}\n")
    lines = ended.err.splitlines()
    assert lines[0] == "3 blobs (3.27 kB): 0 present (0 B), 3 to send (3.27 kB)"
    assert re.fullmatch(r"uploaded 3 blobs \(3\.27 kB\); present 0 blobs; \d+\.\d s", lines[-1])


def test_quiet_leaves_only_the_reference(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image()
    ended = command("push", "--quiet", image.source, f"{app}:v1")
    assert (ended.code, ended.out, ended.err) == (0, f"{app}@{image.root.digest}\n", "")


def test_a_second_push_says_that_all_is_present(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image()
    command.ok("push", image.source, f"{app}:v1")
    ended = command("push", image.source, f"{app}:v1")
    assert ended.err.splitlines()[-1].startswith("uploaded 0 blobs; present 3 blobs (3.27 kB); ")


def test_the_result_can_be_json(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image()
    document = json.loads(command.ok("push", "--json", image.source, f"{app}:v1"))
    assert document["reference"] == f"{app}@{image.root.digest}"
    assert document["uploaded"] == {"count": 3, "size": sum(blob.size for blob in image.blobs)}
    assert {blob["digest"] for blob in document["blobs"]} == {blob.digest for blob in image.blobs}


def test_progress_can_be_json_lines_for_a_program(app: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image()
    ended = command("push", "--progress", "json", image.source, f"{app}:v1")
    events = [json.loads(line) for line in ended.err.splitlines()]
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("planned", "manifest_pushed")
    assert names.count("blob_started") == names.count("blob_finished") == 3
    assert events[-1]["tag"] == "v1"


def test_a_missing_repository_is_named_and_created_on_request(
    registry: Server, command: Command, layout: ImageBuilder
) -> None:
    image = layout.image()
    target = f"{registry.registry}/team/new:v1"
    refused = command("push", image.source, target)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.splitlines()[-1].startswith("transfer: ")
    assert "team/new" in refused.err.splitlines()[-1]
    assert command.ok("push", "--create-repository", image.source, target)


@pytest.mark.parametrize(
    ("source", "target", "code", "complaint"),
    [
        ("{layout}", "{app}:v1", 2, "this is a folder here: write oci:"),
        ("oci:{layout}/none", "{app}:v1", 2, "/none'"),
        ("oci:{layout}:v9", "{app}:v1", 2, "v9"),
        ("oci:{layout}:v1", "app:v1", 2, "registry host"),
        ("oci:{layout}:v1", "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.com/app", 2, "not an ECR registry"),
        ("oci:{layout}:v1", "{app}:-", 2, "is not a tag"),
    ],
)
def test_bad_input_is_one_line_and_sends_nothing(
    *,
    source: str,
    target: str,
    code: int,
    complaint: str,
    app: str,
    registry: Server,
    command: Command,
    layout: ImageBuilder,
) -> None:
    layout.image()
    ended = command("push", source.format(layout=layout.path), target.format(app=app))
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1)
    assert ended.err.startswith("transfer: ")
    assert complaint in ended.err
    assert len(registry.requests) == 0


def test_a_blob_that_is_missing_on_disk_leaves_nothing_under_the_tag(
    app: str, command: Command, layout: ImageBuilder
) -> None:
    image = layout.image()
    image.file(image.blobs[-1]).unlink()
    ended = command("push", image.source, f"{app}:v1")
    assert ended.code == 1
    assert str(image.path) in ended.err.splitlines()[-1]
    assert f"blobs/sha256/{image.blobs[-1].digest.encoded} is missing" in ended.err.splitlines()[-1]
    assert command.ok("ecr", "images", "app") == ""


def test_no_credentials_and_wrong_ones_end_with_4(
    app: str, command: Command, layout: ImageBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = layout.image()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    wrong = command("push", image.source, f"{app}:v1")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    none = command("push", image.source, f"{app}:v1")
    assert (wrong.code, none.code) == (4, 4)
    assert "AWS_PROFILE" in none.err


def test_a_journal_that_cannot_be_used_is_a_note_not_a_failure(
    app: str, command: Command, layout: ImageBuilder, tmp_path: Path
) -> None:
    (tmp_path / "journal").write_text("this is not a database")
    ended = command("push", "--state", tmp_path / "journal", layout.image().source, f"{app}:v1")
    assert ended.code == 0
    assert sum(line.startswith("note: ") for line in ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "code", "last"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_a_push_with_one_line_and_its_code(
    number: int, code: int, last: str, silence: socket.socket, registry: Server, layout: ImageBuilder
) -> None:
    url = f"http://127.0.0.1:{silence.getsockname()[1]}"
    target = f"{registry.registry}/app:v1"
    with started("push", layout.image().source, target, "--endpoint-url", url) as process, silence.accept()[0]:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.strip().splitlines() == [f"transfer: {last}", "  the same command, run again, continues from here"]


def test_a_reader_that_has_left_ends_a_command_quietly(app: str) -> None:
    read, write = os.pipe()
    os.close(read)
    program = [sys.executable, "-m", "transfer", "ecr", "repos"]
    with os.fdopen(write) as closed:
        ended = subprocess.run(program, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.fixture
def large(layout: ImageBuilder) -> str:
    """An image that takes longer than the time between two pictures."""
    return layout.image([12 * MIB, 12 * MIB]).source


def test_a_terminal_shows_bars_that_are_gone_at_the_end(app: str, large: str) -> None:
    code, out, shown = on_a_terminal("push", large, f"{app}:v1")
    assert (code, out.count("\n"), out.startswith(f"{app}@sha256:")) == (0, 1, True)
    assert "total" in shown
    assert " of 3 blobs" in shown
    assert "of 25.2 MB" in shown
    assert "\x1b[2K" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "uploaded 3 blobs (25.2 MB)" in shown.rpartition("\x1b[2K")[2]


def test_no_color_means_bars_without_color(app: str, large: str) -> None:
    code, _, shown = on_a_terminal("push", large, f"{app}:v1", NO_COLOR="1")
    assert code == 0
    assert "total" in shown
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", shown)


def test_a_dumb_terminal_gets_lines_and_no_escape(app: str, large: str) -> None:
    code, _, shown = on_a_terminal("push", large, f"{app}:v1", TERM="dumb")
    assert code == 0
    assert "all 25.2 MB sent" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["copy", "cp"])
def test_an_image_is_copied_between_repositories(
    name: str, app: str, registry: Server, command: Command, layout: ImageBuilder
) -> None:
    image = layout.image()
    command.ok("push", image.source, f"{app}:v1")
    target = f"{registry.registry}/mirror/app"
    ended = command(name, f"{app}:v1", f"{target}:v1", "--create-repository")
    assert (ended.code, ended.out) == (0, f"{target}@{image.root.digest}\n")
    assert "uploaded 3 blobs" in ended.err


def test_only_the_platforms_asked_for_are_copied(
    app: str, registry: Server, command: Command, layout: ImageBuilder
) -> None:
    image = layout.index(("linux/amd64", "linux/arm64", "linux/s390x"))
    one = command.ok("copy", image.source, f"{app}:one", "--platform", "linux/arm64")
    assert one == f"{app}@{image.manifests[1].digest}\n"
    command.ok("copy", image.source, f"{app}:two", "--platform", "linux/amd64,linux/arm64")
    put = [record.digest for record in registry.requests.of("PutImage")]
    assert image.manifests[2].digest not in put
    refused = command("copy", image.source, f"{app}:none", "--platform", "linux/riscv64")
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize("spelling", ["oci-archive:{0}", "oci-archive:{0}:v1"])
def test_an_archive_is_pushed_in_place(
    spelling: str, app: str, command: Command, layout: ImageBuilder, tmp_path: Path
) -> None:
    image = layout.image()
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(layout.path, arcname="")
    pushed = command.ok("push", spelling.format(tmp_path / "image.tar"), f"{app}:v1")
    assert pushed == f"{app}@{image.root.digest}\n"


def test_an_archive_is_pushed_from_a_pipe(app: str, registry: Server, layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.image()
    with tarfile.open(tmp_path / "image.tar", "w:gz") as archive:
        archive.add(layout.path, arcname="")
    push = [sys.executable, "-m", "transfer", "push", "-q", "-", f"{app}:v1"]
    ended = subprocess.run(push, input=(tmp_path / "image.tar").read_bytes(), capture_output=True, check=False)
    assert (ended.returncode, ended.stdout.decode(), ended.stderr) == (0, f"{app}@{image.root.digest}\n", b"")


def test_an_image_is_pulled_into_a_layout(app: str, command: Command, layout: ImageBuilder, tmp_path: Path) -> None:
    image, out = layout.image(), tmp_path / "out"
    command.ok("push", image.source, f"{app}:v1")
    assert command.ok("pull", f"{app}:v1", f"oci:{out}:v1") == f"oci:{out}@{image.root.digest}\n"
    assert command.ok("inspect", f"oci:{out}:v1") == command.ok("inspect", image.source)
    assert command("pull", f"{app}:v1", f"{app}:v2").code == 2


def test_an_outage_ends_a_push_after_the_time_that_was_given_and_says_that_it_continues(
    registry: Server, layout: ImageBuilder, command: Command
) -> None:
    image = layout.image()
    target = f"{registry.registry}/app:v1"
    command.ok("push", image.source, target, "--create-repository", "-q")

    class Gone(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Gone) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        began = time.monotonic()
        ended = command("push", image.source, target, "--endpoint-url", url, "--retry-for", "1s")
        took = time.monotonic() - began
        server.shutdown()
        thread.join()
    lines = ended.err.splitlines()
    assert ended.code == 1
    assert took < 10
    assert "gave up after " in lines[-2]
    assert lines[-1] == "  the same command, run again, continues from here"
