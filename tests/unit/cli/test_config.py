"""`transfer config`: exit codes, what is data on stdout, and what is said on stderr."""

import json
from pathlib import Path

import pytest

import transfer.mirror.config.schema
from tests.support.command import Command
from transfer.mirror.config.load import load_config

GOOD = "mappings:\n- {source: alpine, targets: m.example/hub/}\n- {source: debian, targets: m.example/hub/}\n"
WRONG = "jobs: none\nmappings:\n- {source: alpine, target: m.example/a}\n"
REGSYNC = "defaults: {userAgent: x}\nsync: [{source: alpine, target: m.example/a, type: repository}]\n"
SKOPEO = "quay.io: {images: {coreos/etcd: [v3]}}\n"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def written(folder: Path, text: str) -> Path:
    file = folder / "file.yaml"
    file.write_text(text)
    file.chmod(0o644)
    return file


def test_a_good_file_is_told_with_its_mappings(tmp_path: Path, command: Command) -> None:
    file = written(tmp_path, GOOD)
    assert command.ok("config", "check", file) == f"{file}: 2 mappings, no mistake\n"


def test_every_mistake_is_a_line_on_stderr_and_the_exit_code_is_2(tmp_path: Path, command: Command) -> None:
    file = written(tmp_path, WRONG)
    ended = command("config", "check", file)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"transfer: {file}:1: jobs: 'none' is not a whole number",
        f"  {file}:3: mappings[0].target: the key is unknown: did you mean 'targets'?",
        f"  {file}:3: mappings[0].targets: it is missing",
    ]


def test_json_holds_all_for_programs(tmp_path: Path, command: Command) -> None:
    file = written(tmp_path, WRONG)
    ended = command("config", "check", file, "--json")
    assert (ended.code, ended.err) == (2, "")
    reported = json.loads(ended.out)
    assert reported["mistakes"][0] == {"line": 1, "key": "jobs", "reason": "'none' is not a whole number"}
    assert (reported["file"], reported["format"], reported["mappings"], reported["warnings"]) == (
        str(file),
        "transfer",
        None,
        [],
    )

    reported = json.loads(command.ok("config", "check", written(tmp_path, REGSYNC), "--json"))
    assert (reported["format"], reported["mappings"], reported["mistakes"]) == ("regsync", 1, [])
    assert [warning["key"] for warning in reported["warnings"]] == ["defaults.userAgent"]


def test_a_file_that_is_not_there_is_a_mistake_and_not_a_crash(tmp_path: Path, command: Command) -> None:
    ended = command("config", "check", tmp_path / "none.yaml")
    assert (ended.code, ended.err) == (2, f"transfer: {tmp_path}/none.yaml: No such file or directory\n")


@pytest.mark.parametrize(
    ("text", "arguments", "output"),
    [
        (GOOD, [], ""),
        (REGSYNC, [], "defaults.userAgent: it is not taken over"),
        (SKOPEO, ["--dest", "m.example/x", "--scoped"], ""),
        (SKOPEO, ["--dest", "m.example/x", "--format", "skopeo"], ""),
    ],
)
def test_what_is_converted_reads_as_what_it_was(
    tmp_path: Path, command: Command, text: str, arguments: list[str], output: str
) -> None:
    file = written(tmp_path, text)
    ended = command("config", "convert", file, *arguments)
    assert (ended.code, output in ended.err) == (0, True)
    ours = tmp_path / "ours.yaml"
    ours.write_text(ended.out)
    target = arguments[1] if arguments else None
    assert load_config(ours) == load_config(file, target=target, scoped="--scoped" in arguments)


def test_a_format_that_a_file_is_not_in_is_not_guessed_away(tmp_path: Path, command: Command) -> None:
    ended = command("config", "convert", written(tmp_path, GOOD), "--format", "regsync")
    assert ended.out == ""
    assert "mappings: the key is unknown: there are version, creds, defaults, sync" in ended.err
    assert "sync: it is missing" in ended.err
    assert ended.code == 2


def test_the_schema_is_the_published_one(command: Command) -> None:
    published = Path(transfer.mirror.config.schema.__file__).with_name("schema.json")
    assert command.ok("config", "schema") == published.read_text(encoding="utf-8")
