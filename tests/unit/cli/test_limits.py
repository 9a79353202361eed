"""The limits of a command: `--layers` everywhere, `-j` as its old name, and the timeouts that messages advise."""

import re

import pytest

from transfer.cli import main

NOWHERE = "127.0.0.1:1/app:v1"


@pytest.mark.parametrize("option", ["-j", "--jobs"])
def test_the_old_name_of_layers_is_accepted_with_a_warning(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", option, "3", "oci:/no/such/layout", NOWHERE, "--no-journal"]) == 2
    assert capsys.readouterr().err.startswith("warning: -j means images at once; use --layers N for layers\n")


def test_layers_need_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", "--layers", "3", "oci:/no/such/layout", NOWHERE, "--no-journal"])
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["push", "copy", "pull", "mirror"])
@pytest.mark.parametrize("option", ["--layers N", "--connect-timeout SECONDS", "--read-timeout SECONDS"])
def test_every_command_that_moves_images_has_them(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert re.search(rf"^ +{option}", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("option", ["--connect-timeout", "--read-timeout"])
def test_a_timeout_is_more_than_nothing(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", option, "0", "oci:x", NOWHERE]) == 2
    assert "0.0 is not in the range" in capsys.readouterr().err
