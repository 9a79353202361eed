"""The limits of a command: `--layers` everywhere, `-j` as its old name, and the timeouts that messages advise."""

import re
import socket
import time

import pytest

from transfer.cli import main

NOWHERE = "127.0.0.1:1/app:v1"


@pytest.mark.parametrize("option", ["-j", "--jobs"])
def test_the_old_name_of_layers_is_accepted_with_a_warning(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", option, "3", "oci:/no/such/layout", NOWHERE, "--no-journal"]) == 2
    assert capsys.readouterr().err.startswith("warning: -j means images at once; use --layers N for layers\n")


def test_layers_come_before_their_old_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "--layers", "0", "-j", "3", "oci:x", NOWHERE]) == 2
    assert "0 is not in the range" in capsys.readouterr().err


def test_layers_need_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", "--layers", "3", "oci:/no/such/layout", NOWHERE, "--no-journal"])
    assert "warning" not in capsys.readouterr().err


COPYING = ["push", "copy", "pull", "mirror"]
ASKING = ["inspect", "tags", "delete", "login-check", "ecr create", "ecr images", "ecr repos", "ecr token"]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *((command, "--layers N") for command in COPYING),
        *((command, "--connect-timeout SECONDS") for command in COPYING + ASKING),
        *((command, "--read-timeout SECONDS") for command in COPYING + ASKING),
    ],
)
def test_commands_that_talk_to_registries_have_them(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert re.search(rf"^ +{option}", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", ["tags", "ecr images"])
def test_a_read_timeout_holds(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        target = [f"{host}/app", "--plain-http"] if command == "tags" else ["app", "--endpoint-url", f"http://{host}"]
        began = time.monotonic()
        assert main([*command.split(), *target, "--read-timeout", "0.2"]) != 0
        assert time.monotonic() - began < 30
    assert "nothing moved for 0.2 s" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--connect-timeout", "--read-timeout"])
def test_a_timeout_is_more_than_nothing(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", option, "0", "oci:x", NOWHERE]) == 2
    assert "0.0 is not in the range" in capsys.readouterr().err
