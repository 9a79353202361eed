"""What the demo shows, and where."""

import os

import click
import pytest

from transfer.cli.commands.demo import check
from transfer.cli.commands.demo.process import environment_for, in_environment
from transfer.cli.commands.demo.table import Narrator, Step, print_table, row

BUILT = Step(title="build", seconds=1.25, result="3 layers")
PUSHED = Step(title="push", seconds=0.04, result="5 blobs", requests=30, moved=63_900_000)
BROKEN = Step(title="read back", seconds=2, result="4 of 5 blobs", requests=0, moved=0, held=False)


@pytest.mark.parametrize(
    ("step", "cells"),
    [
        (BUILT, ("build", "", "", "1.2", "3 layers")),
        (PUSHED, ("push", "30", "63.9 MB", "0.0", "5 blobs")),
        (BROKEN, ("read back", "0", "0 B", "2.0", "FAILED: 4 of 5 blobs")),
    ],
)
def test_a_step_is_a_row(step: Step, cells: tuple[str, ...]) -> None:
    assert row(step) == cells


def test_the_table_goes_to_stdout_with_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    long = Step(title="push again, resumed", seconds=1, result="x" * 70, requests=100, moved=1)
    print_table([BUILT, PUSHED, long])
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines() if line.strip()]
    assert lines[0] == ["step", "requests", "bytes", "moved", "seconds", "result"]
    assert lines[2:4] == [["build", "1.2", "3", "layers"], ["push", "30", "63.9", "MB", "0.0", "5", "blobs"]]
    assert lines[4][-1] == "x" * 70
    assert (shown.err, "\x1b" in shown.out) == ("", False)


def test_the_story_goes_to_stderr_and_its_steps_are_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(quiet=False)
    for text in ("build", "push"):
        narrator.step(text)
    narrator.line("$ transfer push [red]oci:x\x1b[2J " + "y" * 200)
    narrator.take_back_terminal()
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["", "1. build", "", "2. push", "$ transfer push [red]oci:x[2J " + "y" * 200]
    assert shown.out == ""


def test_a_quiet_story_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(quiet=True)
    narrator.step("build")
    narrator.line("done")
    assert capsys.readouterr() == ("", "")


def test_a_step_that_did_not_hold_is_an_error_that_names_it() -> None:
    check([BUILT, PUSHED])
    with pytest.raises(click.ClickException, match="'read back' is not as promised: 4 of 5 blobs") as caught:
        check([BUILT, BROKEN, PUSHED])
    assert caught.value.exit_code == 1


def test_no_setting_of_the_user_for_aws_or_a_proxy_reaches_the_pushes() -> None:
    user = {"PATH": "/bin", "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "t", "https_proxy": "http://x", "NO_PROXY": "y"}
    found = environment_for(user, {"AWS_REGION": "us-east-1"})
    assert found.pop("AWS_CONFIG_FILE") == found.pop("AWS_SHARED_CREDENTIALS_FILE")
    assert found == {"PATH": "/bin", "AWS_REGION": "us-east-1", "NO_PROXY": "*"}


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    before = dict(os.environ)
    with in_environment({"AWS_REGION": "us-east-1"}):
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["AWS_REGION"] == "us-east-1"
    assert dict(os.environ) == before
