"""`transfer digest`, `repos`, `completion` and `config init`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Command, served
from transfer.server import Server
from transfer.testing.images import ImageBuilder

LOGIN = ("--creds", "transfer:transfer")


def test_a_digest_of_ecr_is_asked_for_once(app: str, registry: Server, command: Command, layout: ImageBuilder) -> None:
    image = layout.index(tag="v1")
    command.ok("push", image.source, f"{app}:v1", "-q")
    registry.requests.clear()
    assert command.ok("digest", f"{app}:v1") == f"{image.root.digest}\n"
    assert len(registry.requests) == 1
    assert json.loads(command.ok("digest", f"{app}:v1", "--json"))["digest"] == image.root.digest


def test_a_digest_is_asked_for_by_head(command: Command, layout: ImageBuilder) -> None:
    image = layout.index(tag="v1")
    with served() as server:
        host = server.url.removeprefix("http://")
        command.ok("push", image.source, f"{host}/app:v1", *LOGIN, "-q", "--no-journal")
        server.requests.clear()
        assert command.ok("digest", f"{host}/app:v1", *LOGIN) == f"{image.root.digest}\n"
        assert server.requests.count("HeadManifest", 200) == 1
        assert not server.requests.count("GetManifest")
        assert command.ok("digest", f"{host}/app@{image.root.digest}", *LOGIN) == f"{image.root.digest}\n"
        missing = command("digest", f"{host}/app:v9", *LOGIN)
        assert (missing.code, missing.out, missing.err.count("\n")) == (1, "", 1)
        assert command.ok("repos", host, *LOGIN) == "app\n"
        assert json.loads(command.ok("repos", host, *LOGIN, "--json"))["repositories"] == ["app"]
    assert command.ok("digest", image.source) == f"{image.root.digest}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, command: Command) -> None:
    assert f"_TRANSFER_COMPLETE={shell}_complete" in command.ok("completion", shell)


@pytest.mark.parametrize(
    ("words", "expected"), [("transfer pu", {"pull", "push"}), ("transfer push --pl", {"--platform", "--plain-http"})]
)
def test_commands_and_options_are_completed(words: str, expected: set[str]) -> None:
    settings = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_TRANSFER_COMPLETE": "bash_complete"}
    out = subprocess.run(
        [sys.executable, "-m", "transfer"], env={**os.environ, **settings}, capture_output=True, text=True, check=True
    ).stdout
    assert {line.partition(",")[2] for line in out.splitlines()} == expected


def test_a_first_configuration_has_no_mistake(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mirror.yaml").write_text(command.ok("config", "init"))
    ended = command("config", "check", tmp_path / "mirror.yaml")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'mirror.yaml'}: 2 mappings, no mistake\n")
